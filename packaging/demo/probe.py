#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""probe.py: opens a TCP connection to each [ADDRESS, PORT] of the JSON list on stdin, all at once.

Prints a JSON list: for each the line with which the server answered, or null if nobody did.
"""

import asyncio
import json
import sys

PATIENCE = 3  # seconds; a dropped connection takes all of them


async def greeting(address, port):
    reader, writer = await asyncio.open_connection(address, port)
    try:
        return (await reader.readline()).decode().strip() or None
    finally:
        writer.close()


async def probe(address, port):
    try:
        return await asyncio.wait_for(greeting(address, port), PATIENCE)
    except (OSError, asyncio.TimeoutError):
        return None


async def main():
    answers = await asyncio.gather(*(probe(*target) for target in json.load(sys.stdin)))
    json.dump(answers, sys.stdout)


asyncio.run(main())

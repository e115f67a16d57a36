#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""catalogue.py RINGWALL CATALOGUE TEMPLATE >PAGE: fills the tables of ringwall-catalogue(5). What a
name means is asked of the program; headings, remarks and groups stand in the catalogue's text."""

import json
import os
import re
import subprocess
import sys

NAME = re.compile(r"  ([A-Za-z][A-Za-z0-9_.-]*):(?:\s|$)")


def escape(text):
    return re.sub(r"([\\_*<>`~])", r"\\\1", text)


def ask(program, catalogue, kind):
    environment = {**os.environ, "RINGWALL_DATADIR": os.path.dirname(os.path.abspath(catalogue))}
    # a policy that says nothing: the host's own is none of this page's business
    answer = subprocess.run([program, "list", kind, "-", "--json"], input="ringwall: 1\n", text=True,
                            stdout=subprocess.PIPE, check=True, timeout=60, env=environment).stdout
    return {item["name"]: item for item in json.loads(answer)}


def read(catalogue, key):
    """[(heading, name, comment above, comment behind, members)] of one of the top-level keys."""
    heading, above, entries, inside = "", [], [], False
    with open(catalogue, encoding="utf-8") as f:
        for line in f.read().splitlines():
            name = NAME.match(line)
            if re.match(r"\S", line):
                inside = line.startswith(f"{key}:")
            elif not inside:
                continue
            elif line.startswith("  # ----"):
                heading, above = line.strip("# -"), []
            elif line.startswith("  # "):
                above.append(line[4:])
            elif name:
                behind = line.partition(" # ")[2]
                entries.append((heading, name[1], " ".join(above), behind, []))
                above = []
            elif line.startswith("    - ") and entries:
                entries[-1][4].append(line[6:].partition(" #")[0])
            elif not line:
                above = []
    return entries


def zones(program, catalogue):
    known = ask(program, catalogue, "zones")
    for _, name, above, _, _ in read(catalogue, "zones"):
        yield f"*{escape(name)}*\n\t{escape(above)}\n\n\t{escape(known.pop(name)['means'])}\n"
    assert not known, f"not found in the text: {sorted(known)}"


def services(program, catalogue, groups):
    known = ask(program, catalogue, "services")
    last, row = None, "[["
    for heading, name, above, behind, members in read(catalogue, "services"):
        service = known.pop(name)
        if members:
            groups.append(f"*{escape(name)}*\n\t{escape(above)}\n\n\t{escape(', '.join(members))}\n")
            continue
        if heading != last:
            yield ("\n" if last else "") + f"## {escape(heading).upper()}\n"
            last, row = heading, "[["
        source = f"internal; {behind}" if service["internal"] else behind
        yield f"{row} *{escape(name)}*\n:[ {escape(service['means'])}\n:[ {escape(source)}"
        row = "|["
    assert not known, f"not found in the text: {sorted(known)}"


def main():
    program, catalogue, template = sys.argv[1:]
    groups = []
    with open(template, encoding="utf-8") as f:
        page = f.read()
    page = page.replace("@ZONES@", "\n".join(zones(program, catalogue)).strip())
    page = page.replace("@SERVICES@", "\n".join(services(program, catalogue, groups)))
    sys.stdout.write(page.replace("@GROUPS@", "\n".join(groups).strip()))


main()

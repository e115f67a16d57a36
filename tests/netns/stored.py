# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries of ringwalld's store, changed as no accident would: with digests that are right (the frame is
that of src/guard/store_codec.c)."""

import hashlib
import struct

HEAD = struct.Struct("<8sIIQQ")
IMAGE = b"rwimage\0"


def _digest(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def rewrite(path, change):
    """change: from the content's bytes to other ones."""
    data = path.read_bytes()
    magic, version, kind, meta_size, body_size = HEAD.unpack_from(data)
    start = HEAD.size + 64
    meta, body = data[start : start + meta_size], data[start + meta_size :]
    assert magic == b"rwstore\0" and len(body) == body_size
    body = change(body)
    head = HEAD.pack(magic, version, kind, meta_size, len(body)) + _digest(body)
    path.write_bytes(head + _digest(head + meta) + meta + body)


def of_another_version(path):
    """The compiled policy in it is one that only another version of ringwall reads."""

    def change(body):
        at = body.index(IMAGE) + len(IMAGE)
        assert body.count(IMAGE) == 1
        return body[:at] + bytes([body[at] + 1]) + body[at + 1 :]

    rewrite(path, change)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Varlink from its description alone (varlink.org), sharing nothing with src/rpc: a client, and a reader
of interface descriptions."""

import json
import re
import socket
import struct

TIMEOUT = 20


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # as the kernel counts time: with settimeout(), connect() fails at once where others wait their turn
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self.socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT, 0))
        self.received = b""
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, method, more=False, **parameters):
        call = {"method": method, "parameters": parameters, **({"more": True} if more else {})}
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def receive(self):
        """The next reply; None at the end of the stream, however it comes."""
        while b"\0" not in self.received:
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not piece:
                return None
            self.received += piece
        reply, _, self.received = self.received.partition(b"\0")
        return json.loads(reply)

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive()


class Reader:
    """Takes an interface description apart, by the grammar on varlink.org."""

    TOKEN = re.compile(
        r"(?P<blank>[ \t\n]+|#[^\n]*(\n|$))|(?P<word>[A-Za-z][A-Za-z0-9_]*([.-][A-Za-z0-9.-]+)?)"
        r"|(?P<mark>->|\[\]|\[string\]|[?:,()])"
    )
    FIELD = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")
    NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
    INTERFACE = re.compile(r"[A-Za-z]([-]*[A-Za-z0-9])*(\.[A-Za-z0-9]([-]*[A-Za-z0-9])*)+")

    def __init__(self, text):
        self.tokens = []
        at = 0
        while at < len(text):
            token = self.TOKEN.match(text, at)
            assert token, f"no token: {text[at:at + 30]!r}"
            if not token["blank"]:
                self.tokens.append(token[0])
            at = token.end()
        self.tokens.append(None)

    def take(self, what):
        """The next token, which must be what it should be: a word itself, or a pattern."""
        token = self.tokens.pop(0)
        fits = token == what if isinstance(what, str) else token and what.fullmatch(token)
        assert fits, f"{token!r} where {what!r} should be"
        return token

    def type(self):
        prefix = ""
        for mark in ("?", "[]", "[string]"):
            if self.tokens[0] == mark:
                prefix += self.tokens.pop(0)
        if self.tokens[0] == "(":
            inner = self.struct_or_enum()
            return (prefix, inner) if prefix else inner
        word = self.tokens.pop(0)
        assert word in ("bool", "int", "float", "string", "object"), f"{word!r} is no type"
        return prefix + word

    def struct_or_enum(self):
        """{name: type}, or [word, ...]."""
        self.take("(")
        if self.tokens[0] == ")":
            self.take(")")
            return {}
        is_enum = self.tokens[1] != ":"
        found = [] if is_enum else {}
        while True:
            name = self.take(self.FIELD)
            assert name not in found, f"{name} is there twice"
            if is_enum:
                found.append(name)
            else:
                self.take(":")
                found[name] = self.type()
            if self.tokens[0] != ",":
                break
            self.take(",")
        self.take(")")
        return found

    def interface(self):
        """(name, {method: (in, out)}, {error: fields})"""
        methods, errors = {}, {}
        self.take("interface")
        name = self.take(self.INTERFACE)
        while self.tokens[0] is not None:
            kind = self.tokens.pop(0)
            assert kind in ("method", "error"), f"{kind!r} is nothing that an interface holds"
            word = self.take(self.NAME)
            assert word not in methods and word not in errors, f"{word} is there twice"
            fields = self.struct_or_enum()
            if kind == "method":
                self.take("->")
                methods[word] = fields, self.struct_or_enum()
            else:
                errors[word] = fields
        return name, methods, errors

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""varlink.py RINGWALLD TEMPLATE >PAGE: fills the lists of ringwall-varlink(7). Methods, errors and
fields are the program's own description of its interface (ringwalld --describe)."""

import re
import subprocess
import sys

NAMES = {"[]": "list of ", "?": "", "": ""}
FIELD = re.compile(r"(\w+): (\??)((?:\[\])?)(.*?),?$")


def escape(text):
    return re.sub(r"([\\_*<>`~#])", r"\\\1", text)


def words(kind):
    if kind.startswith("("):
        return "one of " + ", ".join(kind.strip("()").split(", "))
    return {"int": "number", "bool": "true or false"}.get(kind, kind)


def sentence(text):
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


class Description:
    """Reads what ringwalld prints: a line for each field, the comments above."""

    def __init__(self, text):
        self.lines = text.splitlines()
        self.comments = []

    def next(self):
        line = self.lines.pop(0).strip()
        while line.startswith("#") or not line:
            if line:
                self.comments.append(line[2:])
            line = self.lines.pop(0).strip()
        comments, self.comments = self.comments, []
        return line, comments

    def fields(self, path=""):
        """Up to the closing bracket: [(name, type, comment)], those inside others by their way."""
        found = []
        while True:
            line, comments = self.next()
            if line.startswith(")"):
                return found, line
            name, optional, many, kind = FIELD.match(line).groups()
            inner = kind == "("
            what = NAMES[many] + ("objects" if many else "object") if inner else NAMES[many] + words(kind)
            found.append((path + name, what + (", may be missing" if optional else ""),
                          " ".join(comments)))
            if inner:
                found += self.fields(path + name + many + ".")[0]

    def items(self):
        """(method or error, name, comments, parameters, answer) of each."""
        while any(line.strip() for line in self.lines):
            line, comments = self.next()
            kind, rest = line.split(" ", 1)
            name = re.match(r"[\w.]+", rest)[0]
            if kind == "interface":
                continue
            taken, given = [], []
            if kind == "error":
                taken, _ = self.fields() if rest.endswith("(") else ([], "")
            else:
                end = rest
                if rest.endswith("(") and "->" not in rest:
                    taken, end = self.fields()
                if end.endswith("-> ("):
                    given, _ = self.fields()
            yield kind, name, comments, taken, given


def listed(fields):
    for name, kind, comment in fields:
        yield f"*{escape(name)}* ({escape(kind)})\n\t{escape(comment)}\n"


def entry(kind, name, comments, taken, given):
    yield f"## {name}\n"
    yield " ".join(escape(sentence(c)) for c in comments) + "\n"
    if kind == "method":
        yield "It takes:\n" if taken else "It takes nothing.\n"
    yield from listed(taken)
    if kind == "method":
        yield "It answers:\n" if given else "It answers nothing.\n"
    yield from listed(given)


def main():
    program, template = sys.argv[1:]
    description = subprocess.run([program, "--describe"], stdout=subprocess.PIPE, text=True, check=True,
                                 timeout=60).stdout
    parts = {"method": [], "error": []}
    for item in Description(description).items():
        parts[item[0]] += entry(*item)
    with open(template, encoding="utf-8") as f:
        page = f.read()
    page = page.replace("@METHODS@", "\n".join(parts["method"]).strip())
    sys.stdout.write(page.replace("@ERRORS@", "\n".join(parts["error"]).strip()))


main()

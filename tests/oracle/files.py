# SPDX-License-Identifier: GPL-2.0-or-later
"""Policies as files: YAML that knows where it stands, and the merging of several files. Sentences
in quotation marks are POLICY.md's."""

import glob
import os
from functools import lru_cache

import yaml

SECTIONS = ("inbound", "outbound", "routed")
LISTS = ("nat", "protected", "expect")


class _Loader(yaml.SafeLoader):
    """Keeps the line on which a mapping's first key stands. Dates stay text."""


class Mapping(dict):
    line = 0
    path = None  # of the file; None: a text without one


def _construct_mapping(loader, node):
    m = Mapping()
    yield m
    m.update(loader.construct_mapping(node))
    m.line = (node.value[0][0] if node.value else node).start_mark.line + 1
    m.path = loader.path


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@lru_cache(maxsize=4)
def read(text, path=None):
    """A document; the catalogue's is asked for again and again. Nobody changes it."""
    loader = _Loader(text)
    loader.path = path
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def as_list(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def read_all(path):
    """The documents of a policy: the file, what stands in its policy.d ("the folder of that name
    beside it, if there is one"), and what they include ("paths or globs, merged as if in
    policy.d"), each once."""
    folder = os.path.dirname(path)
    todo = [path, *sorted(glob.glob(os.path.join(glob.escape(folder), "policy.d", "*.yaml")))]
    done = {}
    while todo:
        path = todo.pop(0)
        if os.path.realpath(path) in done:
            continue
        with open(path, encoding="utf-8") as f:
            document = read(f.read(), path)
        done[os.path.realpath(path)] = document
        for text in as_list(document.get("include")):
            pattern = os.path.join(glob.escape(os.path.dirname(path)), text)
            todo += sorted(glob.glob(pattern))
    return list(done.values())


def merge(documents):
    """ "rule lists append, after the short form of a section has been read as the long one.
    Everything else may be said once" """
    whole = {}
    for document in documents:
        for key, value in document.items():
            if key in SECTIONS:
                mine, theirs = whole.setdefault(key, {"rules": []}), long_form(key, value)
                mine["rules"] = mine["rules"] + as_list(theirs.get("rules"))
                if theirs.get("default"):
                    mine["default"] = theirs["default"]
            elif key in LISTS:
                whole[key] = whole.get(key, []) + as_list(value)
            elif isinstance(value, dict):
                whole[key] = {**whole.get(key, {}), **value}
            else:
                whole[key] = value
    return whole


def long_form(name, value):
    """ "a list is the rules with the section's default; a lone word is the default with no rules";
    "A list says nothing of the default, except an outbound list that holds an allow" """
    if isinstance(value, str):
        return {"default": value}
    if not isinstance(value, list):
        return value or {}
    only = name == "outbound" and any("allow" in rule for rule in value)
    return {"rules": value, "default": "reject" if only else None}

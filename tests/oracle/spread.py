# SPDX-License-Identifier: GPL-2.0-or-later
"""One policy, written down as one file or as several: what belongs together is merged again."""

import os

import yaml

from files import LISTS, SECTIONS, as_list


class _Dumper(yaml.SafeDumper):
    """Writes dates without quotation marks, and everything in full."""

    def ignore_aliases(self, data):
        return True


_Dumper.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}

MAIN = "policy.yaml"


class Spread:
    """Of a document whose sections are in the long form, and whose zones' lists are in `lists`
    (path -> lines). documents: path -> what stands there."""

    def __init__(self, rng, document, lists):
        self.rng, self.lists = rng, lists
        self.style, self.width = rng.choice([None, None, False]), rng.choice([90, 200])
        self.bare_off = rng.random() < 0.5
        self.documents = {name: {"ringwall": 1} for name in [MAIN, *self._others()]}
        for key, value in document.items():
            if key in SECTIONS:
                self._section(key, value)
            elif key in LISTS:
                for item in value:
                    self._anywhere().setdefault(key, []).append(item)
            elif isinstance(value, dict):
                for name, what in value.items():
                    self._anywhere().setdefault(key, {})[name] = what
        for name, d in self.documents.items():
            self._name_lists(name, d)
        self._shuffle()

    def _chance(self, p):
        return self.rng.random() < p

    def _anywhere(self):
        return self.documents[self.rng.choice(list(self.documents))]

    def _others(self):
        """Names of the other files; includes say how they are found."""
        self.includes = {}
        if self._chance(0.5):
            return []
        names = []
        if self._chance(0.6):
            names += [f"policy.d/{n}.yaml" for n in self.rng.sample(["10-a", "9-b", "x", "A"], 2)]
        if self._chance(0.5):
            self._include(MAIN, ["extra.yaml"])
            names.append("extra.yaml")
        if self._chance(0.4):
            parts = ["parts/one.yaml", "parts/two.yaml"]
            self._include(self.rng.choice([MAIN, *names]), parts, "parts/*.yaml")
            names += parts
            if self._chance(0.5):
                self._include("parts/two.yaml", ["parts/deep.yaml"], again=["parts/one.yaml"])
                names.append("parts/deep.yaml")
                # (The glob finds it, too: a file that is named twice is read once.)
        return names

    def _include(self, name, paths, pattern=None, again=()):
        paths = [pattern] if pattern and self._chance(0.5) else [*paths, *again]
        folder = os.path.dirname(name)
        self.includes.setdefault(name, []).extend(os.path.relpath(p, folder or ".") for p in paths)

    # --- sections ---

    def _section(self, name, section):
        """section: { rules, default (or None), log (or None) }"""
        rules, default = list(section["rules"]), section["default"]
        files = list(self.documents)
        parts = {f: [] for f in self.rng.sample(files, self.rng.randint(1, len(files)))}
        for rule in rules:
            parts[self.rng.choice(list(parts))].append(rule)
        said = False
        last = list(parts)[-1]
        for file, own in parts.items():
            log = section["log"] if file == last else None
            must = file == last and not said and default is not None
            form, says = self._form(name, own, default, log, must)
            said |= says
            if form is not None:
                self.documents[file][name] = form

    def _form(self, name, rules, default, log, must_say):
        """(what to write, whether it says the default)"""
        only = name == "outbound" and any("allow" in r for r in rules)
        listed = log is None and not (only and default != "reject")
        if listed and (only or not must_say) and self._chance(0.75):
            return (rules, only) if rules or self._chance(0.3) else (None, False)
        if not rules and log is None and default is not None and self._chance(0.5):
            return default, True
        form = {"rules": rules} if rules or self._chance(0.3) else {}
        if default is not None and (only or must_say or self._chance(0.2)):
            form["default"] = default
        if log is not None:
            form["log"] = log
        return form or None, "default" in form

    # --- files ---

    def _name_lists(self, name, document):
        """A zone's list is named from the folder of the file that names it."""
        folder = os.path.dirname(name) or "."
        for zone, value in document.get("zones", {}).items():
            if isinstance(value, dict) and "file" in value:
                path = os.path.relpath(value["file"], folder)
                document["zones"][zone] = {**value, "file": path}

    def _shuffle(self):
        """Nothing depends on the order of keys. Zones may be named before they are defined."""
        for name, d in self.documents.items():
            if name in self.includes:
                found = self.includes[name]
                d["include"] = found[0] if len(found) == 1 and self._chance(0.5) else found
            items = [(k, v) for k, v in d.items() if k != "ringwall"]
            self.rng.shuffle(items)
            self.documents[name] = {"ringwall": 1, **dict(items)}

    def drop_item(self, path, key, index):
        section = self.documents[path][key]
        del as_list(section["rules"] if isinstance(section, dict) else section)[index]

    def text(self, path):
        text = yaml.dump(
            self.documents[path],
            Dumper=_Dumper,
            default_flow_style=self.style,
            sort_keys=False,
            width=self.width,
        )
        return text.replace("'off'", "off") if self.bare_off else text

    def write(self, folder):
        """Returns the main file's path."""
        for name in self.documents:
            _write(os.path.join(folder, name), self.text(name))
        for name, lines in self.lists.items():
            _write(os.path.join(folder, name), "".join(line + "\n" for line in lines))
        return os.path.join(folder, MAIN)

    def whole(self):
        """Everything, to be read by a person."""
        return "\n".join(f"# ---- {name}\n{self.text(name)}" for name in self.documents) + "".join(
            f"\n# ---- {name}: {len(lines)} lines: {', '.join(lines[:20])}\n"
            for name, lines in self.lists.items()
        )


def _write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)

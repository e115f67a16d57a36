# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall schema` against a validator of others' making: whatever the checker accepts it accepts,
what only looks at keys and words it refuses, and what it cannot know is listed here."""

import json
import re

import jsonschema
import pytest
import yaml

from command import ROOT, run

CASES = sorted(path.parent for path in (ROOT / "tests/golden").glob("[0-9]*/policy.yaml"))


class Loader(yaml.SafeLoader):
    """As an editor reads YAML: a date is a word."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in rows if not tag.endswith(":timestamp")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(name="schema", scope="module")
def make_schema():
    result = run("schema")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(name="accepts", scope="module")
def make_accepts(schema):
    validator = jsonschema.Draft202012Validator(schema)
    return lambda text: validator.is_valid(yaml.load(text, Loader))


def checker_accepts(text):
    return run("check", "-", stdin=text).returncode == 0


def test_it_is_a_schema_by_its_own_rules(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.stem)
def test_it_accepts_every_policy_that_is_shipped(accepts, path):
    assert accepts(path.read_text())


@pytest.mark.parametrize("case", [c for c in CASES if (c / "ruleset.nft").exists()], ids=lambda case: case.name)
def test_it_accepts_every_policy_that_the_checker_accepts(accepts, case):
    assert accepts((case / "policy.yaml").read_text())


def properties(node):
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for value in node.values():
            yield from properties(value)
    elif isinstance(node, list):
        for value in node:
            yield from properties(value)


def test_every_key_has_a_description_and_says_what_may_stand_there(schema):
    untyped = {name for name, value in properties(schema) if not set(value) - {"description"}}
    assert untyped == set()
    described = [value for _, value in properties(schema["$defs"]["rule-inbound"])]
    assert described and all(value["description"] for value in described)


def test_references_lead_somewhere(schema):
    names = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert names == names & set(schema["$defs"])


def test_editors_are_offered_the_names_of_the_catalogue(schema):
    offered = lambda term: schema["$defs"][term]["anyOf"][0]["enum"]
    assert {"ssh", "ollama", "ai-backends", "any"} <= set(offered("service-term"))
    assert {"private", "internet", "containers", "anywhere"} <= set(offered("zone-term"))


# Mistakes of which every one in the golden cases is refused by the schema, too; a case that cannot
# be read as YAML has no schema to fall back on.
CAUGHT = [
    r"is no key of",
    r"has no place in",
    r"needs '",
    r"either allows or denies",
    r"neither allows nor denies",
    r"a default is drop, reject or allow",
    r"cannot allow by default",
    r"version '.*' of the policy language is unknown",
]


def load(case):
    try:
        return yaml.load((case / "policy.yaml").read_bytes(), Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def test_it_refuses_mistakes_of_keys_and_words(schema):
    validator = jsonschema.Draft202012Validator(schema)
    found = set()
    for case in CASES:
        errors = case / "errors.txt"
        text = errors.read_text(errors="replace") if errors.exists() else ""
        # of what other files say nothing is known
        mine = [m for m in re.findall(r"^policy\.yaml:\S+ error: (.*)$", text, re.M)]
        kinds = {kind for kind in CAUGHT for message in mine if re.search(kind, message)}
        document = load(case)
        if not kinds or document is None:
            continue
        assert not validator.is_valid(document), f"{case.name}: {kinds}"
        found |= kinds
    assert found == set(CAUGHT)


# Where the schema must be looser than the checker, and why: the schema accepts each, the checker
# refuses it.
LOOSER = {
    "a name is any word: a policy defines its own": "inbound: [{ allow: ssssh }]",
    "a zone's name likewise": "inbound: [{ allow: ssh, from: lann }]",
    "an address is a word; whether host bits are set is arithmetic": "zones: { lan: [10.40.10.5/24] }",
    "a range that runs backwards is arithmetic": "services: { x: { tcp: 90-80 } }",
    "ports written with their protocol are words": "inbound: [{ allow: 70000/tcp }]",
    "what contains itself is no matter of form": "zones: { a: [b], b: [a] }",
    "what is internal stands in the catalogue": "inbound: [{ allow: postgresql }]",
    "claims and rules are compared by meaning": "inbound: [{ allow: ollama, from: private }]\n"
                                                "protected: [{ services: ollama }]",
    "interfaces' zones differ from others by their definition": "inbound: [{ allow: ssh, to: vms }]",
    "of a wildcard only the end is free": 'zones: { x: { interfaces: ["e*h"] } }',
    "what a default must say depends on the rules": "outbound: { rules: [{ allow: https }] }",
    "two keys of one name are lost before a schema sees them": "inbound: drop\ninbound: drop",
    "an empty zone has no address": "zones: { x: {} }",
}


@pytest.mark.parametrize("why", LOOSER)
def test_the_schema_is_looser_where_it_cannot_know(accepts, why):
    text = "ringwall: 1\n" + LOOSER[why] + "\n"
    assert accepts(text)
    assert not checker_accepts(text)


# The other way round must never be: forms that the checker accepts.
@pytest.mark.parametrize("text", [
    "zones: { x: 10.0.0.1 }",
    "zones: { x: { addresses: 10.0.0.1, interfaces: eth0 } }",
    "inbound: drop",
    "inbound: []",
    "outbound: allow",
    "inbound: [{ allow: 47, from: anywhere }]",
    "inbound: [{ allow: [ssh, 8000-8010/tcp, esp, echo-request/icmp], in: eth0 }]",
    "inbound: { default: reject, rules: [{ deny: ssh, name: 7 }] }",
    'services: { x: { tcp: [80, "443", 8000-8010], icmp: 8, protocols: [esp, 47], internal: no } }',
    "services: { x: [ssh, 80/tcp] }",
    "protected: [{ services: [postgresql, 99/tcp], only-from: [10.0.0.1] }]",
    'ringwall: "1"',
])
def test_every_form_that_the_checker_takes_is_taken(accepts, text):
    text = ("" if text.startswith("ringwall") else "ringwall: 1\n") + text + "\n"
    assert checker_accepts(text), run("check", "-", stdin=text).stderr
    assert accepts(text)

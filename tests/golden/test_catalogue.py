# SPDX-License-Identifier: GPL-2.0-or-later
"""What policies/ promises: ready policies are valid, and zone internet is what its comments say."""

import ipaddress
import json
import pathlib
import re

import pytest
import yaml

import golden

POLICIES = golden.ROOT / "policies"
CATALOGUE = POLICIES / "catalogue.yaml"
READY = sorted(p for p in POLICIES.glob("*.yaml") if p != CATALOGUE)

NOT_INTERNET = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4
    ::/3 fc00::/7 fe80::/10 ff00::/8 2001:2::/48 2001:10::/28 100::/64 4000::/2 8000::/1
""".split()
INSIDE_AFTER_ALL = ["64:ff9b::/96"]  # within ::/3, but the IPv4 internet through NAT64
INTERNET = "1.1.1.1 8.8.8.8 192.0.2.1 198.51.100.1 203.0.113.9 223.255.255.255 192.88.99.1 " \
    "2001:db8::1 3fff::1 2606:4700::1111 2001::1 2002::1 64:ff9b::808:808".split()

# The zone as ringwall prints it: with the gaps written out.
INTERNET_RANGES = """
    1.0.0.0-9.255.255.255 11.0.0.0-100.63.255.255 100.128.0.0-126.255.255.255
    128.0.0.0-169.253.255.255 169.255.0.0-172.15.255.255 172.32.0.0-191.255.255.255
    192.0.1.0-192.167.255.255 192.169.0.0-198.17.255.255 198.20.0.0-223.255.255.255 64:ff9b::/96
    2000::-2001:1:ffff:ffff:ffff:ffff:ffff:ffff 2001:2:1::-2001:f:ffff:ffff:ffff:ffff:ffff:ffff
    2001:20::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
""".split()


def ranges(items):
    for item in items:
        low, _, high = str(item).partition("-")
        if high:
            yield int(ipaddress.ip_address(low)), int(ipaddress.ip_address(high)), ":" in low
        else:
            network = ipaddress.ip_network(low)
            yield int(network[0]), int(network[-1]), network.version == 6


def contains(items, address):
    address = ipaddress.ip_address(address)
    return any(
        low <= int(address) <= high and six == (address.version == 6)
        for low, high, six in ranges(items)
    )


def in_zone(zone, address):
    return contains(zone["addresses"], address) and not contains(zone["except"], address)


@pytest.fixture(scope="module")
def catalogue():
    return yaml.safe_load(CATALOGUE.read_text())


# A host with a network on eth0, as the policies suppose, whatever this machine has.
HOST = (
    *("unshare", "-n", "sh", "-c"),
    "ip link add eth0 type veth peer name peer && ip link set peer up && ip link set eth0 up &&"
    ' ip addr add 192.168.7.1/24 dev eth0 && exec "$@"',
    "sh",
)


@pytest.mark.parametrize("path", READY, ids=[p.name for p in READY])
def test_a_ready_policy_is_valid_and_says_nothing(path):
    result = golden.run(["check", str(path)], POLICIES, wrapper=HOST)
    assert result.stderr == b""
    assert result.returncode == 0


@pytest.mark.parametrize("path", READY, ids=[p.name for p in READY])
def test_what_a_ready_policy_has_commented_out_can_be_taken_as_it_stands(path):
    text = re.sub(r"^( +)# (- \{.*\})$", r"\1\2", path.read_text(), flags=re.MULTILINE)
    result = golden.run(["check", "-"], POLICIES, wrapper=HOST, input=text.encode())
    assert result.stderr == b""
    assert result.returncode == 0


ADMINISTERED = [p for p in READY if re.search(r"^  (admin|rescue): \[", p.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("path", ADMINISTERED, ids=[p.name for p in ADMINISTERED])
def test_whoever_administers_it_may_come_from_the_internet(path):
    text = re.sub(r"^  (admin|rescue): \[.*", r"  \1: [192.0.2.7, 2606:4700::7]", path.read_text(), flags=re.MULTILINE)
    result = golden.run(["check", "-"], POLICIES, wrapper=HOST, input=text.encode())
    assert result.stderr == b""
    assert result.returncode == 0


@pytest.mark.parametrize("path", READY, ids=[p.name for p in READY])
def test_a_ready_policy_says_when_it_is_for_and_what_to_change_and_what_must_come_of_it(path):
    text = path.read_text()
    assert "\n# Use it when\n#   - " in text
    assert "\n# Before you load it: " in text
    expected = yaml.safe_load(text)["expect"]
    assert any("allow" in item for item in expected)
    assert any("deny" in item for item in expected)


def test_internet_leaves_out_exactly_what_is_not_the_internet(catalogue):
    internet = catalogue["zones"]["internet"]
    for version, bits in ((4, 32), (6, 128)):
        out = [ipaddress.ip_network(n) for n in NOT_INTERNET]
        back = [ipaddress.ip_network(n) for n in INSIDE_AFTER_ALL]
        edges = {0, 2**bits - 1}
        for network in out + back:
            if network.version == version:
                low, high = int(network[0]), int(network[-1])
                edges |= {low, high, max(low - 1, 0), min(high + 1, 2**bits - 1)}
        for low, high, six in ranges(internet["addresses"] + internet["except"]):
            if six == (version == 6):
                edges |= {low, high, max(low - 1, 0), min(high + 1, 2**bits - 1)}
        make = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        for address in map(make, sorted(edges)):
            excluded = any(address in n for n in out) and not any(address in n for n in back)
            assert in_zone(internet, str(address)) == (not excluded), str(address)


@pytest.mark.parametrize("address", INTERNET)
def test_examples_count_as_internet(catalogue, address):
    assert in_zone(catalogue["zones"]["internet"], address)


def test_internet_is_made_of_these_ranges():
    result = golden.run(["list", "zones", "--json", str(POLICIES / "ai-server.yaml")], POLICIES)
    means = next(z["means"] for z in json.loads(result.stdout) if z["name"] == "internet")
    assert means.split(", ") == INTERNET_RANGES


def test_private_and_internet_have_nothing_in_common(catalogue):
    for low, high, _ in ranges(catalogue["zones"]["private"]):
        for value in (low, high, (low + high) // 2):
            address = str((ipaddress.IPv6Address if value >> 32 else ipaddress.IPv4Address)(value))
            assert not in_zone(catalogue["zones"]["internet"], address)


@pytest.fixture(name="remarks", scope="module")
def read_remarks():
    """What stands behind each service's name, in the text."""
    text = CATALOGUE.read_text().split("\nservices:\n", 1)[1]
    lines = re.findall(r"^  ([a-z0-9-]+):(.*)$", text, re.MULTILINE)
    return {name: rest.partition(" # ")[2] for name, rest in lines}


def test_every_service_says_where_its_port_comes_from(catalogue, remarks):
    """Not that it is some default, but whose: the name of an option, a file, a page."""
    assert set(remarks) == set(catalogue["services"])
    for name, service in catalogue["services"].items():
        if isinstance(service, dict):
            assert re.match(r"IANA\b|RFC \d|(default|docs): \S", remarks[name]), name


def ports_of(service, protocol):
    ports = service.get(protocol, [])
    for item in ports if isinstance(ports, list) else [ports]:
        low, _, high = str(item).partition("-")
        yield from {int(low), int(high or low)}


def test_what_is_said_of_the_registry_agrees_with_netbases_copy(catalogue, remarks):
    registry = {}
    for line in pathlib.Path("/etc/services").read_text().splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            registry.setdefault(words[1], set()).update([words[0], *words[2:]])
    agreed = 0
    for name, service in catalogue["services"].items():
        if not remarks[name].startswith("IANA"):
            continue
        names = {name, *re.findall(r"[a-z0-9-]+", remarks[name])}
        for protocol in ("tcp", "udp"):
            for port in ports_of(service, protocol):
                known = registry.get(f"{port}/{protocol}", set())
                known = known | {"sips"} if "sip-tls" in known else known
                assert not known or known & names, f"{name}: {port}/{protocol} is {known}"
                agreed += bool(known)
    assert agreed > 50


def test_https_is_one_port_and_http3_another(catalogue):
    assert catalogue["services"]["https"] == {"tcp": 443}
    assert catalogue["services"]["http3"] == {"udp": 443}

# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall doctor`: a host is looked at, and nothing of it changed. Each in namespaces of its own:
networks, and a view of the files in which no unit is enabled and /etc can be written to."""

import json
import subprocess

import pytest

from command import ENVIRONMENT, RINGWALL, TIMEOUT, run

PRIVATE = """
mount -t tmpfs none /run
mkdir /run/upper /run/work
mount -t overlay none -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
rm -rf /etc/ufw /etc/iptables /etc/libvirt
mount -t tmpfs none /etc/systemd
ip link set lo up
ip link add eth7 type veth peer name eth8
"""


def doctor(preparation="", *options, before=""):
    text = f'{PRIVATE}\n{preparation}\nset +e\n{before} "$RINGWALL" doctor "$@"'
    return subprocess.run(["unshare", "-mn", "--propagation", "private", "sh", "-ec", text, "sh", *options],
                          capture_output=True, text=True, timeout=TIMEOUT,
                          env={**ENVIRONMENT, "RINGWALL": RINGWALL})


def findings(preparation="", **more):
    result = doctor(preparation, "--json", **more)
    assert result.stderr == ""
    found = json.loads(result.stdout)["findings"]
    assert len({f["id"] for f in found}) == len(found)
    return result.returncode, {f["id"]: f for f in found}


def test_a_host_without_problems():
    result = doctor()
    assert (result.returncode, result.stderr) == (0, "")
    assert "problem:" not in result.stdout
    assert result.stdout.splitlines()[-1].startswith("problems: 0, not looked at: 0, notes: ")
    assert all(len(line) <= 100 for line in result.stdout.splitlines())


def test_another_firewall_is_a_problem():
    result = doctor("mkdir /etc/ufw; echo ENABLED=yes >/etc/ufw/ufw.conf")
    assert result.returncode == 8
    first = result.stdout.splitlines()
    assert first[0] == "problem: ufw is enabled  [rival.ufw]"
    assert first[1] == "  seen  ENABLED=yes in /etc/ufw/ufw.conf"
    assert any(line.endswith("ringwall takeover ufw") for line in first)


def test_json_says_the_same():
    code, found = findings("mkdir /etc/ufw; echo ENABLED=yes >/etc/ufw/ufw.conf")
    assert code == 8
    ufw = found["rival.ufw"]
    assert (ufw["kind"], ufw["what"], ufw["seen"]) == (
        "problem", "ufw is enabled", "ENABLED=yes in /etc/ufw/ufw.conf")
    assert ufw["why"] and ufw["advice"]
    assert found["in-front"]["kind"] == "note"


@pytest.mark.parametrize("setting, finding, kind", [
    ("net/ipv4/conf/eth7/route_localnet", "route-localnet", "problem"),
    ("net/ipv4/conf/all/route_localnet", "route-localnet", "problem"),
    ("net/ipv4/conf/eth7/accept_local", "accept-local", "note"),
])
def test_settings_of_interfaces(setting, finding, kind):
    code, found = findings(f"echo 1 >/proc/sys/{setting}")
    assert code == (8 if kind == "problem" else 0)
    assert found[finding]["kind"] == kind
    assert "eth7" in found[finding]["seen"]
    assert finding not in findings()[1]


def test_a_strict_reverse_path_filter_with_two_ways_out():
    ways = "ip link set eth7 up; ip link set eth8 up; ip addr add 10.0.7.1/24 dev eth7;" \
           "ip addr add 10.0.8.1/24 dev eth8; ip route add default via 10.0.7.2;" \
           "ip route add default via 10.0.8.2 metric 9; "
    code, found = findings(ways + "echo 1 >/proc/sys/net/ipv4/conf/eth8/rp_filter")
    assert code == 8
    assert "eth8" in found["rp-filter"]["seen"]
    code, found = findings(ways + "echo 2 >/proc/sys/net/ipv4/conf/eth8/rp_filter")
    assert code == 0 and "rp-filter" not in found


def test_forwarding_and_bridges():
    code, found = findings()
    assert "passes no packets on" in found["forwarding"]["what"] and "bridges" not in found
    code, found = findings("echo 1 >/proc/sys/net/ipv4/ip_forward; ip link add br7 type bridge")
    assert code == 0
    assert "of IPv4" in found["forwarding"]["what"]
    assert "br7" in found["bridges"]["what"]


def test_a_daemon_in_this_network_counts_and_one_elsewhere_does_not():
    daemon = "cp /bin/sleep /run/firewalld; {} /run/firewalld 60 >/dev/null 2>&1 & " \
             "until pgrep -x firewalld >/dev/null; do sleep 0.05; done; "
    lab = "mount -t proc none /proc\n"
    for word, there in (("", True), ("unshare -n", False)):
        text = f'{PRIVATE}\n{lab}{daemon.format(word)}\nset +e\n"$RINGWALL" doctor --json'
        result = subprocess.run(["unshare", "-mnpf", "--kill-child", "--propagation", "private", "sh", "-ec", text],
                                capture_output=True, text=True, timeout=TIMEOUT,
                                env={**ENVIRONMENT, "RINGWALL": RINGWALL})
        ids = {f["id"] for f in json.loads(result.stdout)["findings"]}
        assert ("rival.firewalld" in ids) == there, word
        assert result.returncode == (8 if there else 0)


def beside(preparation="", **more):
    """What was found, or could not be looked at, by kind; and the kinds that were not."""
    result = doctor(preparation, "--json", **more)
    assert result.stderr == ""
    found, absent = {}, set()
    for b in json.loads(result.stdout)["beside"]:
        if b["state"] == "absent":
            absent.add(b["kind"])
        else:
            found.setdefault(b["kind"], []).append(b)
    assert not absent & found.keys()
    return found, absent


def test_nothing_beside_nftables():
    text = doctor().stdout
    assert "beside nftables\n" in text and "  not found: " in text and "\n  found  " not in text
    found, absent = beside()
    assert found == {}
    assert {"legacy-tables", "xdp", "tc", "docker-proxy", "proxy"} <= absent


@pytest.mark.parametrize("rule, effect", [
    ("iptables-legacy -A INPUT -p tcp --dport 80 -j DROP", "none"),
    ("iptables-legacy -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 11434", "lets-in"),
    ("iptables-legacy -t raw -A PREROUTING -p tcp -j NOTRACK", "lets-in"),
])
def test_a_legacy_table_lets_in_only_what_it_could_redirect(rule, effect):
    table, = beside(rule)[0]["legacy-tables"]
    assert (table["state"], table["effect"], table["families"]) == ("found", effect, ["IPv4"])


def test_a_legacy_table_that_lets_all_through_is_none():
    """As whoever only looks at it leaves it."""
    found, absent = beside("iptables-legacy -t nat -L -n >/dev/null")
    assert found == {} and "legacy-tables" in absent


def test_settings_and_links_beside_nftables():
    found, _ = beside("echo 1 >/proc/sys/net/ipv4/conf/eth7/route_localnet; tc qdisc add dev eth7 clsact;"
                      "ip link add br7 type bridge; ip link add eth9 type veth peer name eth10;"
                      "ip link set eth9 master br7")
    assert found.keys() == {"route-localnet"}, "a qdisc without filters, a bridge without a way out"
    assert [b["interface"] for b in found["route-localnet"]] == ["eth7"]
    assert found["route-localnet"][0]["effect"] == "none"


def test_a_macvlan_in_another_namespace_is_found():
    there = "unshare -n sleep 60 >/dev/null 2>&1 & there=$!; trap 'kill $there' EXIT; n=0;" \
            "until [ $(readlink /proc/$there/ns/net) != $(readlink /proc/self/ns/net) ] || [ $n = 200 ];" \
            "do sleep 0.05; n=$((n + 1)); done; ip link add mv0 link {} type macvlan; ip link set mv0 netns $there"
    found, _ = beside(there.format("eth7"))
    macvlan, = found["macvlan"]
    assert (macvlan["effect"], macvlan["interface"], macvlan["behind"]) == ("lets-in", "eth7", True)
    assert "mv0" in macvlan["what"]


RELAY = """
cp "$(readlink -f /usr/bin/python3)" /run/docker-proxy
cat >/run/relay.py <<END
import socket, time
listening = socket.create_server(("{address}", 8080))
open("/run/ready", "w").close()
time.sleep(60)
END
/run/docker-proxy /run/relay.py -proto tcp -host-ip {address} -host-port 8080 -container-ip 172.17.0.2 \\
    -container-port 11434 >/dev/null 2>&1 &
relay=$!
trap 'kill $relay' EXIT
n=0; until [ -e /run/ready ] || [ $n = 200 ]; do sleep 0.05; n=$((n + 1)); done
"""


def test_a_relay_is_told_with_its_target():
    relay, = beside(RELAY.format(address="0.0.0.0"))[0]["docker-proxy"]
    assert (relay["effect"], relay["protocol"], relay["port"], relay["targetPort"]) == ("relays", "tcp", 8080, 11434)
    assert "goes to port 11434" in relay["what"] and relay["hint"]
    assert "docker-proxy" in beside(RELAY.format(address="127.0.0.1"))[1]


def test_without_root_what_lies_beside_is_unknown():
    found, _ = beside(before="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all")
    assert {b["state"] for b in found["sk-lookup"]} == {"unknown"}
    assert found["sk-lookup"][0]["effect"] == "lets-in"
    assert found["sk-lookup"][0]["hint"] == "run this as root"


def test_without_root_it_says_what_it_could_not_see():
    code, found = findings(before="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all")
    assert code == 4
    assert found["kernel"]["kind"] == "unknown"
    assert found["kernel"]["advice"] == "run this as root"


def test_nothing_is_changed():
    result = doctor(before='"$RINGWALL" doctor >/dev/null; nft list tables; ip route; exec >/dev/null;')
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_it_takes_no_argument():
    result = run("doctor", "policy.yaml")
    assert result.returncode == 2 and "no argument" in result.stderr

# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracle on policies of several files, worked out by hand from POLICY.md."""

import oracle
from example import CATALOGUE, WHO, the_host
from host import TCP, Packet, address


def load(folder, files, main="policy.yaml"):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return oracle.load_files(str(folder / main), CATALOGUE)


def ask(policy, who, port, to="here", came_in="eth0"):
    p = Packet(
        4, address(WHO[who][0])[1], address(WHO[to][0])[1], TCP, 40000, port, came_in=came_in
    )
    host = the_host()
    host.translations.clear()
    return policy.judge(host.situate(p))


ANY = "{ allow: any, from: anywhere }"


def test_the_lists_of_the_files_in_policy_d_append(tmp_path):
    p = load(
        tmp_path,
        {
            "policy.yaml": "ringwall: 1\ninbound: [allow: ssh]\n",
            "policy.d/10-a.yaml": "ringwall: 1\ninbound:\n\n- allow: https\n- deny: ssh\n",
            "policy.d/20-b.yaml": f"ringwall: 1\ninbound: [{ANY}]\nprotected: [services: ollama]\n",
            "policy.d/notes.txt": "ringwall: 1\ninbound: [deny: 80/tcp]\n",
            "other.d/10-a.yaml": "ringwall: 1\ninbound: [deny: 80/tcp]\n",
        },
    )
    assert ask(p, "lan", 22).places == {(str(tmp_path / "policy.d/10-a.yaml"), 5)}
    assert ask(p, "lan", 443).places == {
        (str(tmp_path / "policy.d/10-a.yaml"), 4),
        (str(tmp_path / "policy.d/20-b.yaml"), 2),
    }
    assert ask(p, "lan", 80).verdict == "accept"
    assert ask(p, "lan", 11434).places == {(str(tmp_path / "policy.d/20-b.yaml"), 3)}


def test_a_files_policy_d_is_the_folder_of_that_name_beside_it(tmp_path):
    files = {
        "mine/other.yaml": "ringwall: 1\n",
        "mine/policy.d/a.yaml": "ringwall: 1\ninbound: [allow: ssh]\n",
        "policy.d/a.yaml": "ringwall: 1\ninbound: [allow: https]\n",
    }
    p = load(tmp_path, files, "mine/other.yaml")
    assert ask(p, "lan", 22).verdict == "accept" and ask(p, "lan", 443).verdict == "drop"


def test_includes_are_paths_and_globs_and_include_further_files(tmp_path):
    p = load(
        tmp_path,
        {
            "policy.yaml": "ringwall: 1\ninclude: [sub/a.yaml, 'parts/*.yaml', parts/two.yaml]\n",
            "sub/a.yaml": "ringwall: 1\ninclude: b.yaml\ninbound: [allow: ssh]\n",
            "sub/b.yaml": "ringwall: 1\ninbound: [allow: https]\n",
            "b.yaml": "ringwall: 1\ninbound: [allow: 1/tcp]\n",
            "parts/one.yaml": "ringwall: 1\ninbound: [allow: 80/tcp]\n",
            "parts/two.yaml": "ringwall: 1\ninbound: [allow: 53/tcp]\n",
            "parts/three.yml": "ringwall: 1\ninbound: [allow: 2/tcp]\n",
        },
    )
    for port, verdict in ((22, "accept"), (443, "accept"), (80, "accept"), (53, "accept")):
        assert ask(p, "lan", port).verdict == verdict, port
    assert ask(p, "lan", 1).verdict == ask(p, "lan", 2).verdict == "drop"
    # named twice, read once
    assert len(p.sections["inbound"].rules) == 4


def test_zones_services_and_settings_of_every_file_hold_in_all(tmp_path):
    p = load(
        tmp_path,
        {
            "policy.yaml": "ringwall: 1\ninbound: [{ allow: app, from: far }]\n"
            "settings: { containers: closed }\n",
            "policy.d/a.yaml": "ringwall: 1\nzones: { far: [198.51.100.0/24] }\n"
            "settings: { antispoof: strict }\n",
            "policy.d/b.yaml": "ringwall: 1\nservices: { app: { tcp: 7 }, ssh: { tcp: 2222 } }\n"
            "zones: { unused: [far] }\n",
        },
    )
    assert ask(p, "internet", 7).verdict == "accept"
    assert ask(p, "internet", 7, came_in="eth1").why == "antispoof"
    assert p.services["ssh"].contains(TCP, 2222, 0) and not p.services["ssh"].contains(TCP, 22, 0)
    assert ask(p, "container", 7, to="internet", came_in="docker0").verdict == "drop"


def test_the_short_forms_are_read_as_long_ones_before_they_are_merged(tmp_path):
    def refuses(first, second, section="outbound"):
        p = load(
            tmp_path,
            {
                "policy.yaml": f"ringwall: 1\n{first}",
                "policy.d/a.yaml": f"ringwall: 1\n{second}",
            },
        )
        return p.sections[section].fallback

    deny, allow = "outbound: [deny: 25/tcp]\n", "outbound: [allow: https]\n"
    assert refuses(deny, deny) == "allow"
    assert refuses(deny, allow) == "reject"
    assert refuses(allow, deny) == "reject"
    assert refuses(deny, "outbound: drop\n") == "drop"
    assert refuses("outbound: reject\n", allow) == "reject"
    assert refuses("outbound: { default: drop, rules: [allow: https] }\n", deny) == "drop"
    assert refuses("inbound: [allow: ssh]\n", "inbound: reject\n", "inbound") == "reject"
    assert refuses("inbound: [allow: ssh]\n", "inbound: { log: yes }\n", "inbound") == "drop"


def test_a_zones_list_holds_addresses_networks_ranges_and_comments(tmp_path):
    p = load(
        tmp_path,
        {
            "policy.yaml": "ringwall: 1\ninclude: sub/a.yaml\n"
            "zones: { here: { file: list.txt, addresses: [192.0.2.1], except: 10.0.0.7 } }\n",
            "sub/a.yaml": "ringwall: 1\nzones: { there: { file: list.txt, interfaces: [eth1] } }\n",
            "list.txt": "# all of it\n10.0.0.0/24 # a network\n\n  10.1.0.1\n10.2.0.0-10.2.0.9#\n"
            "fd00::/64\n",
            "sub/list.txt": "203.0.113.0/24\n",
        },
    )

    def has(zone, text, interface="eth0"):
        return p.zones[zone].contains(interface, *address(text))

    for text in ("10.0.0.0", "10.0.0.255", "10.1.0.1", "10.2.0.9", "192.0.2.1", "fd00::9"):
        assert has("here", text), text
    for text in ("10.0.0.7", "10.0.1.0", "10.1.0.2", "10.2.0.10", "203.0.113.9", "fd00:0:0:1::"):
        assert not has("here", text), text
    assert has("there", "203.0.113.9", "eth1") and not has("there", "203.0.113.9", "eth0")
    assert not has("there", "10.0.0.1", "eth1")


def test_an_empty_list_is_a_zone_that_nobody_is_in(tmp_path):
    p = load(
        tmp_path,
        {"policy.yaml": "ringwall: 1\nzones: { z: { file: l.txt } }\n", "l.txt": "# nothing\n"},
    )
    assert not p.zones["z"].contains("eth0", *address("10.0.0.1"))
    assert not p.zones["z"].contains("eth0", *address("fd00::1"))

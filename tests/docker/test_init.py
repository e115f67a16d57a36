# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall init` sees what a real Docker publishes by its rules alone."""

import re

from host_with_docker import HOST
from program import ringwall


def test_init_names_and_protects_what_docker_publishes_without_a_proxy(host):
    host.docker.restart("--userland-proxy=false")
    host.docker.run("ollama", "8443:11434")
    host.docker.run("n8n", "127.0.0.1:5678:5678", listen=5678)
    packet = ("203.0.113.2", HOST[4], 8443, "eth0")
    assert host.send(packet) == [{"ollama": 11434}]
    text = ringwall(host.lab, *"init --yes --ssh-from 10.40.10.0/24 --public https -o -".split()).stdout
    assert re.search(r"8443/tcp +Docker, to port 11434 of a container", text), text
    assert re.search(r" 443/tcp +Docker, to port 80 of a container", text), text
    assert "5678/tcp" not in text  # at loopback
    host.use(text)
    claims = [c for c in host.verify(text, 0) if c["kind"] == "protected"]
    assert any("ollama" in c["claim"] for c in claims)
    assert host.send(packet) == [{}]

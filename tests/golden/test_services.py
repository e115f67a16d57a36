# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue's services for those who host AI themselves, and the manual page made of them."""

import re
import subprocess
import sys

import pytest
import yaml

import golden

CATALOGUE = golden.ROOT / "policies/catalogue.yaml"
# what they mean by name, whatever else the catalogue knows
ASKED_FOR = """
    ollama vllm llama-cpp lm-studio tgi triton comfyui open-webui n8n flowise langflow dify-api
    qdrant milvus weaviate chroma jupyter mlflow ray litellm grafana prometheus loki postgresql
    redis mongodb elasticsearch docker-api kubelet
    sglang localai xinference invokeai stable-diffusion-webui koboldcpp text-generation-webui
    tabby-ml anything-llm librechat searxng temporal airflow label-studio minio nats kafka rabbitmq
    clickhouse influxdb neo4j typesense meilisearch opensearch kibana langfuse phoenix tika
    unstructured whisper-cpp speaches piper xtts dcgm-exporter node-exporter cadvisor portainer
""".split()


@pytest.fixture(name="services", scope="module")
def read_services():
    return yaml.safe_load(CATALOGUE.read_text())["services"]


def under(*headings):
    """The names below these headings of the file."""
    names, heading = [], None
    for line in CATALOGUE.read_text().splitlines():
        if line.startswith("  # ---- "):
            heading = line[9:]
        name = re.match(r"  ([a-z0-9-]+):(?! *$)", line)  # no group
        if name and heading and heading.startswith(headings):
            names.append(name[1])
    return names


def test_sixty_services_of_those_who_host_ai_themselves_are_known(services):
    names = under("model servers", "around the models")
    assert len(names) >= 60
    assert set(ASKED_FOR) <= set(services)


def test_what_a_network_asks_of_itself_does_not_belong_on_the_internet(services):
    for name in ("dhcp", "dhcpv6", "mdns", "llmnr", "ssdp", "ws-discovery", "snmp", "tftp", "smb",
                 "nfs", "rpcbind", "telnet", "vnc", "x11", "ipmi", "libvirt", "flannel"):
        assert services[name].get("internal") is True, name


def test_none_of_them_belongs_on_the_internet(services):
    for name in under("model servers", "around the models", "databases", "engines", "watching"):
        assert services[name].get("internal") is True, name
    for name in ASKED_FOR:
        assert services[name].get("internal") is True, name


def test_the_group_of_backends_holds_the_models_and_no_port_of_everybodys(services):
    group = services["ai-backends"]
    assert len(group) == len(set(group))
    assert {"ollama", "vllm", "llama-cpp", "lm-studio", "triton", "comfyui", "open-webui", "n8n",
            "langflow", "qdrant", "milvus", "weaviate", "chroma", "jupyter", "mlflow", "ray",
            "litellm"} <= set(group)
    for name in group:
        ports = services[name]["tcp"]
        for port in ports if isinstance(ports, list) else [ports]:
            assert port not in (22, 80, 443, 3000, 9000, 9090), name


def test_the_manual_page_has_every_zone_and_service(services):
    page = subprocess.run(
        [sys.executable, "-B", golden.ROOT / "man/catalogue.py", golden.RINGWALL, CATALOGUE,
         golden.ROOT / "man/ringwall-catalogue.5.scd.in"],
        capture_output=True, text=True, timeout=golden.SECONDS, check=True).stdout
    assert "@" not in page
    for name in [*services, *yaml.safe_load(CATALOGUE.read_text())["zones"]]:
        assert f"*{name}*\n" in page, name
    assert "[ *ollama*\n:[ 11434/tcp\n:[ internal; default: OLLAMA\\_HOST\n" in page


def test_other_names_lead_to_what_the_catalogue_has(services):
    source = (golden.ROOT / "src/policy/service_alias.c").read_text()
    rows = re.findall(r'\{"([^"]+)", "([^"]+)"\},', source)
    assert len(rows) > 40 and rows == sorted(rows)
    for alias, name in rows:
        assert alias not in services, alias
        assert name in services or re.fullmatch(r"\d+/tcp", name), name

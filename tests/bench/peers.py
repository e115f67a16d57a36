# SPDX-License-Identifier: GPL-2.0-or-later
"""ufw and firewalld as they are when somebody enables them, with so many allows, and a UDP port open
after these; in a network namespace, and with folders of their own. What runs of them is ended again, the
rules stay."""

import os
import shutil
import subprocess
from pathlib import Path

import lab
import shapes
from measure import ROOT, TIMEOUT, call
from rulers import BUS

PACKAGES = ("nftables", "iptables", "ipset", "ufw", "firewalld", "fail2ban", "sshguard", "dbus-daemon")

DOCKER = ("docker.io", "ufw", "busybox-static")  # for the row that needs them


def install():
    call(ROOT / "packaging/apt-install", *PACKAGES, timeout=600)


def versions():
    out = call("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES[:-1])
    return dict(line.split() for line in out.splitlines())


def ufw(ns, folder, n=0):
    """Its folder is hidden behind a copy, in this process's mounts; the allows are written where it
    keeps them itself."""
    lab.enter()
    own = f"{folder}/ufw.{ns}"
    shutil.copytree("/etc/ufw", own, symlinks=True)
    call("mount", "--bind", own, "/etc/ufw")
    run = ["ip", "netns", "exec", ns, "ufw"]
    call(*run, "--force", "reset")
    path = Path("/etc/ufw/user.rules")
    text = path.read_text(encoding="utf-8")
    rules = [f"-A ufw-user-input -p tcp --dport {p} -s {s}/24 -j ACCEPT\n" for s, p in shapes.pairs(n)]
    open_port = f"-A ufw-user-input -p udp --dport {shapes.OPEN} -j ACCEPT\n"
    mark = "### RULES ###\n"
    path.write_text(text.replace(mark, mark + "".join(rules) + open_port), encoding="utf-8")
    call(*run, "--force", "enable")
    call("umount", "/etc/ufw")


def stop(child):
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(20)


def rich(source, port):
    what = f'<source address="{source}/24"/><port port="{port}" protocol="tcp"/><accept/>'
    return f'<rule family="ipv4">{what}</rule>\n'


def firewalld(ns, folder, n=0):
    own = f"{folder}/firewalld.{ns}"
    os.makedirs(f"{own}/zones")
    rules = [rich(*pair) for pair in shapes.pairs(n)]
    services = '<service name="ssh"/><service name="dhcpv6-client"/>'
    last = f'<rule><port port="{shapes.OPEN}" protocol="udp"/><accept/></rule>'
    shapes.write(f"{own}/zones/public.xml", "<zone>", services, *rules, last, "</zone>\n")
    shapes.write(f"{own}/bus.conf", BUS.format(folder=own))
    shapes.write(f"{own}/firewalld.conf", "DefaultZone=public\nFirewallBackend=nftables\nCleanupOnExit=no\n")
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={own}/bus"}
    run, children = ["ip", "netns", "exec", ns], []
    try:
        for argv in (
            ["dbus-daemon", f"--config-file={own}/bus.conf", "--nofork", "--nopidfile"],
            ["firewalld", "--nofork", "--nopid", f"--system-config={own}"],
        ):
            with open(f"{own}/log", "a", encoding="utf-8") as log:
                children.append(subprocess.Popen([*run, *argv], stdout=log, stderr=log, env=env))
            lab.wait_until(lambda: os.path.exists(f"{own}/bus"), 20, "a bus")
        state = [*run, "firewall-cmd", "--state"]
        answers = lambda: subprocess.run(state, env=env, capture_output=True, check=False).returncode == 0
        lab.wait_until(answers, TIMEOUT, f"firewalld answers; see {own}/log")
    finally:
        for child in reversed(children):
            stop(child)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Other programs that rule a host's packets, the real ones, each in the lab's host namespace with folders
of its own: firewalld (with a bus of its own), fail2ban, libvirt's networks, Podman's (netavark, and the
plugins of CNI)."""

import contextlib
import json
import os
import subprocess

from lab import wait_until

DEADLINE = 20  # seconds until a program is ready


def folder(parent, name):
    path = os.path.join(str(parent), name)
    os.makedirs(path)
    return path


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def stop(child):
    child.terminate()
    try:
        child.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(DEADLINE)


class Ruler:
    """What it wrote goes into `log`; a failure shows its end."""

    def __init__(self, lab, parent, name):
        self.lab = lab
        self.folder = folder(parent, name)
        self.log = os.path.join(self.folder, "log")
        self.env = dict(os.environ)
        self.children = []

    def start(self, argv):
        with open(self.log, "a", encoding="utf-8") as f:
            child = self.lab.popen("fw", argv, stdout=f, stderr=subprocess.STDOUT, env=self.env)
        self.children.append(child)
        return child

    def run(self, *argv, text=None, check=True):
        done = self.lab.run("fw", list(argv), text, check=False, env=self.env)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}{self.said()}")
        return done.stdout

    def ready(self, *argv):
        def answers():
            gone = [c.args for c in self.children if c.poll() is not None]
            if gone:
                raise AssertionError(f"{gone} ended\n{self.said()}")
            return self.lab.run("fw", list(argv), check=False, env=self.env).returncode == 0

        wait_until(answers, DEADLINE, f"{argv[0]} answers\n{self.said()}")

    def said(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def close(self):
        for child in reversed(self.children):
            stop(child)
        self.children.clear()


# --- firewalld ---

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""
FIREWALLD = """DefaultZone=public
FirewallBackend={backend}
CleanupOnExit=yes
IPv6_rpfilter=yes
IndividualCalls=no
LogDenied=off
"""


class Firewalld(Ruler):
    def __init__(self, lab, parent, backend):
        super().__init__(lab, parent, f"firewalld-{backend}")
        write(f"{self.folder}/bus.conf", BUS.format(folder=self.folder))
        write(f"{self.folder}/firewalld.conf", FIREWALLD.format(backend=backend))
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={self.folder}/bus"
        self.start(["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork", "--nopidfile"])
        wait_until(lambda: os.path.exists(f"{self.folder}/bus"), DEADLINE, "a bus")
        self.start(["firewalld", "--nofork", "--nopid", f"--system-config={self.folder}"])
        self.ready("firewall-cmd", "--state")

    def cmd(self, *words):
        self.run("firewall-cmd", *words)


# --- fail2ban ---

JAIL = """[DEFAULT]
backend = polling
bantime = 1h
chain = INPUT
enabled = true
filter = sshd
logpath = {folder}/watched
port = 0:65535
protocol = tcp
usedns = no
"""


class Fail2ban(Ruler):
    """jails: name → its action, as a jail's file has it."""

    def __init__(self, lab, parent, jails):
        super().__init__(lab, parent, "fail2ban")
        for name in ("action.d", "filter.d", "fail2ban.conf"):
            os.symlink(f"/etc/fail2ban/{name}", f"{self.folder}/{name}")
        write(f"{self.folder}/fail2ban.local", "[Definition]\ndbfile = None\n")
        write(f"{self.folder}/watched", "")
        lines = "".join(f"[{name}]\naction = {action}\n" for name, action in jails.items())
        write(f"{self.folder}/jail.conf", JAIL.format(folder=self.folder) + lines)
        self.base = ["-c", self.folder, "-s", f"{self.folder}/socket", "-p", f"{self.folder}/pid"]
        self.start(["fail2ban-server", "-f", *self.base, "--logtarget", "STDOUT", "start"])
        self.ready("fail2ban-client", *self.base, "ping")

    def set(self, *words):
        self.run("fail2ban-client", *self.base, "set", *words)

    def ban(self, jail, *addresses):
        """Until the rules are there: the server says so only later."""
        self.set(jail, "banip", *addresses)
        for address in addresses:
            wait_until(lambda a=address: a in self.rules(), DEADLINE, f"a ban of {address}\n{self.said()}")

    def rules(self):
        return self.run("nft", "list", "ruleset") + self.run("ipset", "list", check=False)


# --- libvirt ---

LIBVIRTD = 'auth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_dir = "/run/libvirt"\n'
NETWORK = """<network>
  <name>{name}</name>
  {forward}
  <bridge name="{name}" stp="off" delay="0"/>
  <dns enable="no"/>
  <ip address="{v4}.1" netmask="255.255.255.0"/>
  <ip family="ipv6" address="{v6}::1" prefix="64"/>
</network>
"""


def hidden(path):
    """An empty folder in its place, in this lab's mounts."""
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True, timeout=DEADLINE)


class Libvirt(Ruler):
    """The daemon with its driver of networks alone."""

    def __init__(self, lab, parent):
        super().__init__(lab, parent, "libvirt")
        for path in ("/run/libvirt", "/var/lib/libvirt", "/etc/libvirt", "/var/cache/libvirt"):
            hidden(path)
        write("/etc/libvirt/libvirtd.conf", LIBVIRTD)
        drivers = folder(self.folder, "drivers")
        name = "libvirt_driver_network.so"
        (found,) = [
            os.path.join(at, name)
            for at, _, files in os.walk("/usr/lib")
            if name in files and at.endswith("libvirt/connection-driver")
        ]
        os.symlink(found, f"{drivers}/{name}")
        self.env["LIBVIRT_DRIVER_DIR"] = drivers
        self.networks = []
        self.start(["libvirtd", "-f", "/etc/libvirt/libvirtd.conf"])
        self.ready(*self._virsh("net-list"))

    @staticmethod
    def _virsh(*words):
        return ["virsh", "-q", "-c", "network:///system", *words]

    def network(self, name, forward, v4, v6):
        """forward: nat, route, or "" for one that leads nowhere."""
        path = f"{self.folder}/{name}.xml"
        mode = f'<forward mode="{forward}"/>' if forward else ""
        write(path, NETWORK.format(name=name, forward=mode, v4=v4, v6=v6))
        self.run(*self._virsh("net-create", path))
        self.networks.append(name)

    def close(self):
        for name in self.networks:
            self.run(*self._virsh("net-destroy", name), check=False)
        super().close()


# --- Podman ---


def netavark(lab, parent, verb, ns, v4, v6, ports):
    """What Podman asks of netavark for a container: ports are (dialled, container's, how many)."""
    network = {
        "driver": "bridge",
        "id": "5" * 64,
        "internal": False,
        "dns_enabled": False,
        "ipv6_enabled": True,
        "name": "podman",
        "network_interface": "podman0",
        "subnets": [
            {"gateway": f"{v4}.1", "subnet": f"{v4}.0/24"},
            {"gateway": f"{v6}::1", "subnet": f"{v6}::/64"},
        ],
        "ipam_options": {"driver": "host-local"},
    }
    config = {
        "container_id": "c" * 64,
        "container_name": "tried",
        "networks": {
            "podman": {"interface_name": "eth1", "static_ips": [f"{v4}.2", f"{v6}::2"]}
        },
        "network_info": {"podman": network},
        "port_mappings": [
            {
                "container_ip": "",
                "container_port": own,
                "host_ip": "",
                "host_port": dialled,
                "protocol": "tcp",
                "range": n,
            }
            for dialled, own, n in ports
        ],
    }
    path = os.path.join(str(parent), "netavark")
    os.makedirs(path, exist_ok=True)
    lab.run(
        "fw",
        ["/usr/lib/podman/netavark", "--config", path, verb, f"/run/netns/{ns}"],
        json.dumps(config),
        env={**os.environ, "NETAVARK_FW": "iptables"},
    )


@contextlib.contextmanager
def podman(lab, parent, ns, v4, v6, ports):
    netavark(lab, parent, "setup", ns, v4, v6, ports)
    try:
        yield
    finally:
        netavark(lab, parent, "teardown", ns, v4, v6, ports)


CNI = "/usr/lib/cni"


@contextlib.contextmanager
def cni(lab, parent, ns, v4, port, own):
    """A container as Podman has it by CNI: a bridge with masquerade, a published port, and the plugin
    that lets it through."""
    common = {"cniVersion": "0.4.0", "name": "podman"}
    plugins = [
        {
            **common,
            "type": "bridge",
            "bridge": "cni-podman0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "routes": [{"dst": "0.0.0.0/0"}],
                "ranges": [[{"subnet": f"{v4}.0/24", "gateway": f"{v4}.1"}]],
                "dataDir": f"{parent}/ipam",
            },
        },
        {
            **common,
            "type": "portmap",
            "capabilities": {"portMappings": True},
            "runtimeConfig": {
                "portMappings": [{"hostPort": port, "containerPort": own, "protocol": "tcp"}]
            },
        },
        {**common, "type": "firewall"},
    ]
    env = {
        **os.environ,
        "CNI_CONTAINERID": "tried",
        "CNI_NETNS": f"/run/netns/{ns}",
        "CNI_IFNAME": "eth1",
        "CNI_PATH": CNI,
    }

    def call(command, plugin, result):
        asked = {**plugin, "prevResult": result} if result else plugin
        done = lab.run(
            "fw",
            [f"{CNI}/{plugin['type']}"],
            json.dumps(asked),
            env={**env, "CNI_COMMAND": command},
        )
        return json.loads(done.stdout) if done.stdout else result

    result = None
    for plugin in plugins:
        result = call("ADD", plugin, result)
    try:
        yield
    finally:
        for plugin in reversed(plugins):
            call("DEL", plugin, result)

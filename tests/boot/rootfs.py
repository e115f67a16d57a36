# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Debian with systemd, made once, and what is laid over it: the package under test.

Nothing of it is started on this machine, and nothing is written outside of the folder."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from image import SUITE, call, mirror

PACKAGES = ["systemd", "systemd-sysv", "iproute2", "nftables", "openssh-server"]
# Other firewalls, and what they need: fetched with the rest, installed where a test wants them.
RIVALS = ["ufw", "iptables", "firewalld", "dbus"]
FAIL2BAN = ["fail2ban"]
MAKE_SECONDS, TOOL_SECONDS = 900, 120
# What has nothing to do in such a machine.
MASKED = """
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
systemd-timesyncd.service console-getty.service getty.target systemd-udevd.service
systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket
systemd-networkd.service systemd-networkd.socket systemd-resolved.service ssh.service
""".split()
# The network, as early as any program may bring it up.
NETWORK = """[Unit]
DefaultDependencies=no
Wants=network-pre.target
After=network-pre.target systemd-remount-fs.service
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip link set lo up
ExecStart=/sbin/ip addr add 203.0.113.1/24 dev eth0
ExecStart=/sbin/ip addr add 2001:db8:ffff::1/64 dev eth0 nodad
ExecStart=/sbin/ip link set eth0 up
[Install]
WantedBy=sysinit.target
"""


# dpkg waits for the disk after each file; where nothing is kept there is nothing to wait for.
ON_A_TMPFS = """quick=$1 root=$2
shift 2
mount -t tmpfs tmpfs "$quick"
debootstrap --variant=minbase "$@" || { tail -n 20 "$quick/root/debootstrap/debootstrap.log"; exit 1; }
rm -rf "$quick/root/var/cache/apt"
cp -a "$quick/root" "$root"
"""


def _needed(package):
    """What a package depends on, the first of each choice."""
    listed = call(["dpkg-deb", "-f", package, "Depends"], text=True)
    return [re.split(r"[ |(]", word.strip())[0] for word in listed.split(",")]


def make(folder, package):
    """The folder of the system without the package, but with what it depends on. Does nothing if it is
    there already."""
    packages = PACKAGES + [name for name in _needed(package) if name not in PACKAGES]
    stamp = folder / "stamp"
    text = Path(__file__).read_text() + " ".join(packages)
    digest = hashlib.sha256(text.encode()).hexdigest()
    root = folder / "root"
    if stamp.exists() and stamp.read_text() == digest:
        return root
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    quick = folder / "quick"
    quick.mkdir()
    words = ["unshare", "-m", "--propagation", "private", "sh", "-ec", ON_A_TMPFS, "sh", quick, root]
    call([*words, f"--include={','.join(packages)}", SUITE, quick / "root", *mirror()], MAKE_SECONDS)
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n::1 localhost\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/systemd/system/network.service").write_text(NETWORK)
    inside(root, "systemctl", "mask", *MASKED)
    inside(root, "systemctl", "enable", "network.service")
    _fetch(root, folder / "debs", RIVALS)
    _fetch(root, folder / "fail2ban", FAIL2BAN)
    stamp.write_text(digest)
    return root


def _fetch(root, to, packages):
    """Packages, and what the system lacks of what they need. By its own lists, and this machine's way to
    the mirror."""
    (to / "partial").mkdir(parents=True)
    state, etc = root / "var/lib", root / "etc/apt"
    options = [f"Dir::State::status={state}/dpkg/status", f"Dir::State::lists={state}/apt/lists"]
    options += [f"Dir::Etc::sourcelist={etc}/sources.list", "Dir::Etc::sourceparts=-"]
    options += [f"Dir::Cache::archives={to}", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache="]
    options += ["Debug::NoLocking=1", "APT::Sandbox::User=root"]
    words = ["apt-get", "-qq", "-y", "--no-install-recommends", "--download-only"]
    words += [word for option in options for word in ("-o", option)]
    call([*words, "install", *packages], MAKE_SECONDS)


def inside(root, *words):
    """Runs a program of that system, while it is not booted."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
    }
    return call(["unshare", "-n", "chroot", root, *words], TOOL_SECONDS, text=True, env=environment)


def lay_over(lowers, upper, at):
    """Mounts the folders over each other at a path; the first is the topmost."""
    work = upper.parent / f"{upper.name}.work"
    for path in (upper, work, at):
        path.mkdir(parents=True)
    layers = ":".join(str(lower) for lower in lowers)
    options = f"lowerdir={layers},upperdir={upper},workdir={work}"
    call(["mount", "-t", "overlay", "overlay", "-o", options, at])


def install(root, folder, package):
    """A layer with the package installed, as it is before the next boot."""
    at = folder / "installing"
    lay_over([root], folder / "package", at)
    try:
        shutil.copy(package, at / "root/ringwall.deb")
        inside(at, "dpkg", "--force-unsafe-io", "-i", "/root/ringwall.deb")
        (at / "root/ringwall.deb").unlink()
    finally:
        call(["umount", at])
    return folder / "package"


def add_rivals(root, lowers, folder):
    """A layer with other firewalls installed over the others; none of them was started, nor is at the next
    boot. root: as make() returned it."""
    return _add(root, lowers, folder, "debs", ["systemctl", "disable", "firewalld.service"])


def add_fail2ban(root, lowers, folder):
    """Likewise, but it starts at the next boot, with the settings that it has then."""
    return _add(root, lowers, folder, "fail2ban", ["systemctl", "enable", "fail2ban.service"])


def _add(root, lowers, folder, source, last):
    at, layer = folder / "adding", folder / source
    lay_over(lowers, layer, at)
    try:
        debs = at / "root/debs"
        shutil.copytree(root.parent / source, debs, ignore=shutil.ignore_patterns("partial", "lock"))
        names = sorted(f"/root/debs/{path.name}" for path in debs.glob("*.deb"))
        # their order is dpkg's business only once all of them are there
        inside(at, "dpkg", "--force-unsafe-io", "--force-depends", "--unpack", *names)
        inside(at, "dpkg", "--force-unsafe-io", "--configure", "-a")
        inside(at, *last)
        shutil.rmtree(debs)
    finally:
        call(["umount", at])
    return layer

# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 12's packages as a disk that a virtual machine boots: unpacked, never installed.

No maintainer script runs, nothing is started, and nothing of it reaches the machine's own system.
What is made stays in a folder and is made anew when this file changes."""

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"  # of everything but the kernel
KERNEL = "linux-image-cloud-amd64"
PACKAGES = [
    "busybox-static",  # the first programs, before there is a disk
    "kmod",
    "iproute2",
    "nftables",
    "python3",
    "python3-pytest",
    "python3-yaml",
    "strace",
]
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr
DISK_SIZE = 1 << 30  # sparse
DISK_MODULES = ("virtio_pci", "virtio_blk")  # not built into the kernel, unlike ext4
DOWNLOAD_SECONDS, TOOL_SECONDS = 600, 120

FIRST_PROCESS = """#!/bin/busybox sh
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
/bin/busybox mount -t tmpfs tmpfs /root/tmp
/bin/busybox mkdir /root/tmp/tree
/bin/busybox tar -x -f /root/dev/vdb -C /root/tmp/tree
exec /bin/busybox switch_root /root "/tmp/tree/$start"
"""


def call(words, seconds=TOOL_SECONDS, **options):
    """What it printed. CalledProcessError holds that, too."""
    done = subprocess.run(
        [str(word) for word in words],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=True,
        **options,
    )
    return done.stdout


class Image:
    """folder/kernel, folder/initramfs and folder/disk. The kernel mounts the disk, unpacks the tar
    that stands on a second one into /tmp/tree, and runs `start` of its command line there."""

    def __init__(self, folder, kernel_suite):
        self.kernel_suite = kernel_suite
        self.folder = Path(folder)
        self.kernel = self.folder / "kernel"
        self.initramfs = self.folder / "initramfs"
        self.disk = self.folder / "disk"
        self._stamp = self.folder / "stamp"

    def make(self):
        """Does nothing if it is there already."""
        stamp = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        if self._stamp.exists() and self._stamp.read_text() == stamp:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        root = self.folder / "root"
        self._unpack(self._download(), root)
        shutil.rmtree(self.folder / "download")
        version = next((root / "lib/modules").iterdir()).name
        shutil.copy(root / f"boot/vmlinuz-{version}", self.kernel)
        call(["chroot", root, "/sbin/depmod", version])
        self._compile(root)
        self._make_initramfs(root, version)
        self._make_disk(root)
        shutil.rmtree(root)
        self._stamp.write_text(stamp)

    def _download(self):
        """The packages' files."""
        if self.kernel_suite == SUITE:
            return self._fetch(SUITE, [KERNEL, *PACKAGES])
        kernel = self._fetch(self.kernel_suite, [KERNEL])
        return [p for p in kernel if p.name.startswith("linux-image-")] + self._fetch(
            SUITE, PACKAGES
        )

    def _fetch(self, suite, packages):
        """debootstrap finds out which others those need, and checks their signatures."""
        target = self.folder / "download" / suite
        words = ["debootstrap", "--download-only", "--variant=minbase", "--arch=amd64"]
        words += [f"--include={','.join(packages)}", suite, target, *mirror()]
        call(words, DOWNLOAD_SECONDS)
        return sorted((target / "var/cache/apt/archives").glob("*.deb"))

    def _unpack(self, packages, root):
        for name in MERGED:
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for package in packages:
            with subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
            ) as tar:
                call(
                    ["tar", "-x", "--keep-directory-symlink", "-C", root],
                    stdin=tar.stdout,
                )
            if tar.returncode != 0:
                raise RuntimeError(f"{package.name} cannot be unpacked")
        for name in ("proc", "sys", "dev", "run", "tmp", "root"):
            (root / name).mkdir(exist_ok=True)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")

    def _compile(self, root):
        """Python's own modules, as the packages' scripts would: else every guest does it anew."""
        folders = [f"/usr/lib/{path.name}" for path in (root / "usr/lib").glob("python3*")]
        call(["chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", *folders])

    def _make_initramfs(self, root, version):
        """busybox, and what it takes to see the disk."""
        tree = self.folder / "initramfs.d"
        for name in ("bin", "modules", "dev", "root"):
            (tree / name).mkdir(parents=True)
        shutil.copy(root / "bin/busybox", tree / "bin")
        paths = {}  # in the order in which they are loaded
        for module in DISK_MODULES:
            words = ["chroot", root, "/sbin/modprobe", "-S", version, "--show-depends", module]
            for line in call(words, text=True).splitlines():
                paths[line.split()[1].lstrip("/")] = True  # insmod PATH
        for number, path in enumerate(paths):
            shutil.copy(root / path, tree / f"modules/{number:02}.ko")
        (tree / "init").write_text(FIRST_PROCESS)
        (tree / "init").chmod(0o755)
        names = sorted(str(p.relative_to(tree)) for p in tree.rglob("*"))
        done = subprocess.run(
            [root / "bin/busybox", "cpio", "-o", "-H", "newc"],
            cwd=tree,
            input="\n".join(names).encode() + b"\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_SECONDS,
            check=True,
        )
        self.initramfs.write_bytes(gzip.compress(done.stdout, 1))
        shutil.rmtree(tree)

    def _make_disk(self, root):
        with open(self.disk, "wb") as f:
            f.truncate(DISK_SIZE)
        call(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, self.disk])


def mirror():
    """The one that this machine's apt uses for Debian; none: debootstrap's own choice."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    listed = call([*words, "Origin: Debian", f"Codename: {SUITE}"], text=True).split()
    return listed[:1]

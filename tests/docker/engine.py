# SPDX-License-Identifier: GPL-2.0-or-later
"""A real dockerd in the lab's host namespace, with processes, mounts and folders of its own: all of it
ends with the first process of them, however that ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tarfile

from lab import wait_until

BUSYBOX = "/bin/busybox"
IMAGE = "tiny:1"
IMPORT = "/images/create?fromSrc=-&repo=tiny&tag=1"  # its answer is one object a line
SECONDS = 20  # that one answer may take
# Its own /run keeps its sockets apart, whose paths may not be long; it writes a key into /etc/docker.
START = "mount -t tmpfs none /run && mount -t tmpfs none /etc/docker && exec dockerd \"$@\""
RUN = ["--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--host", "unix:///run/docker.sock"]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("docker", timeout=SECONDS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self.path)


class Engine:
    def __init__(self, lab, folder, *options):
        """options: dockerd's own, beside those that make it one of this folder."""
        self.lab, self.folder = lab, str(folder)
        self.process, self.first = None, None  # first: process 1 of its own, as seen from here
        self.ports, self.networks = {}, []  # of containers: where their servers listen
        self.start(*options)
        self._import()

    # --- the daemon ---

    def start(self, *options):
        self.options = options
        words = [*RUN, "--data-root", os.path.join(self.folder, "data"), "--storage-driver", "vfs"]
        words += ["--exec-opt", "native.cgroupdriver=cgroupfs", *options]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = self.lab.popen(
                "fw",
                ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
                + ["sh", "-c", START, "dockerd", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._is_up, SECONDS, f"dockerd; see {self.folder}/log")

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(_read(os.path.join(self.folder, "log"))[-3000:])
        children = _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split()
        self.first = int(children[0]) if children else None
        try:
            return self.first and self.call("GET", "/_ping") == "OK"
        except OSError:
            return False

    def stop(self):
        """With its containers, which it starts again if it is told so."""
        os.kill(self.first, signal.SIGTERM)
        self.process.wait(SECONDS)

    def restart(self, *options):
        for name in self.ports:
            self.lab.forget(name)
        self.stop()
        self.start(*options)
        for name in self.ports:
            self._await_server(name)

    def call(self, method, path, body=None):
        connection = _Connection(f"/proc/{self.first}/root/run/docker.sock")
        try:
            kind = "application/x-tar"
            if isinstance(body, dict):
                body, kind = json.dumps(body), "application/json"
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            said = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise AssertionError(f"{method} {path}: {answer.status} {said}")
        kind = answer.headers.get("Content-Type", "")
        return json.loads(said) if said and kind == "application/json" and path != IMPORT else said

    def _import(self):
        path = os.path.join(self.folder, "image.tar")
        with tarfile.open(path, "w") as tar:
            tar.add(BUSYBOX, "bin/busybox")
        with open(path, "rb") as f:
            self.call("POST", IMPORT, f.read())

    # --- containers ---

    def run(self, name, *publish, listen=11434, network="bridge"):
        """A web server. publish: as `docker run -p` has it, of TCP."""
        bindings = {}
        for words in publish:
            address, _, rest = words.rpartition(":")[0].rpartition(":")
            inner = words.rpartition(":")[2]
            bindings.setdefault(f"{inner}/tcp", []).append({"HostIp": address.strip("[]"), "HostPort": rest})
        self.call(
            "POST",
            f"/containers/create?name={name}",
            {
                "Image": IMAGE,
                "StopSignal": "SIGKILL",
                "Cmd": [BUSYBOX, "httpd", "-f", "-p", str(listen)],
                "ExposedPorts": {port: {} for port in bindings},
                "HostConfig": {
                    "PortBindings": bindings,
                    "NetworkMode": network,
                    "RestartPolicy": {"Name": "always"},
                },
            },
        )
        self.ports[name] = listen
        self.call("POST", f"/containers/{name}/start")
        self._await_server(name)

    def _await_server(self, name):
        """Its server answers this host, by every address that it has."""
        settings = self.call("GET", f"/containers/{name}/json")["NetworkSettings"]
        self.lab.know(name, f"/proc/{self.first}/root{settings['SandboxKey']}")
        for address in self.addresses(name):
            wait_until(lambda a=address: self._listens(a, self.ports[name]), SECONDS, f"{name}'s server")

    def _listens(self, address, port):
        with self.lab.inside("fw"):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with s:
            s.settimeout(1)
            return s.connect_ex((address, port)) == 0

    def remove(self, name):
        del self.ports[name]
        self.lab.forget(name)
        self.call("DELETE", f"/containers/{name}?force=1&v=1")

    def network(self, name, bridge, **options):
        """A network of the user's; options: of its creation."""
        body = {"Name": name, "Options": {"com.docker.network.bridge.name": bridge}, **options}
        self.call("POST", "/networks/create", body)
        self.networks.append(name)

    def clear(self, *but):
        for name in self.ports.keys() - set(but):
            self.remove(name)
        while self.networks:
            self.call("DELETE", f"/networks/{self.networks.pop()}")

    def addresses(self, name):
        """Of IPv4, and of IPv6 if it has one."""
        (network,) = self.call("GET", f"/containers/{name}/json")["NetworkSettings"]["Networks"].values()
        return [a for a in (network["IPAddress"], network["GlobalIPv6Address"]) if a]


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()

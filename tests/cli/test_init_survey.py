# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall init` as a survey: what it finds in namespaces of its own, what it asks on a terminal, and
what it takes without one. The listeners are real processes that are called like the programs."""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time

import pytest

from command import ENVIRONMENT, RINGWALL, TIMEOUT, run

LISTEN = """
import socket, sys
kept = []
for word in sys.argv[1].split(","):
    proto, address, port = word.split("|")
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                      socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    s.bind((address, int(port)))
    if proto == "tcp":
        s.listen()
    kept.append(s)
print("ready", flush=True)
sys.stdin.read()
"""

NETWORK = """
mount -t tmpfs none /run
mkdir /run/upper /run/work /run/bin
mount -t overlay none -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
rm -rf /etc/ufw /etc/ringwall
ip link set lo up
ip link add eth0 type veth peer name peer0
ip link set eth0 up
ip link set peer0 up
ip addr add 10.40.10.1/24 dev eth0
ip addr add fd00:40:10::1/64 dev eth0 nodad
ip route add default via 10.40.10.254
"""

# Names of programs, where they listen, and what else their command line says
SERVERS = [
    ("sshd", "tcp|0.0.0.0|22,tcp|::1|2200"),
    ("ollama", "tcp|::|11434"),
    ("postgres", "tcp|10.40.10.1|5432"),
    ("nginx", "tcp|0.0.0.0|443"),
]


class Host:
    """A network and a mount namespace that live as long as this does, with servers in them."""

    def __init__(self, folder, preparation="", servers=SERVERS):
        self.folder = folder
        self.children = []
        script = f"{NETWORK}\n{preparation}\necho ready\nexec cat"
        self.first = self.start(["unshare", "-nm", "--propagation", "private", "sh", "-ec", script])
        for name, where, *more in servers:
            self.serve(name, where, *more)

    def start(self, argv, **options):
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        self.children.append(child)
        readable, _, _ = select.select([child.stdout], [], [], TIMEOUT)
        assert readable and child.stdout.readline() == "ready\n", argv
        return child

    def inside(self, *argv):
        return ["nsenter", "-t", str(self.first.pid), "-n", "-m", f"--wd={self.folder}", *argv]

    def serve(self, name, where, *more):
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        shutil.copy(os.path.realpath("/usr/bin/python3"), program)
        script = self.folder / "listen"
        script.write_text(LISTEN)
        # of a command line only the beginning is read, so that no long path may stand in it
        self.start(self.inside(f"bin/{name}", "listen", where, *more), env={**os.environ, "PYTHONHOME": "/usr"})

    def init(self, *args, env=None):
        return subprocess.run(self.inside(RINGWALL, "init", *args), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIMEOUT, env={**ENVIRONMENT, **(env or {})})

    def run(self, *args, text=None):
        return subprocess.run(self.inside(RINGWALL, *args), input=text, capture_output=True, text=True,
                              timeout=TIMEOUT, env=ENVIRONMENT)

    def policy(self, *args, env=None):
        """What is written, once it has been checked."""
        done = self.init("--yes", "-o", "-", *args, env=env)
        assert done.returncode == 0, done.stderr
        self.check(done.stdout)
        return done.stdout

    def check(self, text):
        checked = self.run("check", "--json", "-", text=text)
        said = json.loads(checked.stdout)
        assert said["valid"], text + checked.stdout
        assert [m for m in said["messages"] if m["severity"] != "note"] == [], text

    def close(self):
        for child in reversed(self.children):
            child.kill()
            child.communicate(timeout=TIMEOUT)


@pytest.fixture(name="make")
def make_hosts(tmp_path):
    hosts = []

    def make(*args, **more):
        hosts.append(Host(tmp_path, *args, **more))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture(name="host", scope="module")
def make_host(tmp_path_factory):
    host = Host(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


def rules(text):
    """The lines that are no comments."""
    return [line.partition(" #")[0].strip() for line in text.splitlines() if not line.lstrip().startswith("#")]


def test_without_a_terminal_the_defaults_are_taken_and_told(host, tmp_path):
    path = tmp_path / "mine.yaml"
    done = host.init("-o", str(path))
    assert done.returncode == 0
    assert done.stderr == ("ringwall init: no terminal to ask on; taken as default: --ssh-from=lan --public=https"
                           " --rescue=lan\n")
    assert f"{path} is written; nothing is in force yet" in done.stdout
    assert f"ringwall check {path}" in done.stdout and f"ringwall apply {path}" in done.stdout
    text = path.read_text()
    host.check(text)
    lines = rules(text)
    assert "lan: { connected: [eth0], addresses: [\"fe80::/10\"], interfaces: [eth0] }" in lines
    assert "- { allow: [ssh, ping], from: lan }" in lines
    assert "- { allow: https, from: anywhere }" in lines
    assert "- { services: postgresql }" in lines and "- { services: ollama }" in lines
    assert "#   11434/tcp  ollama" in text.splitlines()
    assert "2200" not in text  # on loopback
    assert path.stat().st_mode & 0o777 == 0o644
    # nothing was put in force
    assert host.run("show", "--live").returncode == 1


def test_the_same_answers_write_the_same_policy(host):
    first = host.init("--yes", "-o", "-")
    given = first.stderr.split("taken as default: ")[1].split()
    again = host.init(*given, "-o", "-")
    assert again.stderr == ""
    assert again.stdout == first.stdout


def test_options_answer(host):
    lines = rules(host.policy("--ssh-from", "10.40.10.0/24,fd00:40:10::5", "--public", "8448/tcp,smtp", "--rescue",
                              "last"))
    assert '- { allow: [ssh, ping], from: [10.40.10.0/24, "fd00:40:10::5"] }' in lines
    assert "- { allow: [8448/tcp, smtp], from: anywhere }" in lines
    assert not any("https" in line or "rescue" in line for line in lines)


def test_what_a_user_names_as_public_is_public(host):
    lines = rules(host.policy("--public", "ollama"))
    assert "- { allow: ollama, from: anywhere }" in lines
    assert "- { services: ollama }" not in lines


@pytest.mark.parametrize("args, problem, hint", [
    (["--ssh-from", "lna"], "--ssh-from: there is no zone 'lna'", "did you mean 'lan'?"),
    (["--ssh-from", "10.40.10.5/24"], "'10.40.10.5/24' has bits set", "the network is 10.40.10.0/24"),
    (["--public", "htps"], "--public: there is no service 'htps'", "did you mean 'https'?"),
    (["--public", "https\n- x: y"], "there is no service 'https?-'", ""),
    (["--containers", "interne"], "--containers: there is no service 'interne'", "did you mean 'internet'?"),
    (["--rescue", "nobody"], "--rescue: there is no zone 'nobody'", "zones here: lan, private, anywhere"),
])
def test_a_wrong_option_is_told_and_nothing_written(host, tmp_path, args, problem, hint):
    path = tmp_path / "mine.yaml"
    done = host.init(*args, "-o", str(path))
    assert done.returncode == 1
    assert problem in done.stderr and hint in done.stderr
    assert not path.exists()


def test_what_is_there_already_stays_as_it_is(host, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("mine\n")
    done = host.init("--yes", "-o", str(path))
    assert done.returncode == 1 and "is there already and stays as it is" in done.stderr
    assert "taken as default" not in done.stderr
    assert path.read_text() == "mine\n"


def test_whoever_came_by_ssh_keeps_the_way_in(host):
    env = {"SSH_CONNECTION": "198.51.100.7 50000 203.0.113.1 22"}
    told = host.init("--yes", "-o", "-", "--ssh-from", "10.99.0.0/24", env=env).stderr
    assert "--ssh-from leaves out 198.51.100.7, which you came from: it gets a rule of its own" in told
    assert "leaves out" not in host.init("--yes", "-o", "-", "--ssh-from", "198.51.100.0/24", env=env).stderr
    lines = rules(host.policy("--ssh-from", "10.99.0.0/24", env=env))
    assert "- { allow: ssh, from: 198.51.100.7 }" in lines
    assert "- { allow: ssh, from: 198.51.100.7, in: eth0 }" in lines  # the expectation
    lines = rules(host.policy(env=env))
    assert "- { allow: ssh, from: anywhere, limit: 10/minute per source }" in lines


def test_whoever_may_not_see_the_programs_is_told_and_gets_a_valid_policy(host):
    done = subprocess.run(host.inside("setpriv", "--bounding-set=-all", "--inh-caps=-all", RINGWALL, "init", "--yes",
                                      "-o", "-"),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "not every program that listens could be seen" in done.stderr
    host.check(done.stdout)
    lines = rules(done.stdout)
    assert "- { allow: [ssh, ping], from: lan }" in lines  # what listens at 22 is taken for sshd
    assert "- { services: ollama }" in lines and "#   11434/tcp  not known" in done.stdout


def test_a_ufw_that_is_switched_on_is_taken_over(make):
    host = make("""
mkdir /etc/ufw
echo ENABLED=yes >/etc/ufw/ufw.conf
cat >/etc/ufw/user.rules <<'END'
### tuple ### limit tcp 22 0.0.0.0/0 any 10.40.0.0/16 in
### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 Nginx%20Full - in
### tuple ### allow any 11434 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow tcp 5432 0.0.0.0/0 any 10.40.10.9 in comment=78207d0a6120
END
cat >/etc/ufw/user6.rules <<'END'
### tuple ### allow tcp 80,443 ::/0 any ::/0 Nginx%20Full - in
END
""")
    text = host.policy()
    lines = rules(text)
    assert "- { allow: [ssh, ping], from: 10.40.0.0/16 }" in lines
    assert "- { allow: [https, http], from: anywhere }" in lines
    assert "- { allow: postgresql, from: 10.40.10.9 }" in lines
    assert "- { services: postgresql, only-from: 10.40.10.9 }" in lines
    assert "- { services: ollama }" in lines
    assert "allow ollama from anywhere: never for everybody: say who may" in text
    done = host.init("--yes", "-o", str(host.folder / "mine.yaml"))
    assert "'ringwall takeover'" in done.stdout


def test_published_ports_are_protected_where_they_end(make):
    host = make("""
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
""", [("docker-proxy", "tcp|0.0.0.0|15432", "-proto", "tcp", "-host-port", "15432", "-container-ip", "172.17.0.2",
       "-container-port", "5432")])
    text = host.policy()
    assert "- { services: postgresql }" in rules(text)
    assert "docker-proxy, to port 5432 of a container" in text
    assert "No sshd listens here" in text
    lines = rules(host.policy("--containers", "none"))
    assert "containers: closed" in lines
    lines = rules(host.policy("--containers", "internet,ollama"))
    assert "- { allow: ollama, from: containers }" in lines


def test_names_of_programs_stay_in_their_comments(make):
    host = make(servers=[("x\n- { allow: any }", "tcp|0.0.0.0|9999"), ("#\"'{}[]&*!|>%@`", "tcp|0.0.0.0|9998")])
    lines = rules(host.policy())
    assert not any("allow" in line for line in lines)


# ---- on a terminal


class Terminal:
    """The program on a terminal of its own, which is its controlling one."""

    def __init__(self, host, *args):
        self.master, slave = pty.openpty()
        self.said = ""

        def become_foreground():
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which may be ignored where tests run
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(host.inside(RINGWALL, "init", *args), stdin=slave, stderr=slave,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=become_foreground,
                                        env=ENVIRONMENT)
        os.close(slave)

    def until(self, text):
        """Reads on, to where text comes next; what stood before it."""
        end = time.monotonic() + TIMEOUT
        while text not in self.said:
            readable, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert readable, f"waited in vain for {text!r}; last: {self.said[-500:]!r}"
            try:
                more = os.read(self.master, 4096)
            except OSError:  # the other end is closed
                more = b""
            assert more, f"it ended before {text!r}; last: {self.said[-500:]!r}"
            self.said += more.decode()
        before, _, self.said = self.said.partition(text)
        return before

    def send(self, text):
        os.write(self.master, text.encode())

    def answer(self, question, default, text):
        self.until(question)
        self.until(f"[{default}] ")
        self.send(text + "\n")

    def close(self):
        stdout, _ = self.process.communicate(timeout=TIMEOUT)
        os.close(self.master)
        return self.process.returncode, stdout


@pytest.fixture(name="terminal")
def make_terminals(host):
    made = []

    def make(*args):
        made.append(Terminal(host, *args))
        return made[-1]

    yield make
    for terminal in made:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.close()


def test_enter_takes_the_defaults(host, terminal, tmp_path):
    path = tmp_path / "mine.yaml"
    t = terminal("-o", str(path))
    assert "11434/tcp" in t.until("1/3 ")
    t.answer("Who may log in over SSH?", "lan", "")
    t.answer("2/3 What may everybody reach", "https", "")
    t.answer("3/3 Who may still log in", "lan", "")
    code, stdout = t.close()
    assert code == 0 and "nothing is in force yet" in stdout
    assert path.read_text() == host.policy()


def test_a_wrong_answer_is_asked_again(host, terminal, tmp_path):
    path = tmp_path / "mine.yaml"
    t = terminal("-o", str(path))
    t.answer("Who may log in over SSH?", "lan", "lna")
    t.until("there is no zone 'lna'; did you mean 'lan'?")
    t.until("[lan] ")
    t.send("10.40.10.0/24\n")
    t.answer("What may everybody reach", "https", "htps, 8448/tcp")
    t.until("there is no service 'htps'; did you mean 'https'?")
    t.until("[https] ")
    t.send("none\n")
    t.answer("Who may still log in", "10.40.10.0/24", "last")  # as the first answer says
    assert t.close()[0] == 0
    assert path.read_text() == host.policy("--ssh-from", "10.40.10.0/24", "--public", "none", "--rescue", "last")


def test_only_what_options_do_not_say_is_asked(terminal, tmp_path):
    t = terminal("-o", str(tmp_path / "mine.yaml"), "--ssh-from", "lan", "--rescue", "last")
    t.answer("1/1 What may everybody reach", "https", "")
    assert t.close()[0] == 0


@pytest.mark.parametrize("after", [0, 1])
def test_the_end_of_the_input_writes_nothing(terminal, tmp_path, after):
    t = terminal("-o", str(tmp_path / "mine.yaml"))
    if after:
        t.answer("Who may log in over SSH?", "lan", "")
    t.until("] ")
    t.send("\x04")
    t.until("nothing was written")
    assert t.close()[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_writes_nothing(terminal, tmp_path):
    t = terminal("-o", str(tmp_path / "mine.yaml"))
    t.answer("Who may log in over SSH?", "lan", "")
    t.until("[https] ")
    t.send("\x03")
    assert t.close()[0] == -signal.SIGINT
    assert list(tmp_path.iterdir()) == []


def test_an_installation_without_a_catalogue_says_so(tmp_path):
    environment = {**ENVIRONMENT, "RINGWALL_DATADIR": str(tmp_path / "nowhere")}
    done = run("init", "--yes", "-o", "-", env=environment)
    assert done.returncode != 0 and str(tmp_path / "nowhere") in done.stderr and done.stdout == ""

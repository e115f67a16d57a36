# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/run and tests/long do: the builds, the steps, and the two lists of steps."""

import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from runner import BUILD, ROOT, Count, Failed, Step, read_junit, read_testlog

SANITIZE = ["-Db_sanitize=address,undefined", "-Db_lundef=false"]

# Name of the build folder → compiler, options. The plain build is the one that all tests of the whole
# program use. No werror for the release build: at -O3, gcc takes what it inlines for mistakes.
VARIANTS = {
    "gcc": ("gcc", ["-Dwerror=true"]),
    "gcc-sanitize": ("gcc", SANITIZE),
    "clang-sanitize": ("clang", ["-Dwerror=true", *SANITIZE]),
    "release": ("gcc", ["--buildtype=release", "-Dtests=false"]),
    "fuzz": ("clang", ["-Dfuzz=true", *SANITIZE]),
}

PROPERTY = ROOT / "tests/netns/property"
WHOLE = ROOT / "tests/netns/whole_ruleset"
PROVER = ROOT / "tests/netns/prover_attack"
SOAK = ROOT / "tests/netns/soak"


def build(run, variant):
    """Configures if need be, and compiles. A folder that another meson left behind is made anew."""
    if variant in run.built:
        if run.built[variant]:
            raise Failed(f"not run: {run.built[variant]}")
        return
    run.built[variant] = f"the build '{variant}' failed"
    folder = BUILD / variant
    compiler, options = VARIANTS[variant]
    setup = ["meson", "setup", folder, ROOT, f"--prefix={BUILD / 'installed'}", *options]
    env = {"CC": compiler}
    if (folder / "build.ninja").exists():
        code, _ = run.call([*setup, "--reconfigure"], env, may_fail=True)
        if code != 0:
            shutil.rmtree(folder)
    if not (folder / "build.ninja").exists():
        run.call(setup, env)
    run.call(["ninja", "-C", folder, "-k", "0"])  # all that is wrong, not only the first
    run.built[variant] = None


def unit_tests(variant):
    """Builds, and runs the unit tests and the replay of the fuzz targets' corpora."""

    def step(run):
        build(run, variant)
        folder = BUILD / variant
        testlog = folder / "meson-logs/testlog.json"
        testlog.unlink(missing_ok=True)
        multiplier = "1" if variant == "gcc" else "4"
        code, output = run.call(
            ["meson", "test", "-C", folder, "--no-rebuild", "-t", multiplier], may_fail=True
        )
        if not testlog.exists():
            raise Failed(output)
        count, failures = read_testlog(testlog)
        if count.failed or count.skipped:
            raise Failed(failures, count)
        if code != 0 or not count.passed:
            raise Failed(output)
        return count

    return step


def pytest(*paths, variant="gcc", options=()):
    def step(run):
        if variant:
            build(run, variant)
        missing = [path for path in paths if not (ROOT / path).exists()]
        if missing:
            raise Failed(f"not there: {', '.join(missing)}")
        report = BUILD / "logs" / "pytest.xml"
        report.unlink(missing_ok=True)
        code, output = run.call(
            ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
            + [f"--junitxml={report}", *options, *paths],
            run.program(variant) if variant else None,
            may_fail=True,
        )
        if not report.exists():
            raise Failed(output)
        count = read_junit(report)
        if count.failed or count.skipped:
            raise Failed(output, count)
        if code != 0 or not count.passed:
            raise Failed(output)
        return count

    return step


def with_packages(packages, function):
    """Installs what only this step needs."""

    def step(run):
        run.call([ROOT / "packaging/apt-install", *packages])
        return function(run)

    return step


def layers(run):
    run.call([ROOT / "tests/layers"])
    return Count(passed=1) + pytest("tests/harness/test_harness.py", variant=None)(run)


def man_pages(run):
    """Every page was made, and troff has nothing to say against it."""
    build(run, "gcc")
    count = Count()
    for source in sorted((ROOT / "man").glob("*.scd*")):  # .scd.in: filled in by the build
        page = BUILD / "gcc/man" / source.name.partition(".scd")[0]
        if not page.exists():
            raise Failed(f"{source.name}: the build made no {page.name} of it")
        _, said = run.call(["groff", "-t", "-man", "-ww", "-z", "-Tutf8", "-Kutf8", page])
        if said.strip():
            raise Failed(said)
        count += Count(passed=1)
    if not count.passed:
        raise Failed("man/ holds no page")
    return count


def install(run):
    """What is installed under any prefix finds its catalogue and policies there."""
    build(run, "release")
    prefix = BUILD / "installed"
    shutil.rmtree(prefix, ignore_errors=True)
    run.call(["meson", "install", "-C", BUILD / "release", "--no-rebuild", "--quiet"])
    program = prefix / "bin/ringwall"
    for policy in sorted((prefix / "share/ringwall/policies").glob("*.yaml")):
        run.call([program, "check", policy], cwd="/")
    _, services = run.call([program, "list", "services", policy], cwd="/")
    pages = list((prefix / "share/man").glob("man*/ringwall*"))
    if "ollama" not in services or not pages:
        raise Failed(f"{services}\nthe catalogue's services are not listed, or no man page is installed")
    return Count(passed=1) + pytest("tests/packaging/test_install.py", variant=None)(run)


def quickstart(run):
    _, output = run.call([ROOT / "packaging/quickstart"])
    if "your host is unchanged and not yet protected" not in output:
        raise Failed(f"{output}\nthe last words are missing")
    return Count(passed=1)


DOCKER = ["docker.io", "ufw", "busybox-static"]

# Other programs whose rules are tried beside ours (tests/netns/rulers.py).
RULERS = [
    "firewalld",
    "fail2ban",
    "ipset",
    "libvirt-daemon",
    "libvirt-clients",
    "dnsmasq-base",
    "netavark",
    "containernetworking-plugins",
]

BOOTED = [
    f"tests/boot/test_{name}.py" for name in ("systemd", "package", "walk", "takeover")
]
BOOTED_LONG = [f"tests/boot/test_{name}_long.py" for name in ("systemd", "takeover", "bans")]


def boot(*paths, check=False):
    """Builds the Debian package, and tries it on machines that are booted; check: lintian's word, too."""

    def step(run):
        options = {} if check else {"DEB_BUILD_OPTIONS": "noautodbgsym"}
        run.call([ROOT / "packaging/build-deb"], options)
        count = Count()
        if check:
            changes = next((BUILD / "deb").glob("ringwall_*.changes"))
            run.call(["lintian", "--allow-root", "--pedantic", "--fail-on", "error,warning,info", changes])
            count += Count(passed=1)
        return count + pytest(*paths, variant=None)(run)

    return with_packages(["debootstrap", "iptables"] + ["lintian"] * check, step)


def seed_words(run):
    return [f"--seed={run.options.seed}"] if run.options.seed is not None else []


def by_lot(program, variant="gcc", **counts):
    """A program that draws what it tries: how many of what, as --policies 50."""

    def step(run):
        build(run, variant)
        words = [word for name, count in counts.items() for word in (f"--{name}", count)]
        run.call([program, *seed_words(run), *words], run.program(variant))
        return Count(passed=1)

    return step


def edits_by_lot(count):
    def step(run):
        options = [*seed_words(run), f"--edits={count}"]
        return pytest("tests/ssh/test_edits_long.py", options=options)(run)

    return step


def power_cuts(count):
    """What a disk holds of the bans when its power is cut."""

    def step(run):
        build(run, "gcc")
        seed = run.options.seed if run.options.seed is not None else int(time.time())
        env = {"RINGWALL_CUTS": str(count), "SEED": str(seed)}
        run.call([BUILD / "gcc/tests/ban_ban_store_cut_test"], env)
        return Count(passed=1)

    return step


def old_kernel(version):
    """In a virtual machine: namespaces share the kernel of this one."""

    def step(run):
        build(run, "gcc")
        words = [ROOT / f"tests/boot/kernel-{version}", *seed_words(run)]
        code, output = run.call(words, run.program(), may_fail=True)
        last = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped\s*\Z", output)
        if not last:
            raise Failed(output)
        count = Count(*map(int, last.groups()))
        if code != 0:
            raise Failed(output, count)
        return count

    return step


def fuzz(run):
    """Every target under libFuzzer; what it finds stays in build/fuzz-NAME."""
    build(run, "fuzz")
    _, listed = run.call(["meson", "introspect", BUILD / "fuzz", "--tests"])
    targets = [t for t in json.loads(listed) if any(s.endswith("fuzz") for s in t["suite"])]
    seconds = run.options.fuzz

    def one(target):
        program, corpus = target["cmd"][0], target["cmd"][-1]
        found = BUILD / f"fuzz-{os.path.basename(corpus)}"
        found.mkdir(exist_ok=True)
        words = [program, f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048"]
        words += ["-print_final_stats=1", f"-artifact_prefix={found}/crash-", str(found), corpus]
        return target["name"], subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + 300,
            check=False,
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(one, targets))
    failed = [f"--- {name}\n{r.stderr[-6000:]}" for name, r in done if r.returncode != 0]
    for name, result in done:
        run.log.write(f"--- {name}\n{result.stderr}\n")
    count = Count(passed=len(done) - len(failed), failed=len(failed))
    if failed or not done:
        raise Failed("\n".join(failed) or "there is no fuzz target", count if done else Count(failed=1))
    return count


# Name, title, what it does, seconds that it may take, whether --quick does it, whether it needs root
RUN = [
    Step("layers", "the layers of ARCHITECTURE.md, the harness itself", layers, 60),
    Step("gcc", "gcc: build, unit tests, fuzz corpora", unit_tests("gcc"), 900, True, True),
    Step("golden", "policy in, text out, word for word", pytest("tests/golden"), 120),
    Step("cli", "the command line", pytest("tests/cli"), 400, True, True),
    Step("rpc", "the control socket, under attack", pytest("tests/rpc"), 300, True, True),
    Step(
        "completion",
        "completions of bash, zsh and fish",
        with_packages(["zsh", "fish"], pytest("tests/packaging/test_completions.py")),
        300,
        True,
        True,
    ),
    Step("oracle", "the oracle against POLICY's own examples", pytest("tests/oracle", variant=None), 60),
    Step("man", "the manual pages", man_pages, 60),
    Step(
        "netns",
        "real packets, and the three-way property",
        # three at once: each has networks of its own, and mostly waits
        with_packages(
            ["python3-pytest-xdist", *RULERS],
            pytest("tests/netns", options=["-n", "3", "--dist", "loadfile"]),
        ),
        1200,
        True,
        True,
    ),
    Step(
        "docker",
        "verify, init, bans and who it was, beside a real Docker and ufw",
        with_packages(
            DOCKER,
            pytest(
                *(f"tests/docker/test_{name}.py" for name in ("verify", "init", "bans", "changers"))
            ),
        ),
        900,
        True,
        True,
    ),
    Step(
        "ssh",
        "bad edits over real SSH connections",
        pytest("tests/ssh/test_edits.py"),
        900,
        True,
        True,
    ),
    Step(
        "gcc-sanitize",
        "gcc, ASan and UBSan: the same tests",
        unit_tests("gcc-sanitize"),
        900,
        False,
        True,
    ),
    Step(
        "clang-sanitize",
        "clang, ASan and UBSan: the same tests",
        unit_tests("clang-sanitize"),
        900,
        False,
        True,
    ),
    Step(
        "netns-sanitize",
        "the three-way property under ASan and UBSan",
        by_lot(PROPERTY, "gcc-sanitize", policies=10, packets=5000),
        600,
        False,
        True,
    ),
    Step("install", "release build, installed under a prefix, and uninstalled", install, 900, False, True),
    Step(
        "boot",
        "the Debian package on machines with systemd",
        boot(*BOOTED),
        900,
        False,
        True,
    ),
    Step("quickstart", "the first command of the README", quickstart, 600, False, True),
]


def long_steps(options):
    fuzz_seconds = 600 + 300 + options.fuzz * 20
    return [
        Step(
            "property",
            "the three-way property, 250 policies and 125,000 packets",
            by_lot(PROPERTY, policies=250, packets=125000),
            3600,
            True,
            True,
        ),
        Step(
            "property-asan",
            "the same under ASan and UBSan, 50 policies and 10,000 packets",
            by_lot(PROPERTY, "gcc-sanitize", policies=50, packets=10000),
            3600,
            True,
            True,
        ),
        Step(
            "ssh",
            "bad edits over real SSH connections, 200 drawn by lot",
            edits_by_lot(200),
            1800,
            True,
            True,
        ),
        Step(
            "rivals",
            "ringwalld killed 200 times beside a rival, who it was told of 200 changes, and storms",
            pytest(
                "tests/netns/test_rivals.py",
                "tests/netns/test_changers.py",
                options=["--kills=200", "--changers=25"],
            ),
            1800,
            True,
            True,
        ),
        Step(
            "whole",
            "all tables: evaluator and kernel on 300 rulesets of other programs, 510,000 packets",
            by_lot(WHOLE, rulesets=300, packets=510000),
            1800,
            True,
            True,
        ),
        Step(
            "docker",
            "the rules of a real Docker and ufw: evaluator and kernel, 100,000 packets",
            with_packages(
                DOCKER, pytest("tests/docker", options=["--packets=50000", "--published=25"])
            ),
            1800,
            True,
            True,
        ),
        Step(
            "prover",
            "what verify calls proved, under attack: 300 rulesets of other programs, 800 edits",
            by_lot(PROVER, rulesets=300, mutants=800),
            1800,
            True,
            True,
        ),
        Step(
            "soak",
            "ringwalld for an hour under everything at once, with traffic, owned and not",
            by_lot(SOAK, minutes=60),
            5400,
            True,
            True,
        ),
        Step(
            "complex",
            "rules that are too complex to be proved: words, and no more memory than there may be",
            pytest("tests/cli/complex_long.py"),
            600,
            True,
            True,
        ),
        Step(
            "flood",
            "what is broken while nothing is told any more is told in the next minute",
            pytest("tests/netns/flood_long.py"),
            600,
            True,
            True,
        ),
        Step(
            "fail2ban",
            "5,000 bans at once by fail2ban's own server",
            with_packages(["fail2ban"], pytest("tests/netns/test_fail2ban.py", options=["--bans=5000"])),
            1800,
            True,
            True,
        ),
        Step(
            "bans",
            "a restart over 200,000 bans, which others changed meanwhile",
            pytest("tests/netns/test_bans_many.py", options=["--bans=200000"]),
            900,
            True,
            True,
        ),
        Step(
            "power",
            "bans on a disk whose power is cut 50,000 times, after each that was acknowledged and amidst",
            power_cuts(50000),
            900,
            True,
            True,
        ),
        Step(
            "kernel-6.1",
            "the kernel of Debian 12, in a virtual machine",
            old_kernel("6.1"),
            9000,  # its parts have bounds of their own
            True,
            True,
        ),
        Step(
            "kernel-5.10",
            "the kernel of Debian 11, likewise",
            old_kernel("5.10"),
            1800,
            True,
            True,
        ),
        Step(
            "boot",
            "the Debian package checked, and on machines that have a hard life",
            boot(*BOOTED, *BOOTED_LONG, check=True),
            1800,
            True,
            True,
        ),
        Step("fuzz", f"every fuzz target for {options.fuzz} seconds", fuzz, fuzz_seconds),
    ]

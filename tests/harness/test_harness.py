# SPDX-License-Identifier: GPL-2.0-or-later
"""The harness itself: a run that counts wrongly, or lets a layer be broken, would hide all else."""

import time
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "boot")]
import guest  # noqa: E402
import runner  # noqa: E402
from runner import Count, Failed, Run, Step  # noqa: E402

LAYERS = Path(__file__).resolve().parent.parent / "layers"
SPDX = "/* SPDX-License-Identifier: GPL-2.0-or-later */\n"
ARCHITECTURE = """
| folder | what it is | may include |
| --- | --- | --- |
| `src/base` | libc | – |
| `src/doc` | trees | base |
| `src/policy` | meaning | doc |
| `src/nft` | the kernel | policy |
| `src/daemon`, `src/cli` | programs | all |
| `policies/` | no folder of src | |
"""

TAP = "1..3\nok 1 - a\nnot ok 2 - b\n# why\nok 3 # SKIP c\n# ok - tests\n"


def program(result, stdout=""):
    return {"name": "x", "result": result, "stdout": stdout}


@pytest.mark.parametrize(
    "test, count",
    [
        (program("OK", "1..2\nok 1 - a\nok 2 - b\n"), Count(passed=2)),
        (program("FAIL", TAP), Count(1, 1, 1)),
        (program("OK"), Count(passed=1)),
        (program("FAIL"), Count(failed=1)),
        (program("SKIP"), Count(skipped=1)),
        (program("TIMEOUT", "1..9\nok 1 - a\n"), Count(1, 1, 0)),
        (program("FAIL", "ok 1 - a\nSegmentation fault\n"), Count(1, 1, 0)),
    ],
)
def test_every_test_of_a_program_counts(test, count):
    assert runner.count_program(test) == count


def test_a_testlog_adds_up_and_shows_what_failed(tmp_path):
    log = tmp_path / "testlog.json"
    tests = [program("OK", "ok 1 - a\n"), {**program("FAIL", TAP), "stderr": "the reason"}]
    log.write_text("".join(json.dumps(t) + "\n" for t in tests))
    count, output = runner.read_testlog(log)
    assert count == Count(2, 1, 1)
    assert "the reason" in output and "not ok 2 - b\n# why" in output


def test_of_a_flood_of_output_the_failure_is_shown(tmp_path):
    log = tmp_path / "testlog.json"
    flood = "x\n" * 5000
    test = program("FAIL", f"not ok 1 - a\n# why\n{flood}")
    test["stderr"] = f"../src/x.c:1:2: runtime error: shift\n{flood}"
    log.write_text(json.dumps(test))
    _, output = runner.read_testlog(log)
    assert "not ok 1 - a\n# why" in output and "x.c:1:2: runtime error: shift" in output
    assert len(output.splitlines()) < 50


def test_errors_of_pytest_count_as_failures(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/></testsuites>'
    )
    assert runner.read_junit(report) == Count(4, 3, 3)


@pytest.fixture(name="run")
def make_run(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "BUILD", tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    return Run(options=None)


def passing(_):
    return Count(passed=3)


def failing(run):
    run.call(["sh", "-c", "echo the output; exit 4"])


def half_failing(_):
    raise Failed("two of five", Count(3, 2, 0))


def skipping(_):
    raise Failed("no tool", Count(1, 0, 1))


@pytest.mark.parametrize(
    "functions, code, last",
    [
        ([passing, passing], 0, "6 passed, 0 failed, 0 skipped"),
        ([passing, failing, passing], 1, "6 passed, 1 failed, 0 skipped"),
        ([half_failing], 1, "3 passed, 2 failed, 0 skipped"),
        ([passing, skipping], 1, "4 passed, 0 failed, 1 skipped"),
        ([], 1, "0 passed, 0 failed, 0 skipped"),
    ],
)
def test_the_last_line_adds_all_steps_up(run, capsys, functions, code, last):
    steps = [Step(f"s{i}", "title", f, 30) for i, f in enumerate(functions)]
    assert runner.run_steps(run, steps) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_a_failing_step_shows_its_output(run, capsys):
    runner.run_steps(run, [Step("s", "title", failing, 30)])
    out = capsys.readouterr().out
    assert "the output" in out and "exit code 4" in out


def test_a_step_that_hangs_is_ended_with_what_it_started(run, capsys):
    def hang(run):
        run.call(["sh", "-c", "sleep 1000 & echo $!; wait"])

    assert runner.run_steps(run, [Step("s", "title", hang, 1)]) == 1
    out = capsys.readouterr().out
    child = next(line.strip() for line in out.splitlines() if line.strip().isdigit())
    assert "took too long" in out
    state = Path(f"/proc/{child}/stat")
    deadline = time.monotonic() + 10  # a killed process may have to wait for its turn to end
    while state.exists() and time.monotonic() < deadline:
        try:
            if state.read_text().split()[2] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    assert not state.exists()


def check_layers(tmp_path, files, architecture=ARCHITECTURE):
    (tmp_path / "ARCHITECTURE.md").write_text(architecture)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run([LAYERS, tmp_path], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def header(*includes):
    return SPDX + "#pragma once\n" + "".join(f"#include {i}\n" for i in includes)


def source(*includes):
    return SPDX + "".join(f"#include {i}\n" for i in includes)


GOOD = {
    "src/base/text.h": header("<stddef.h>", "<sys/types.h>"),
    "src/base/unit.h": header("<cmocka.h>"),
    "src/doc/node.c": source("<yaml.h>", '"doc/node.h"', '"base/text.h"'),
    "src/policy/rule.c": source('"base/text.h"', '"doc/node.h"', "<uthash.h>"),
    "src/policy/rule_test.c": source('"base/unit.h"'),
    "src/nft/link.c": source("<libmnl/libmnl.h>", '"policy/rule.h"'),
    "src/cli/main.c": source('"nft/link.h"', '"cli/verb.h"', "<jansson.h>"),
}


def test_a_tree_that_keeps_to_the_layers_passes(tmp_path):
    code, out = check_layers(tmp_path, GOOD)
    assert (code, out) == (0, "7 files keep to the layers\n")


@pytest.mark.parametrize(
    "name, text, offence",
    [
        ("src/base/x.c", source('"doc/node.h"'), "src/base/x.c:2: src/base may not include"),
        ("src/doc/x.c", source("<stdio.h>", '"policy/rule.h"'), "src/doc/x.c:3: src/doc may not"),
        ("src/policy/x.c", source('"cli/verb.h"'), "src/policy/x.c:2: src/policy may not"),
        ("src/policy/x.c", SPDX + '  #  include "nft/link.h"\n', "x.c:2: src/policy may not"),
        ("src/cli/x.c", source('"daemon/x.h"'), "src/cli/x.c:2: src/cli may not include"),
        ("src/policy/x.c", source('"rule.h"'), "x.c:2: \"rule.h\": say its folder"),
        ("src/policy/x.c", source('"../nft/link.h"'), "x.c:2: \"../nft/link.h\": say its folder"),
        ("src/policy/x.c", source("<libmnl/libmnl.h>"), "x.c:2: src/policy may not include <libmnl"),
        ("src/cli/x.c", source("<libnftnl/rule.h>"), "x.c:2: src/cli may not include <libnftnl"),
        ("src/base/x.c", source("<uthash.h>"), "x.c:2: src/base may not include <uthash.h>"),
        ("src/policy/x.c", source("<yaml.h>"), "x.c:2: src/policy may not include <yaml.h>"),
        ("src/policy/x.c", source("<zlib.h>"), "x.c:2: <zlib.h> is in no list"),
        ("src/policy/x_test.c", source("<cmocka.h>"), "x_test.c:2: <cmocka.h>: include"),
        ("src/policy/x.c", source('"base/unit.h"'), 'x.c:2: "base/unit.h" is for tests only'),
        ("src/policy/x.c", "int x;\n", "src/policy/x.c:1: the first line is not"),
        ("tests/fuzz/x.c", "int x;\n", "tests/fuzz/x.c:1: the first line is not"),
        ("src/policy/x.h", SPDX, "src/policy/x.h:1: a header without #pragma once"),
        ("src/stray/x.c", source(), "src/stray/x.c:1: src/stray does not stand in the table"),
    ],
)
def test_every_breach_of_the_layers_is_told_with_its_place(tmp_path, name, text, offence):
    code, out = check_layers(tmp_path, {**GOOD, name: text})
    assert code == 1
    assert offence in out
    assert len(out.splitlines()) == 1


def test_a_table_that_looks_downwards_is_a_mistake_itself(tmp_path):
    upside_down = ARCHITECTURE.replace("| libc | – |", "| libc | doc |")
    code, out = check_layers(tmp_path, GOOD, upside_down)
    assert code == 1
    assert "ARCHITECTURE.md:4: 'doc' does not stand above" in out


def test_without_a_third_column_a_folder_includes_all_that_stands_above(tmp_path):
    short = "| `src/base` | a |\n| `src/doc` | b |\n| `src/policy` | c |\n"
    good = {name: text for name, text in GOOD.items() if name.split("/")[1] in short}
    assert check_layers(tmp_path, good, short)[0] == 0
    bad = {**good, "src/doc/x.c": source('"policy/rule.h"')}
    assert "src/doc/x.c:2: src/doc may not include" in check_layers(tmp_path, bad, short)[1]


def test_no_table_is_no_success(tmp_path):
    assert check_layers(tmp_path, GOOD, "# nothing here\n")[0] == 2


def test_no_sources_are_no_success(tmp_path):
    assert check_layers(tmp_path, {})[0] == 2


LOCKUP = """\
[  812.1] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [{thread}]
[  812.1] Modules linked in: nft_limit nf_tables nfnetlink br_netfilter
[  812.1] CPU: 1 PID: 31 Comm: kcompactd0 Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1
[  812.1] Hardware name: QEMU Standard PC (Q35 + ICH9, 2009)
[  812.1] RIP: 0010:smp_call_function_many_cond+0x114/0x3e0
[  812.1] Code: 90 90
[  812.1] RSP: 0018:ffffb0 EFLAGS: 00000202
[  812.1] Call Trace:
[  812.1]  <TASK>
[  812.1]  ? {function}+0x10/0x20
[  812.1]  ret_from_fork+0x22/0x30
[  812.1]  </TASK>
"""


@pytest.mark.parametrize(
    "thread, function, cut, wrong",
    [
        ("kcompactd0:31", "flush_tlb_mm_range", 0, 0),
        ("ksoftirqd/0:12", "net_rx_action", 0, 0),
        ("ksoftirqd/0:12", "nft_do_chain", 0, 2),
        ("kcompactd0:31", "__nf_hook_slow", 0, 2),
        ("ksoftirqd/0:12", "netlink_broadcast", 0, 2),
        ("ringwalld:412", "flush_tlb_mm_range", 0, 2),
        ("nft:413", "flush_tlb_mm_range", 0, 2),
        ("kcompactd0:31", "flush_tlb_mm_range", 1, 2),  # cut short: nobody knows what was in it
        ("kcompactd0:31", "flush_tlb_mm_range", 6, 1),
    ],
)
def test_a_kernel_that_stood_still_is_told_from_one_that_made_a_mistake(thread, function, cut, wrong):
    lines = LOCKUP.format(thread=thread, function=function).splitlines()
    lines = lines[: len(lines) - cut]
    assert len(guest.mistakes(lines)) == wrong
    # and whatever comes behind it counts
    assert len(guest.mistakes([*lines, "[  813.0] WARNING: CPU: 0 at net/netfilter", *lines])) == 2 * wrong + 1


def test_of_a_guest_that_ran_out_of_time_every_test_that_did_not_end_is_named():
    left = guest.not_run(["one", "two", "three", "four"], ["one", "two", "three"], ["one", "two"])
    assert left == ["--- broken off: three", "--- not run: four"]
    assert guest.not_run(["one"], ["one"], ["one"]) == []


def test_a_guest_that_did_not_answer_is_a_failure_that_names_what_it_was_to_run(tmp_path):
    (tmp_path / "answer").write_bytes(b"\0" * 1024)
    (tmp_path / "console").write_text("the last line\n")
    count, shown = guest.judge(tmp_path, guest.Part("p", 1, ["tests/some.py"], ["a_test"]), "6.1")
    assert count.failed and not count.passed
    assert {"the last line", "tests/some.py", "a_test"} <= set(shown)


def test_two_guests_at_a_time_count_together_and_in_order():
    both = threading.Barrier(2, timeout=20)

    def try_one(part, guests):
        both.wait()
        return Count(passed=1, failed=int(part == "c")), [part]

    count, shown = guest.try_parts(["a", "b", "c", "d"], 2, try_one)
    assert (count, shown) == (Count(passed=4, failed=1), ["a", "b", "c", "d"])


def test_if_one_goes_wrong_no_guest_is_left_over_and_none_is_started_any_more():
    started, ended = threading.Event(), []

    def try_one(part, guests):
        if part == "wrong":
            assert started.wait(20)
            raise KeyboardInterrupt
        child = guests.start(["sleep", "60"])
        started.set()
        ended.append(child.wait(20))
        with pytest.raises(RuntimeError):
            guests.start(["true"])
        ended.append("no more")
        return Count(passed=1), []

    with pytest.raises(KeyboardInterrupt):
        guest.try_parts(["wrong", "other"], 2, try_one)
    assert ended == [-signal.SIGKILL, "no more"]

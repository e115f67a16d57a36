# SPDX-License-Identifier: GPL-2.0-or-later
"""Every case of this folder, and inputs too large or too strange to be kept in files."""

import os

import pytest

import golden

CASES = golden.cases()
STORED = [
    (case, name) for case in CASES for name in golden.OUTPUTS if (case / name).exists()
]


def test_there_are_cases():
    assert len(CASES) >= 45
    assert not [case.name for case in CASES if not any((case / o).exists() for o in golden.OUTPUTS)]


@pytest.mark.parametrize(
    "case, name", STORED, ids=[f"{case.name}/{name}" for case, name in STORED]
)
def test_golden(case, name):
    arguments, stream = golden.OUTPUTS[name]
    expected = (case / name).read_bytes()
    result = golden.run(arguments, case)
    assert getattr(result, stream).decode(errors="replace") == expected.decode(errors="replace")
    if name == "errors.txt":
        assert result.returncode == golden.expected_code(expected)
    else:
        assert result.returncode == 0


def bomb():
    """Nine levels of ten aliases each: a thousand million values."""
    lines = ["ringwall: 1", "zones:", "  a0: &a0 [10.0.0.0/8]"]
    for level in range(1, 10):
        items = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"  a{level}: &a{level} [{items}]")
    return "\n".join(lines) + "\n"


def cycles(n):
    lines = [f"  z{i}: [z{(i + 1) % n}]" for i in range(n)]
    return "ringwall: 1\nzones:\n" + "\n".join(lines) + "\n"


def chain(n):
    lines = ["  z0: [10.0.0.0/8]"] + [f"  z{i}: [z{i - 1}]" for i in range(1, n)]
    return "ringwall: 1\nzones:\n" + "\n".join(lines) + "\n"


def doubling(n):
    """Each zone contains the one below twice, behind interfaces of its own."""
    lines = ["  z0: [10.0.0.0/8]", "  y0: { interfaces: [\"e*\"] }"]
    for i in range(1, n):
        lines.append(f"  z{i}: [z{i - 1}, y{i - 1}]")
        lines.append(f"  y{i}: {{ interfaces: [\"e{i}*\", \"e*\"], addresses: [y{i - 1}, z{i - 1}] }}")
    return "ringwall: 1\nzones:\n" + "\n".join(lines) + "\n"


HEAD = b"ringwall: 1\nzones:\n  lan: "

# name, the text, what stands in the first line of the answer (None: the policy is valid)
STRANGE = [
    ("deep-lists", HEAD + b"[" * 10000 + b"]" * 10000 + b"\n", "nested more than 64 levels deep"),
    ("deep-mappings", b"{a: " * 10000 + b"b" + b"}" * 10000, "nested more than 64 levels deep"),
    ("deep-blocks", b"".join(b" " * i + b"a:\n" for i in range(2000)), "nested more than 64 levels"),
    ("alias-bomb", bomb().encode(), "this file holds more than 2000000 values, its aliases counted"),
    ("anchors", b"ringwall: 1\nzones:\n" + b"".join(b"  z%d: &a%d [10.0.0.0/8]\n" % (i, i)
                                                 for i in range(1000)), "more than 256 anchors"),
    ("nul-byte", HEAD + b"[10.0.0.0/8\0]\n", "a NUL byte has no place in a text file"),
    ("nul-escape", HEAD + b'["a\\0b"]\n', "invisible character, U+0000"),
    ("terminal-escape", HEAD + b'["\\e[2J"]\n', "invisible character, U+001B"),
    ("escape-character", HEAD + b"[\x1b[2J]\n", "the invisible character U+001B has no place here"),
    ("bidi-override", HEAD + "[\u202eabc]\n".encode(), "the invisible character U+202E"),
    ("line-separator", HEAD + "[a]\u2028\n".encode(), "the invisible character U+2028"),
    ("carriage-returns", b"ringwall: 1\rinbound: drop\r", "a carriage return without a newline"),
    ("overlong-utf8", HEAD + b"\xc0\xaf\n", "this is not UTF-8"),
    ("surrogate", HEAD + b"\xed\xa0\x80\n", "this is not UTF-8"),
    ("cut-utf8", HEAD + b"\xe2\x82", "this is not UTF-8"),
    ("utf16", "ringwall: 1\n".encode("utf-16"), "this file is written in UTF-16"),
    ("many-values", HEAD + b"[" + b"a," * 2100000 + b"a]\n", "more than 2000000 values"),
    ("too-large", b"#" * (17 << 20), "this file is larger than 16 MiB"),
    ("zone-ring", cycles(40).encode(), "contains itself: z0 -> z1"),
    ("zone-long-ring", cycles(5000).encode(), "nested more than 64 levels deep"),
    ("zone-chain", chain(5000).encode(), "zones are nested more than 64 levels deep here"),
    ("long-key", b"ringwall: 1\n" + b"a" * 2000 + b": b\n", "':'"),
    ("long-word", b"ringwall: 1\ninbound: " + b"a" * 1000000 + b"\n", "…'"),
    ("bom", b"\xef\xbb\xbfringwall: 1\n", None),
    ("dos-lines", b"ringwall: 1\r\ninbound: drop\r\n", None),
    ("zone-doubling", doubling(60).encode(), None),
    ("zone-chain-of-64", chain(64).encode(), None),
    ("ten-thousand-rules", b"ringwall: 1\ninbound:\n" + b"".join(
        b"  - { allow: %d/tcp, from: 10.0.%d.%d }\n" % (i + 1, i >> 8, i & 255)
        for i in range(10000)), None),
]


def errors_of(path):
    result = golden.run(["check", path], os.path.dirname(path) or ".")
    assert result.returncode in (0, 3), result.stderr[:2000]
    return result.returncode, result.stderr.decode()


@pytest.mark.parametrize("name, text, expected", STRANGE, ids=[row[0] for row in STRANGE])
def test_strange_input(tmp_path, name, text, expected):
    path = tmp_path / "policy.yaml"
    path.write_bytes(text)
    code, errors = errors_of(str(path))
    if expected is None:
        assert code == 0, errors[:2000]
        return
    assert code == 3
    assert expected in errors.splitlines()[0]


def test_a_gigabyte_of_zeros_is_not_even_read(tmp_path):
    path = tmp_path / "policy.yaml"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    code, errors = errors_of(str(path))
    assert code == 3
    assert errors == f"{path}: error: this file is larger than 16 MiB\n"


def test_a_directory_is_an_error(tmp_path):
    code, errors = errors_of(str(tmp_path))
    assert code == 3
    assert errors == f"{tmp_path}: error: this is a directory, not a file\n"


def test_a_missing_file_is_an_error(tmp_path):
    result = golden.run(["check", "absent.yaml"], tmp_path)
    assert result.returncode != 0
    assert result.stderr.decode().startswith("absent.yaml: error: there is no such file\n")


def policy_in(tmp_path, **files):
    """A policy.yaml that includes nothing, and files beside it."""
    (tmp_path / "policy.d").mkdir()
    for name, text in {"policy": "", **files}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text("ringwall: 1\n" + text)
        path.chmod(0o644)
    return tmp_path / "policy.yaml"


@pytest.mark.parametrize("mode, who", [(0o664, "its group"), (0o646, "everybody"), (0o666, "everybody")])
@pytest.mark.parametrize("name", ["policy", "policy.d/10", "other"])
def test_a_file_that_others_can_write_is_an_error(tmp_path, name, mode, who):
    policy_in(tmp_path, policy="include: other.yaml\n", other="")
    (tmp_path / "policy.d" / "10.yaml").write_text("ringwall: 1\n")
    assert golden.run(["check", "policy.yaml"], tmp_path).returncode == 0
    (tmp_path / f"{name}.yaml").chmod(mode)
    result = golden.run(["check", "policy.yaml"], tmp_path)
    assert result.returncode == 3
    assert result.stderr.decode() == (
        f"{name}.yaml: error: this file can be written by {who}\n  hint: chmod go-w {name}.yaml\n")


def test_a_policy_d_that_others_can_write_is_an_error(tmp_path):
    policy_in(tmp_path)
    (tmp_path / "policy.d").chmod(0o775)
    result = golden.run(["check", "policy.yaml"], tmp_path)
    assert result.returncode == 3
    assert result.stderr.decode().startswith("policy.d: error: this folder can be written by its group\n")


def test_only_load_wants_files_of_root(tmp_path):
    policy_in(tmp_path, policy="include: other.yaml\n", other="")
    os.chown(tmp_path / "other.yaml", 12345, 0)
    assert golden.run(["check", "policy.yaml"], tmp_path).returncode == 0
    result = golden.run(["load", "policy.yaml"], tmp_path, wrapper=["unshare", "-n"])
    assert result.returncode == 3
    assert result.stderr.decode() == (
        "other.yaml: error: this file does not belong to root\n  hint: chown root other.yaml\n")


def test_a_file_that_may_not_be_read_is_exit_4(tmp_path):
    tmp_path.chmod(0o755)
    policy_in(tmp_path, policy="include: other.yaml\n", other="")
    (tmp_path / "other.yaml").chmod(0o600)
    result = golden.run(["check", "policy.yaml"], tmp_path, wrapper=[
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        "--bounding-set=-all", "--inh-caps=-all"])
    assert result.returncode == 4
    assert "other.yaml: this file may not be read by you\n" in result.stderr.decode()


def test_including_ends(tmp_path):
    for i in range(30):
        (tmp_path / f"f{i}.yaml").write_text(f"ringwall: 1\ninclude: f{i + 1}.yaml\n")
    policy_in(tmp_path, policy="include: f0.yaml\n")
    code, errors = errors_of(str(tmp_path / "policy.yaml"))
    assert code == 3
    assert "files are included more than 16 levels deep here" in errors.splitlines()[0]


def test_a_policy_has_so_many_files(tmp_path):
    policy_in(tmp_path)
    for i in range(1001):
        (tmp_path / "policy.d" / f"{i:04}.yaml").write_text("ringwall: 1\n")
    code, errors = errors_of(str(tmp_path / "policy.yaml"))
    assert code == 3
    assert "the policy has more than 1000 files" in errors


def test_standard_input_has_no_policy_d_but_may_include(tmp_path):
    policy_in(tmp_path, other="inbound: drop\n")
    (tmp_path / "policy.d" / "10.yaml").write_text("nonsense\n")
    result = golden.run(["check", "-"], tmp_path, input=b"ringwall: 1\ninclude: other.yaml\ninbound: reject\n")
    assert result.returncode == 3
    assert result.stderr.decode().startswith("other.yaml:2:10: error: inbound has another default already")


def test_standard_input_is_read(tmp_path):
    result = golden.run(["check", "-"], tmp_path, input=b"ringwall: 1\ninbuond: drop\n")
    assert result.returncode == 3
    assert result.stderr.decode().startswith("stdin:2:1: error: 'inbuond' is no key of a policy\n")

"""`robustmm verify`: exit codes, sentences and files, as a user meets them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from audits import forget
from evidence_world import write_keys, write_world
from jsonschema import validate

ROOT = Path(__file__).parents[2]
Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_world(folder)
    write_keys(folder, "ours")
    write_keys(folder, "other")
    return folder


@pytest.fixture
def here(made: Path, robustmm: Cli) -> Iterator[Path]:
    """The folder with an audit that is made by the first test and found finished by the others."""
    forget()
    (made / "a/statement.dsse.json").unlink(missing_ok=True)
    words = ["audit", "model.onnx", "--data", "manifest.csv", "--describe", "theirs.toml", "--suite", "suite.toml"]
    done = robustmm(*words, "--out", "a", "--workers", 1, cwd=made)
    assert done.code == 0, done.err
    yield made
    forget()


def test_what_holds_ends_with_0_and_says_so_first(here: Path, robustmm: Cli) -> None:
    done = robustmm("verify", "a", cwd=here)
    assert done.code == 0, done.err
    assert "VERIFIED: all 12 checks hold." in done.out.splitlines()[1]
    assert "It is not signed" in done.out
    assert "NOT CHECKED" not in done.out


def test_the_json_has_its_schema(here: Path, robustmm: Cli) -> None:
    done = robustmm("verify", "a", "--json", "--rerun", 2, "--seed", 5, cwd=here)
    result = json.loads(done.out)
    validate(result, json.loads((ROOT / "docs/schemas/verify.schema.json").read_text()))
    assert (result["verdict"], result["seed"], len(result["rerun"])) == ("VERIFIED", 5, 2)


def test_sign_then_verify(here: Path, robustmm: Cli) -> None:
    done = robustmm("verify", "a", "--sign", "ours.pem", cwd=here)
    assert done.code == 0, done.err
    assert "signed: a/statement.dsse.json" in done.err
    assert "chmod" not in done.err
    done = robustmm("verify", "a", "--key", "ours-public.pem", cwd=here)
    assert done.code == 0
    assert "Signed 2" in done.out
    done = robustmm("verify", "a", "--key", "other-public.pem", cwd=here)
    assert done.code == 1
    assert "WRONG: signature." in done.out
    done = robustmm("verify", "a", cwd=here)
    assert done.code == 1, "a signature that nobody checks is not told as one that holds"
    assert "INCOMPLETE" in done.out
    assert robustmm("verify", "a", "--allow-unchecked", cwd=here).code == 0


def test_only_what_is_verified_is_signed(here: Path, robustmm: Cli) -> None:
    (here / "theirs.toml").rename(here / "moved.toml")
    done = robustmm("verify", "a", "--sign", "ours.pem", "--allow-unchecked", cwd=here)
    (here / "moved.toml").rename(here / "theirs.toml")
    assert "not signed" in done.out
    assert not (here / "a/statement.dsse.json").exists()


def test_an_unsigned_audit_does_not_hold_under_a_key(here: Path, robustmm: Cli) -> None:
    done = robustmm("verify", "a", "--key", "ours-public.pem", "--allow-unchecked", cwd=here)
    assert done.code == 1
    assert "the audit is not" in done.out


def test_a_pass_may_be_required(here: Path, robustmm: Cli) -> None:
    """Of an audit without gates, and of those whose gates pass and fail; the folder is verified each time."""
    done = robustmm("verify", "a", "--rerun", 0, "--require-pass", cwd=here)
    assert (done.code, "VERIFIED" in done.out) == (1, True)
    assert done.err.splitlines()[-1] == "--require-pass: the audit does not pass, it had no gates"
    words = ["audit", "model.onnx", "--data", "manifest.csv", "--describe", "theirs.toml", "--suite", "suite.toml"]
    for least, code in ((0.1, 0), (1.0, 1)):
        gate = f'[[gate]]\nname = "x"\nmetric = "accuracy"\ncondition = "clean"\nmin = {least}\n'
        (here / "g.toml").write_text(gate)
        forget()
        assert robustmm(*words, "--gates", "g.toml", "--out", f"g{code}", "--workers", 1, cwd=here).code == code
        forget()
        assert robustmm("verify", f"g{code}", "--rerun", 0, cwd=here).code == 0
        done = robustmm("verify", f"g{code}", "--rerun", 0, "--require-pass", cwd=here)
        assert (done.code, "VERIFIED" in done.out) == (code, True)
    assert done.err.splitlines()[-1] == "--require-pass: the audit does not pass, its verdict is FAIL"


def test_an_open_key_is_told(here: Path, robustmm: Cli) -> None:
    (here / "other.pem").chmod(0o644)
    done = robustmm("verify", "a", "--sign", "other.pem", "--rerun", 0, cwd=here)
    assert "others on this machine may read the private key other.pem" in done.err
    assert done.code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 3, "nowhere should be the folder of a finished audit, and is no folder"),
        (["."], 3, "has no results.json"),
        (["a", "--key", "gone.pem"], 2, "the key gone.pem cannot be read"),
        (["a", "--key", "ours.pem"], 2, "is a private key"),
        (["a", "--sign", "ours-public.pem"], 2, "should be a private key in PEM"),
        (["a", "--sign", "ours.pem", "--key", "ours-public.pem"], 2, "give one of them"),
        (["a", "--rerun", "-1"], 2, "--rerun"),
        ([], 2, "Missing argument 'folder'"),
    ],
)  # fmt: skip
def test_misuse_is_a_sentence(here: Path, robustmm: Cli, words: list[str], code: int, said: str) -> None:
    done = robustmm("verify", *words, cwd=here)
    assert done.code == code
    assert said in done.err.splitlines()[-1]


def test_a_hostile_name_does_nothing_to_the_terminal(here: Path, robustmm: Cli) -> None:
    path = here / "a/results.json"
    before = path.read_bytes()
    table = json.loads(before) | {"model": "\x1b[2J[bold]evil\u202e\nVERIFIED", "suite": "\x1b]0;x\x07"}
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    done = robustmm("verify", "a", cwd=here)
    path.write_bytes(before)
    assert done.code == 1
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out)
    assert "[bold]evil" in done.out
    assert "WRONG" in done.out.splitlines()[1]

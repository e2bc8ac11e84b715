"""Registries, and a user's own objects by `package.module:Name`."""

import sys
from pathlib import Path

import pytest

from robustmm.config.options import effective_options, instantiate
from robustmm.config.registry import Registry
from robustmm.errors import UsageError

SHAPES: Registry[type] = Registry("shape")


@SHAPES.register("round-one")
class Round:
    def __init__(self, size: int = 1) -> None:
        self.size = size


@SHAPES.register("cube")
class Cube:
    pass


def test_names_are_sorted_and_found() -> None:
    assert list(SHAPES) == ["cube", "round-one"]
    assert SHAPES["cube"] is Cube
    assert "cube" in SHAPES
    assert "Cube" not in SHAPES


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="shape 'cube' is registered twice"):
        SHAPES.register("cube")(Round)
    assert SHAPES["cube"] is Cube


@pytest.mark.parametrize("name", ["cub", "CUBE", "", "[red]"])
def test_unknown_names_are_met_with_what_is_known(name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a shape(, did you mean .*)? \(known: cube, round-one\)"):
        SHAPES[name]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder the user stands in, with files of theirs."""
    files = {
        "own_shape": "class Star:\n    points = 5\nnumber = 3\n",
        "own_syntax": "def (",
        "own_error": "1 / 0\n",
        "own_exit": "raise KeyError('x')\n",
        "own_import": "import no_such_module_at_all\n",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_a_users_own_class_stands_in_the_current_folder(own: Path) -> None:
    assert SHAPES["own_shape:Star"].points == 5  # type: ignore[attr-defined]
    assert SHAPES["pathlib:Path"] is Path
    assert "own_shape:Star" not in list(SHAPES)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("own_shape:Stern", "has no attribute 'Stern'"),
        ("no_such_module_at_all:X", "No module named"),
        ("own_syntax:X", "SyntaxError"),
        ("own_error:X", "ZeroDivisionError: division by zero"),
        ("own_exit:X", "KeyError"),
        ("own_import:X", "No module named 'no_such_module_at_all'"),
        (":X", "Empty module name"),
        ("..own:X", "TypeError"),
        ("own_shape:", "has no attribute ''"),
        ("own_shape:Star:points", "has no attribute"),
    ],
)
def test_what_cannot_be_imported_says_why(own: Path, name: str, why: str) -> None:
    with pytest.raises(UsageError) as error:
        SHAPES[name]
    assert str(error.value).startswith(f'the shape "{name}" cannot be imported: ')
    assert why in str(error.value)


def test_what_can_be_imported_need_not_be_a_class(own: Path) -> None:
    with pytest.raises(UsageError, match='shape "own_shape:number" should be a class or a function, found int'):
        instantiate("shape", "own_shape:number", SHAPES["own_shape:number"])


def test_effective_options_are_given_or_default() -> None:
    def thing(given: int, wanted: int, size: int = 1, *, mode: str = "fast", **others: int) -> None: ...

    assert effective_options(thing, {}) == {"size": 1, "mode": "fast"}
    assert effective_options(thing, {"size": 3, "wanted": 2, "more": 4}) == {
        "size": 3,
        "mode": "fast",
        "wanted": 2,
        "more": 4,
    }
    assert effective_options(Round, {"size": 7}) == {"size": 7}
    assert effective_options(Cube, {}) == {}

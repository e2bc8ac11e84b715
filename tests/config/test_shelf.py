"""The shelf: shipped files by name, a user's by path."""

import tomllib
from pathlib import Path

import pytest

import robustmm
from robustmm.config import shelf
from robustmm.errors import UsageError, suggest


def test_shipped_files_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.toml").touch()
    assert "digits" in shelf.list_names("models")
    assert "mine" not in shelf.list_names("models"), "the current folder is not the shelf"
    for kind in shelf.KINDS:
        assert shelf.list_names(kind) == sorted(shelf.list_names(kind))
        for name in shelf.list_names(kind):
            path = shelf.find_file(kind, name)
            assert path == shelf.find_any(name)
            assert tomllib.loads(shelf.read_text(path))


def test_a_wheel_keeps_them_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "robustmm"
    monkeypatch.setattr(shelf, "__file__", str(package / "config" / "shelf.py"))
    assert shelf.folder("models") == package.parent / "models"
    assert shelf.list_names("models") == []
    (package / "_shelf" / "models").mkdir(parents=True)
    (package / "_shelf" / "models" / "a.toml").touch()
    assert shelf.folder("models") == package / "_shelf" / "models"
    assert shelf.list_names("models") == ["a"]
    assert Path(robustmm.__file__).parent != package


def test_a_path_is_a_file_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.toml").write_text("x = 1")
    assert shelf.find_file("models", "digits.toml") == shelf.find_any("digits.toml") == Path("digits.toml")
    assert shelf.find_file("attacks", str(tmp_path / "digits.toml")) == tmp_path / "digits.toml"


def test_unknown_names_are_met_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'"digit" is not a recipe, did you mean "digits"\? .*a file of yours ends in'):
        shelf.find_file("models", "digit")
    with pytest.raises(UsageError, match=r'"Digits" is not a recipe or a suite, did you mean "digits"\?'):
        shelf.find_any("Digits")
    with pytest.raises(UsageError, match="is not a suite"):
        shelf.find_file("attacks", "")
    for name in ("none.toml", str(tmp_path / "none.toml"), "a\0b.toml", ".toml"):
        with pytest.raises(UsageError, match=r"the recipe .* does not exist"):
            shelf.find_file("models", name)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match="does not exist"):
        shelf.find_any(str(tmp_path / "folder.toml"))


@pytest.mark.parametrize("name", ["../models/digits", "/etc/passwd", "digits/", "*", ""])
def test_a_name_is_not_a_path(name: str) -> None:
    with pytest.raises(UsageError, match="is not a recipe"):
        shelf.find_file("models", name)


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes("\ufeffé = 1".encode())
    assert shelf.read_text(tmp_path / "a.toml") == "é = 1"
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"b\.toml is not UTF-8 text"):
        shelf.read_text(tmp_path / "b.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        shelf.read_text(tmp_path)


def test_known_names_are_listed_with_the_nearest_first() -> None:
    assert suggest("dlg", ["ogm-ge", "dgl"]) == ', did you mean "dgl"? (known: dgl, ogm-ge)'
    assert suggest("GAUSSIAN", ["gaussian"]) == ', did you mean "gaussian"? (known: gaussian)'
    assert suggest("zzz", ["dgl"]) == " (known: dgl)"
    assert suggest("zzz", []) == " (known: none)"

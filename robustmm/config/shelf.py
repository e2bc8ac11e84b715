"""The shelf: recipes in `models/` and suites in `attacks/`, in the wheel or beside a checkout."""

from pathlib import Path

from robustmm.errors import UsageError, check_regular, suggest

KINDS = {"models": "recipe", "attacks": "suite"}


def folder(kind: str) -> Path:
    """The folder of the shipped TOML files of a kind ("models", "attacks"), whatever the working directory."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_shelf" / kind
    return installed if installed.is_dir() else package.parent / kind


def list_names(kind: str) -> list[str]:
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def find_file(kind: str, name: str) -> Path:
    """The file of a shipped name, or the user's own file when `name` is a path to one."""
    if name.endswith(".toml"):
        check_regular(Path(name), UsageError)
        if not Path(name).is_file():
            raise UsageError(f"the {KINDS[kind]} {name} does not exist")
        return Path(name)
    if name not in list_names(kind):
        raise UsageError(
            f'"{name}" is not a {KINDS[kind]}{suggest(name, list_names(kind))}; a file of yours ends in .toml'
        )
    return folder(kind) / f"{name}.toml"


def read_text(path: Path) -> str:
    """A TOML file's text (a byte-order mark is left out)."""
    check_regular(path, UsageError)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text ({error})") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error})") from error


def find_any(name: str) -> Path:
    """The file of a name on either shelf."""
    if name.endswith(".toml"):
        return find_file("models", name)
    every = {entry: kind for kind in KINDS for entry in list_names(kind)}
    if name not in every:
        raise UsageError(f'"{name}" is not a recipe or a suite{suggest(name, every)}; a file of yours ends in .toml')
    return find_file(every[name], name)

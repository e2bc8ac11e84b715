"""The walls of docs/design.md, each one a test."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PathDistribution, distribution
from pathlib import Path
from statistics import median

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "robustmm"
ROOMS = [
    "cli", "api", "report", "catalogue", "bench", "comparing", "evidence", "auditing", "search", "exporting",
    "training", "guard", "evaluation", "conditions", "methods", "data", "runtime", "model", "augmentations",
    "corruptions", "config", "metrics", "modalities", "workers", "runs", "distributed", "results", "progress", "files",
    "system", "errors", "version",
]  # fmt: skip
"""The map, from the street to the ground: what a room imports stands in it or below it. A file of the package's own
folder is a room of its own."""
TORCH_ROOMS = {"bench", "exporting", "training", "methods", "model", "distributed"}
"""Rooms that need torch. `exporting` stands on the wall: its proof holds torch against onnxruntime."""


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(path: Path, *, top: bool = False) -> set[str]:
    """Modules a file imports, anywhere in it, or at its top level only; type-checking imports do not count."""

    def nodes(tree: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(tree):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if top and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            yield child
            yield from nodes(child)

    names = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(name: str) -> str:
    """The room of a module; nothing for the package itself and for what is not ours."""
    return name.split(".")[1] if name.startswith("robustmm.") else ""


def test_every_room_is_on_the_map() -> None:
    found = {room(name) for name in modules()} - {"", "__main__"}
    assert found == set(ROOMS)
    assert [name for name in (PACKAGE / name for name in ROOMS) if not name.is_dir()] == [
        PACKAGE / name for name in ROOMS[-8:]
    ], "folders first, the files of the ground last"


def test_the_design_shows_the_same_map() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == ROOMS


def test_a_folder_holds_three_to_twelve_files() -> None:
    for folder in {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}:
        files = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        rooms = [path for path in folder.iterdir() if (path / "__init__.py").is_file()]
        assert len(files) <= 12, folder
        assert len(files) + len(rooms) + 1 >= 3, folder
    assert len(list(PACKAGE.glob("*.py"))) <= 10, "loose files"


def test_an_import_only_goes_down() -> None:
    """The package itself stands above all rooms: none of them imports from it."""
    floor = {name: number for number, name in enumerate(ROOMS)}
    for name, path in modules().items():
        if room(name) in floor:
            for other in {room(i) for i in imported(path)} - {""}:
                assert floor.get(other, -1) >= floor[room(name)], f"{name} imports {other}, which is above it"


def test_cli_is_imported_by_nobody() -> None:
    for name, path in modules().items():
        if not name.startswith("robustmm.cli") and name != "robustmm.__main__":
            assert not any(i.startswith("robustmm.cli") for i in imported(path)), name


def test_only_the_torch_side_imports_torch_or_the_torch_side() -> None:
    doors = {"api", "catalogue"}  # inside functions, where torch is known to be there
    for name, path in modules().items():
        if room(name) in TORCH_ROOMS or room(name) == "cli":
            continue
        names = imported(path, top=room(name) in doors)
        found = {i for i in names if i.split(".")[0] == "torch" or room(i) in TORCH_ROOMS}
        assert not found, f"{name} imports {found}"


def test_the_bottom_imports_nothing_of_ours_but_errors() -> None:
    for name in ("errors", "system", "progress", "results", "config.registry", "config.shelf"):
        ours = {room(i) for i in imported(modules()[f"robustmm.{name}"])} - {""}
        assert ours <= {"errors"}, name


def printing_calls(path: Path) -> Iterator[str]:
    """Calls that print, and names of the standard streams."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        said = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if said in ("print", "rich.print", "pprint", "typer.echo", "typer.secho", "click.echo", "traceback.print_exc"):
            yield said
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr", "sys.__stderr__"):
            yield ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.module in ("rich", "pprint"):
            yield from (f"{node.module}.{a.name}" for a in node.names if a.name in ("print", "pprint", "print_json"))
        if isinstance(node, ast.Name) and node.id in ("Console", "basicConfig", "StreamHandler"):
            yield node.id


def test_there_is_one_door_to_the_terminal(tmp_path: Path) -> None:
    doors = {"robustmm.cli", *(name for name in modules() if name.startswith("robustmm.report.live."))}
    found = {name: set(printing_calls(path)) for name, path in modules().items()}
    assert {name for name, calls in found.items() if calls} - doors == set()
    assert found["robustmm.report.live.console"] >= {"print", "Console"}
    (tmp_path / "m.py").write_text("import sys\nfrom rich import print as p\nsys.stderr.write('x')\ntyper.echo('x')\n")
    assert set(printing_calls(tmp_path / "m.py")) == {"rich.print", "sys.stderr", "typer.echo"}


def test_methods_touch_no_optimiser_loader_device_or_file() -> None:
    for path in (PACKAGE / "methods").rglob("*.py"):
        names = imported(path)
        assert not any(
            i.startswith(("torch.optim", "torch.utils", "pathlib", "os", "robustmm.training.loop")) for i in names
        ), path
        assert not {"open(", ".cuda(", "torch.save", "torch.load"} & set(path.read_text().split()), path


def test_the_loop_names_no_method() -> None:
    names = {path.stem for path in (PACKAGE / "methods").rglob("*.py")} - {"__init__", "base", "chain", "combinations"}
    loop = (
        "robustmm.training.loop",
        "robustmm.training.run",
        "robustmm.training.optimiser",
        "robustmm.training.data",
        "robustmm.training.validation",
    )
    for module in loop:
        tree = ast.parse(modules()[module].read_text())
        words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        assert not names & words, module
        methods = {i.rpartition(".")[2] for i in imported(modules()[module]) if i.startswith("robustmm.methods.")}
        assert not names & methods, module


def test_corruptions_see_signals_only() -> None:
    """Audio also resamples, and reads a folder of noise, with the decoder that reads the data."""
    leaves = ("robustmm.corruptions", "robustmm.errors", "robustmm.config.registry", "robustmm.config.options")
    for path in (PACKAGE / "corruptions").rglob("*.py"):
        allowed = (*leaves, "robustmm.modalities.audio") if path.parent.name == "audio" else leaves
        found = {i for i in imported(path) if i.startswith("robustmm.")} - {"robustmm.modalities"}
        assert all(i.startswith(allowed) for i in found), path


def test_only_training_augments() -> None:
    """Augmentations see one signal, as corruptions do; what validates, exports and audits does not know of them."""
    leaves = ("augmentations", "corruptions", "errors", "config", "modalities")
    for path in (PACKAGE / "augmentations").rglob("*.py"):
        assert {room(i) for i in imported(path)} - {""} <= set(leaves), path
    users = {room(name) for name, path in modules().items() if "augmentations" in {room(i) for i in imported(path)}}
    assert users == {"augmentations", "training", "catalogue"}


def test_nothing_loads_a_pickle() -> None:
    for name, path in modules().items():
        assert "pickle" not in {i.split(".")[0] for i in imported(path)}, name
        assert "allow_pickle=True" not in path.read_text(), name
        assert "torch.load" not in path.read_text(), name


def test_modules_are_small_and_tests_are_longer_than_code() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert max(lengths.values()) <= 250, max(lengths, key=lambda name: lengths[name])
    assert median(lengths.values()) <= 100
    tests = sum(len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py"))
    assert tests >= sum(lengths.values())


LOADED = "import sys; sys.argv = ['robustmm', *{words}]\nfrom robustmm.cli import main\n"
LOADED += "try: main()\nexcept SystemExit: pass\nprint('LOADED', *sorted({{m.split('.')[0] for m in sys.modules}}))"


def loaded(*words: str, cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(words=list(words))], capture_output=True, text=True, cwd=cwd, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"torch", "onnxruntime", "onnx", "albumentations", "cv2", "numpy", "scipy", "pydantic", "transformers"}
    assert heavy & loaded("--help", cwd=tmp_path) == set()


def test_commands_below_the_wall_never_load_torch(world_model: Path, world_manifest: Path, tmp_path: Path) -> None:
    words = ["attack", str(world_model), "--data", str(world_manifest), "--noise", "gaussian", "--level", "0.5"]
    found = loaded(*words, cwd=tmp_path)
    assert "onnxruntime" in found
    assert {"torch", "albumentations", "transformers"} & found == set()
    assert "torch" not in loaded("list", "corruptions", cwd=tmp_path)
    assert "torch" not in loaded("data", "check", str(world_manifest), cwd=tmp_path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("robustmm-*.whl"))


def test_the_wheel_holds_recipes_suites_data_and_no_stray_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("models", "attacks"):
        shipped = {path.name for path in (ROOT / kind).glob("*.toml")}
        assert shipped
        assert {f"robustmm/_shelf/{kind}/{name}" for name in shipped} <= names
    assert {"robustmm/data/_digits/clips.flac", "robustmm/data/_digits/images.png", "robustmm/py.typed"} <= names
    assert {"robustmm/report/page/style.css", "robustmm/report/page/page.js"} <= names
    tops = {name.split("/")[0] for name in names}
    assert all(top == "robustmm" or top.endswith(".dist-info") for top in tops), tops
    assert any(name.endswith("licenses/NOTICE") for name in names)


def base_install(wheel: Path, folder: Path) -> None:
    """What `pip install robustmm` would install, and nothing else: the wheel and links to all that it needs."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (meta,) = folder.glob("robustmm-*.dist-info")
    wanted, linked = [Requirement(r) for r in PathDistribution(meta).requires or []], set()
    while wanted:
        need = wanted.pop()
        if need.name in linked or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        linked.add(need.name)
        found = distribution(need.name)
        for top in {path.parts[0] for path in found.files or [] if path.parts[0] not in ("..", "__pycache__")}:
            place = Path(str(found.locate_file(top)))
            if top == "cv2":  # it looks for itself by its real path
                shutil.copytree(place, folder / top)
            elif not (folder / top).exists():
                (folder / top).symlink_to(place)
        wanted += [Requirement(r) for r in found.requires or []]


@pytest.mark.slow
def test_an_audit_machine_without_torch(wheel: Path, world_model: Path, world_manifest: Path, tmp_path: Path) -> None:
    """The base install alone: it attacks and audits, and says what training would need."""
    base_install(wheel, tmp_path / "site")
    start = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\nfrom robustmm.cli import main\nmain()"

    def robustmm(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", start, *words]  # neither this environment nor this checkout
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert not (tmp_path / "site" / "torch").exists()
    words = ["--data", str(world_manifest), "--noise", "gaussian", "--level", "0.5"]
    done = robustmm("attack", str(world_model), *words)
    assert done.returncode == 0, done.stderr
    assert "exact Shapley" in done.stdout
    done = robustmm("audit", str(world_model), "--data", str(world_manifest), "--suite", "quick", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "fails from" in done.stdout
    assert robustmm("list").returncode == 0
    doctor = robustmm("doctor")
    assert doctor.returncode == 0
    assert "pip install 'robustmm[train]'" in doctor.stdout
    train = robustmm("train")
    assert train.returncode == 2
    assert "robustmm[train]" in train.stderr
    assert "Traceback" not in train.stderr
    assert robustmm("show", "digits").returncode == 0

"""The recipes of the public benchmarks: `data prepare NAME`, then `train NAME`, on miniature raw trees."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from checkpoints import LAYER, save
from raw_trees import TREES, make_nyud2_table, put_ffmpeg, write_text

from robustmm.config import shelf
from robustmm.config.recipe import Recipe, Train, build_recipe, load_recipe
from robustmm.config.toml import read_toml
from robustmm.data.benchmarks import BENCHMARKS
from robustmm.data.manifest import read_manifest
from robustmm.methods import build_method
from robustmm.modalities import Audio, Image, Modality, Text, Video
from robustmm.modalities.text import train_tokenizer
from robustmm.training.build import build_model

Cli = Callable[..., Any]
KINDS = {"audio": Audio, "text": Text, "video": Video}
"""The kind of a column that is no picture."""
SMALL = {"depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8, "layer_type": "basic"}
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
DATA = ("--data", "out/manifest.csv")
every_benchmark = pytest.mark.parametrize("name", list(BENCHMARKS))


@pytest.fixture(autouse=True)
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return put_ffmpeg(tmp_path / "bin", monkeypatch)


def prepare(robustmm: Cli, name: str, here: Path, *words: str) -> Path:
    tree = TREES[name](here / "raw")
    done = robustmm("data", "prepare", name, "raw", "out", *(words or tree.words), cwd=here)
    assert done.code == 0, done.err
    return here / "out" / "manifest.csv"


def read_first_row(path: Path, modalities: Iterable[Modality]) -> dict[str, Any]:
    columns = read_manifest(path).columns
    return {m.name: m.read(columns[m.column or m.name][0], path.parent) for m in modalities}


@every_benchmark
def test_a_recipe_reads_what_prepare_writes(robustmm: Cli, tmp_path: Path, name: str) -> None:
    eight_bits = ["modality.depth.range=[0,255]"] if name == "nyud2" else []  # of QMF's archive, as the recipe says
    recipe = load_recipe(shelf.find_file("models", name), eight_bits)
    assert recipe.data.source == BENCHMARKS[name].title.partition(",")[0]
    assert tuple(m.name for m in recipe.modalities) == BENCHMARKS[name].inputs
    for modality in recipe.modalities:
        assert type(modality) is KINDS.get(modality.name, Image)
    read = read_first_row(prepare(robustmm, name, tmp_path), recipe.modalities)
    for modality in recipe.modalities:
        assert isinstance(read[modality.name], str) or read[modality.name].shape == modality.shape


def test_depth_of_the_original_table_is_read_up_to_ten_metres(robustmm: Cli, tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py writes and reads MATLAB 7.3")
    make_nyud2_table(tmp_path / "raw")
    assert robustmm("data", "prepare", "nyud2", "raw", "out", cwd=tmp_path).code == 0
    modalities = load_recipe(shelf.find_file("models", "nyud2")).modalities
    depth = read_first_row(tmp_path / "out" / "manifest.csv", modalities)["depth"]
    assert depth[-1, -1].tolist() == [26, 26, 26], "1 m of 10 m on 255 steps is 25.5"


def without_weights(name: str) -> Recipe:
    """The recipe with small random backbones in the place of those that would be fetched."""
    content = read_toml(shelf.find_file("models", name))
    for table in content["modality"].values():
        if "model" in table.get("encoder", {}):
            config = {"model_type": "bert", **LAYER} if table["kind"] == "text" else {"model_type": "resnet", **SMALL}
            left_out = ("model", "freeze", "unfreeze")
            kept = {key: value for key, value in table["encoder"].items() if key not in left_out}
            table["encoder"] = {**kept, "config": config}
    return build_recipe(content, name, name)


@every_benchmark
def test_a_recipe_of_a_benchmark_builds(name: str) -> None:
    recipe = without_weights(name)
    fitted = [m.fit_to(["a title"]) if isinstance(m, Text) else m for m in recipe.modalities]
    weights = sum(p.numel() for p in build_model(recipe, fitted, 6).parameters())
    scratch = [m.name for m in fitted if "pretrained" in recipe.encoder(m.name)[1]]
    assert weights > 11_000_000 * len(scratch) + 5000, "a ResNet-18 has eleven million"


def describe_training(train: Train) -> list[str]:
    """The optimiser, epochs and batch of a recipe, as the page's table has them."""
    spelt = {"sgd": "SGD", "adamw": "AdamW"}[str(train.optimiser)]
    fall = {"step": ", a tenth at 70 %", "cosine": ", cosine", "constant": ""}[train.schedule]
    fall += f", warm-up {train.warmup:g}" if train.warmup else ""
    fall += f", patience {train.patience}" if train.patience else ""
    batch = f"{train.batch} x {train.accumulate}" if train.accumulate > 1 else str(train.batch)
    return [f"{spelt} {train.learning_rate:g}, decay {train.weight_decay:g}", f"{train.epochs}{fall}", batch]


@every_benchmark
def test_the_page_says_what_the_recipe_says(name: str) -> None:
    (row,) = (line.split(" | ") for line in PAGE.splitlines() if line.startswith(f"| `{name}` "))
    assert row[3:6] == describe_training(load_recipe(shelf.find_file("models", name)).train)


def test_the_commands_of_the_page_of_published_figures_lack_data_alone(robustmm: Cli, tmp_path: Path) -> None:
    page = (DOCS / "reproduce.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in page.splitlines() if line.startswith("    robustmm ")]
    assert {words[1] for words in commands} == set(BENCHMARKS)
    for words in commands:
        done = robustmm(*words, cwd=tmp_path)
        assert (done.code, "out/manifest.csv" in done.err) == (3, True), done.err
        for method in words[words.index("--methods") + 1].split(","):
            build_method(method, {})


def train_once(robustmm: Cli, words: list[str], here: Path, *settings: str) -> dict[str, Any]:
    """One epoch at small sizes; the run's facts."""
    sets = ["train.batch=2", "train.accumulate=1", "train.threads=1", "model.width=8", *settings]
    smaller = [word for one in sets for word in ("--set", one)]
    done = robustmm(*words, "--epochs", "1", *smaller, cwd=here)
    assert done.code == 0, done.err
    (run,) = (here / "runs").iterdir()
    facts: dict[str, Any] = json.loads((run / "run.json").read_text())
    assert facts["progress"]["best"]["valid_accuracy"] >= 0
    return facts


def test_pictures_and_titles_from_raw_files_to_a_model(robustmm: Cli, tmp_path: Path) -> None:
    """The two commands of the page; the backbones stand in the folder under the names that the recipe gives them."""
    (command,) = (line.split()[1:] for line in PAGE.splitlines() if line.startswith("    robustmm train "))
    prepare(robustmm, "food101", tmp_path)
    save(tmp_path / "microsoft" / "resnet-152", "resnet", SMALL)
    bert = save(tmp_path / "bert-base-uncased", "bert", {**LAYER, "vocab_size": 40})
    write_text(bert / "tokenizer.json", train_tokenizer(["a pie", "apple pie", "pho"], 40))
    small = ("modality.image.size=[32,32,3]", "modality.image.shorter_side=36", "modality.text.length=8")
    facts = train_once(robustmm, command, tmp_path, *small)
    encoders = {key: table["encoder"]["model"] for key, table in facts["recipe"]["modality"].items()}
    assert encoders == {"image": "microsoft/resnet-152", "text": "bert-base-uncased"}


def test_three_pictures_from_raw_files_to_a_model(robustmm: Cli, tmp_path: Path) -> None:
    prepare(robustmm, "casia-surf", tmp_path)
    small = [f"modality.{m}.{s}" for m in ("color", "depth", "ir") for s in ("size=[32,32,3]", "encoder=conv")]
    facts = train_once(robustmm, ["train", "casia-surf", *DATA], tmp_path, *small)
    assert list(facts["recipe"]["modality"]) == ["color", "depth", "ir"]


def test_sound_and_video_from_raw_files_to_a_model(robustmm: Cli, tmp_path: Path) -> None:
    rows = (("Archery_g08", "train"), ("Typing_g08", "train"), ("Archery_g01", "valid"), ("Typing_g01", "test"))
    with (tmp_path / "fold.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split"], *((f"v_{clip}_c01", split) for clip, split in rows)])
    prepare(robustmm, "ucf51", tmp_path, "--split", "fold.csv")
    small = ("modality.video.size=[32,32,3]", "modality.video.frames=2", "modality.audio.seconds=0.5")
    encoders = ("modality.audio.encoder=conv", "modality.video.encoder=conv")
    facts = train_once(robustmm, ["train", "ucf51", *DATA], tmp_path, *small, *encoders)
    assert list(facts["recipe"]["modality"]) == ["audio", "video"]

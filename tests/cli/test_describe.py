"""`robustmm describe`, and `robustmm attack --describe`, rightly used and misused."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import soundfile
from graphs import Inputs, saved
from onnx import helper
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer, models, pre_tokenizers

Cli = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a classifier of other tools and a manifest for it."""
    from skl2onnx import to_onnx

    rng = np.random.default_rng(0)
    target = rng.integers(2, size=60)
    x = (rng.normal(size=(60, 4)) + target[:, None]).astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, np.array(["no", "yes"])[target])
    onnx.save(to_onnx(pipeline, x[:1]), tmp_path / "theirs.onnx")
    np.save(tmp_path / "x.npy", x)
    lines = [f"s{i},test,{['no', 'yes'][target[i]]},x.npy#{i}" for i in range(60)]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,split,label,X", *lines]))
    right = (pipeline.predict(x) == np.array(["no", "yes"])[target]).mean()
    (tmp_path / "accuracy.json").write_text(json.dumps(right))
    return tmp_path


def test_from_a_file_to_an_attack(robustmm: Cli, here: Path) -> None:
    result = robustmm("describe", "theirs.onnx", "-o", "model.toml", cwd=here)
    assert (result.code, result.out) == (0, "model.toml\n")
    assert "1 line to check; then: robustmm audit theirs.onnx --describe model.toml --data MANIFEST" in result.err
    assert tomllib.loads((here / "model.toml").read_text())["classes"] == ["no", "yes"]
    words = ["attack", "theirs.onnx", "--describe", "model.toml", "--data", "manifest.csv", "--missing", "X=0.5"]
    result = robustmm(*words, "--noise", "gaussian", "--level", "0.2", "--json", cwd=here)
    assert result.code == 0
    found = json.loads(result.out)
    assert found["method"] == "foreign"
    assert found["clean"]["accuracy"]["value"] == pytest.approx(
        json.loads((here / "accuracy.json").read_text()), rel=1e-5
    )
    assert robustmm(*words, cwd=here).code == 0


def test_without_a_file_to_write_it_is_printed(robustmm: Cli, here: Path) -> None:
    result = robustmm("describe", "theirs.onnx", cwd=here)
    assert result.code == 0
    assert tomllib.loads(result.out)["modality"]["X"]["length"] == 4
    assert sorted(path.name for path in here.glob("*.toml")) == []


def test_a_description_is_never_overwritten(robustmm: Cli, here: Path) -> None:
    (here / "model.toml").write_text("mine")
    result = robustmm("describe", "theirs.onnx", "-o", "model.toml", cwd=here)
    assert (result.code, result.out) == (2, "")
    assert "model.toml exists already and is left as it is" in result.err
    assert (here / "model.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["describe"], 2, "Missing argument 'model'"),
        (["describe", "none.onnx"], 3, "the model none.onnx does not exist"),
        (["describe", "manifest.csv"], 3, "manifest.csv is not"),
        (["describe", "theirs.onnx", "-o", "model.txt"], 2, "the description's name should end in .toml"),
        (
            ["describe", "theirs.onnx", "-o", "no/model.toml"],
            3,
            "no/model.toml cannot be written: No such file or directory",
        ),
        (["attack", "theirs.onnx"], 3, "robustmm describe theirs.onnx -o model.toml"),
        (["attack", "theirs.onnx", "--describe", "none.toml"], 2, "none.toml cannot be read"),
        (
            ["attack", "theirs.onnx", "--describe", "wrong.toml"],
            2,
            "wrong.toml:7: [output] name: the graph has no output",
        ),
        (["attack", "theirs.onnx", "--describe", "right.toml"], 2, "its data is not known; give --data MANIFEST"),
        (
            ["attack", "theirs.onnx", "--describe", "right.toml", "--data", "other.csv"],
            3,
            'other.csv has no column "X"',
        ),
    ],
)
def test_misuse(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    text = robustmm("describe", "theirs.onnx", cwd=here).out
    (here / "right.toml").write_text(text)
    (here / "wrong.toml").write_text(text.replace('name = "', 'name = "no'))
    (here / "other.csv").write_text("id,split,label,Y\na,test,no,x.npy#0\n")
    result = robustmm(*words, cwd=here)
    assert (result.code, result.out) == (code, "")
    assert sentence in " ".join(result.err.split())


# --- three commands, and no edit where names agree


def write_pictures(folder: Path, target: Any) -> Any:
    """Pictures 8 x 8 whose red tells the class, nearly always; and their pixels."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 200, (len(target), 8, 8, 3))
    x[..., 0] += 55 * target[:, None, None]
    for i, picture in enumerate(x.astype(np.uint8)):
        cv2.imwrite(str(folder / f"p{i}.png"), picture[..., ::-1])
    return x


def write_manifest(folder: Path, target: Any, columns: dict[str, list[str]]) -> None:
    """Half for training, half to test."""
    rows = [["id", "split", "label", *columns]]
    rows += [
        [f"s{i}", ["train", "test"][i % 2], ["ham", "spam"][k], *[cells[i] for cells in columns.values()]]
        for i, k in enumerate(target)
    ]
    (folder / "manifest.csv").write_text("\n".join(",".join(row) for row in rows))


def attacked(robustmm: Cli, folder: Path) -> tuple[dict[str, Any], str]:
    """What a first verdict says, and the draft that it was given as it came."""
    done = robustmm("describe", "theirs.onnx", "--data", "manifest.csv", "-o", "d.toml", cwd=folder)
    assert done.code == 0, done.err
    words = ["attack", "theirs.onnx", "--describe", "d.toml", "--data", "manifest.csv", "--noise", "gaussian"]
    result = robustmm(*words, "--level", "0.2", "--json", cwd=folder)
    assert result.code == 0, result.err
    return json.loads(result.out), (folder / "d.toml").read_text()


def test_pictures_and_texts_in_three_commands(robustmm: Cli, tmp_path: Path) -> None:
    """A checkpoint's files beside the model; a tokenizer of which id 0 is a word, as GPT-2's."""
    rng = np.random.default_rng(0)
    target = rng.integers(2, size=80)
    x = write_pictures(tmp_path, target)
    words = ["!", "buy", "now", "see", "you"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="you"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config = {"do_rescale": True, "do_normalize": True, "image_mean": [0.4] * 3, "image_std": [0.2] * 3,
              "rescale_factor": 1 / 255, "do_resize": True, "size": {"height": 8, "width": 8}}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    texts = [" ".join(rng.choice(words, 1 + int(rng.integers(5)))) for _ in target]
    write_manifest(tmp_path, target, {"photo": [f"p{i}.png" for i in range(80)], "caption": texts})
    table = np.array([[0, 3], [0, 1], [0, 1], [1, 0], [1, 0]], np.float32)
    weight = np.array([[-2, 2], [0, 0], [0, 0], [0.5, 0], [0, 0.5]], np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
        helper.make_node("Unsqueeze", ["mask", "last"], ["held"]),
        helper.make_node("Mul", ["tokens", "held"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["text"], keepdims=0),
        helper.make_node("ReduceMean", ["pixel_values", "two"], ["image"], keepdims=0),
        helper.make_node("Concat", ["image", "text"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "weight"], ["logits"]),
    ]
    stored = {"table": table, "weight": weight, "last": np.array([2]), "one": np.array([1]), "two": np.array([2, 3])}
    inputs: Inputs = {"pixel_values": ("f", [None, 3, 8, 8]), "input_ids": ("q", [None, None]),
                      "attention_mask": ("q", [None, None])}  # fmt: skip
    saved(tmp_path, nodes, inputs, ("logits", [None, 2]), stored)
    found, text = attacked(robustmm, tmp_path)
    image = ((x / 255 - 0.4) / 0.2).mean((1, 2))
    sums = np.stack([table[[words.index(w) for w in one.split()]].sum(0) for one in texts])
    answer = (np.concatenate([image, sums], 1) @ weight).argmax(1)
    assert found["clean"]["accuracy"]["value"] == pytest.approx((answer == target)[1::2].mean(), rel=1e-5)
    read = tomllib.loads(text)
    assert [table["column"] for table in read["modality"].values()] == ["photo", "caption"]
    assert read["prior"] == pytest.approx(np.bincount(target[::2]) / 40)


def test_sound_and_pictures_in_three_commands(robustmm: Cli, tmp_path: Path) -> None:
    """Recordings of any length, filled up at the end and cut there."""
    rng = np.random.default_rng(0)
    target = rng.integers(2, size=80)
    x = write_pictures(tmp_path, target)
    waves = np.zeros((80, 4000))
    for i, k in enumerate(target):
        wave = (0.2 + 0.3 * k) * rng.normal(size=int(rng.integers(2000, 6000))).clip(-1.5, 1.5)
        soundfile.write(tmp_path / f"w{i}.wav", wave, 8000, subtype="FLOAT")
        waves[i, : len(wave)] = wave[:4000]
    columns = {"waveform": [f"w{i}.wav" for i in range(80)], "image": [f"p{i}.png" for i in range(80)]}
    write_manifest(tmp_path, target, columns)
    ramp = np.linspace(0, 2e-3, 4000, dtype=np.float32)[:, None]  # so that it matters where the silence is
    weight = np.array([[-2, 2], [-2, 2], [0, 0], [0, 0]], np.float32)
    nodes = [
        helper.make_node("Abs", ["waveform"], ["size"]),
        helper.make_node("MatMul", ["size", "ramp"], ["loud"]),
        helper.make_node("ReduceMean", ["image", "two"], ["colour"], keepdims=0),
        helper.make_node("Concat", ["loud", "colour"], ["both"], axis=1),
        helper.make_node("Gemm", ["both", "weight", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probs"]),
    ]
    bias = np.array([2.4, -2.4], np.float32)
    stored = {"ramp": ramp, "weight": weight, "bias": bias, "two": np.array([2, 3])}
    inputs: Inputs = {"waveform": ("f", [None, 4000]), "image": ("f", [None, 3, 8, 8])}
    saved(tmp_path, nodes, inputs, ("probs", [None, 2]), stored)
    found, text = attacked(robustmm, tmp_path)
    both = np.concatenate([np.abs(waves) @ ramp, x.mean((1, 2)) / 255], 1)
    answer = (both @ weight + bias).argmax(1)
    assert 0.1 < answer[1::2].mean() < 0.9
    assert found["clean"]["accuracy"]["value"] == pytest.approx((answer == target)[1::2].mean(), rel=1e-5)
    assert tomllib.loads(text)["modality"]["waveform"]["rate"] == 8000
    assert "column" not in text


def test_sensors_in_three_commands(robustmm: Cli, here: Path) -> None:
    """One input for two columns of the manifest: nothing is edited, and the accuracy is scikit-learn's."""
    x = np.load(here / "x.npy")
    np.save(here / "near.npy", x[:, :3])
    np.save(here / "far.npy", x[:, 3:])
    lines = (here / "manifest.csv").read_text().splitlines()
    rows = [line.rpartition(",")[0].replace("test", "train" if i % 2 else "test") for i, line in enumerate(lines[1:])]
    rows = [f"{row},near.npy#{i},far.npy#{i}" for i, row in enumerate(rows)]
    (here / "manifest.csv").write_text("\n".join(["id,split,label,near,far", *rows]))
    found, text = attacked(robustmm, here)
    assert list(tomllib.loads(text)["modality"]) == ["near", "far"]
    assert found["samples"] == 30
    assert found["clean"]["accuracy"]["value"] > 0.7


def test_how_many_lines_are_left_to_check(robustmm: Cli, here: Path) -> None:
    result = robustmm("describe", "theirs.onnx", "--data", "manifest.csv", "-o", "d.toml", cwd=here)
    count = (here / "d.toml").read_text().count("# CHECK:")
    assert count == 1, "the prior, since there is no train split"
    assert (
        f"{count} line to check; then: robustmm audit theirs.onnx --describe d.toml --data manifest.csv" in result.err
    )
    result = robustmm("describe", "theirs.onnx", "--data", "none.csv", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert "the manifest none.csv does not exist" in result.err

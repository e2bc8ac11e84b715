"""`load`, `attack`, `audit` and `predict`: the command line's numbers, from a notebook."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import linear, softmax

import robustmm as rm
from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import DataError, UsageError
from robustmm.evaluation.attack_result import AttackResult
from robustmm.runs import Run
from robustmm.runtime.foreign.session import ForeignSession

NOISE = {"noise": ["gaussian", "blank"], "level": [0.5, 0.2], "on": "series", "missing": {"vector": 0.25}}
WORDS = ["--noise", "gaussian", "--noise", "blank", "--level", "0.5", "--level", "0.2", "--on", "series"]


def dump(result: Any) -> Any:
    return result.model_dump(mode="json")


def test_an_attack_has_the_command_lines_numbers(here: Path, command: Any) -> None:
    result = rm.attack(**NOISE, split="valid", seed=3)
    assert isinstance(result, AttackResult)
    assert dump(result) == command("attack", *WORDS, "--missing", "vector=0.25", "--split", "valid", "--seed", 3)
    assert result.attacked.accuracy.value < result.clean.accuracy.value


def test_every_way_to_say_the_same_attack(here: Path, model: Path, world_manifest: Path) -> None:
    plain = dump(rm.attack(str(model), **NOISE, limit=30))
    for chosen, options in (
        (model, {"level": np.array([0.5, 0.2]), "on": ["series"], "missing": ["vector=0.25"], "limit": np.int64(30)}),
        (rm.load(model), {"noise": ("gaussian", "blank"), "missing": "vector=0.25", "seed": np.int32(0)}),
        (rm.load(str(model), batch=7, threads=1), {"data": world_manifest, "runs": Path("elsewhere")}),
        (model, {"data": str(world_manifest.parent)}),
    ):
        found = dump(rm.attack(chosen, **{**NOISE, "limit": 30, **options}))
        assert {**found, "manifest": ""} == {**plain, "manifest": ""}
    one = rm.attack(model, noise="gaussian", level=np.float32(0.5), missing=0.25, limit=30)
    both = rm.attack(model, noise=["gaussian"], level=[0.5], missing={"vector": 0.25, "series": 0.25}, limit=30)
    assert dump(one) == dump(both)


def test_options_of_a_corruption(here: Path, command: Any) -> None:
    words = ["attack", "--noise", "stale", "--level", 1, "--limit", 30, "--set", "stale.age=3"]
    expected = command(*words)
    for given in ({"stale.age": 3}, {"stale": {"age": np.int64(3)}}, ["stale.age=3"], "stale.age=3"):
        assert dump(rm.attack(noise="stale", level=1, limit=30, set=given)) == expected
    assert dump(rm.attack(noise="stale", level=1, limit=30)) != expected


def test_a_texts_quotes_are_not_part_of_an_option(here: Path) -> None:
    """TOML's would be: a folder `noises` is not a folder `"noises"`."""
    from robustmm.api.inputs import setting_lines

    assert setting_lines({"background.folder": "my noises"}, quoted=False) == ["background.folder=my noises"]
    assert setting_lines({"method.name": "cal", "train": {"seed": 3}}) == ['method.name="cal"', "train.seed=3"]


def test_a_stored_table_of_what_is_missing(here: Path, model: Path) -> None:
    run = Run(model.parent)
    ids = [line.split(",")[0] for line in Path(run.read_facts()["manifest"]).read_text().splitlines()[1:]]
    Path("mask.csv").write_text("id,series\n" + "".join(f"{sample},{i % 2}\n" for i, sample in enumerate(ids)))
    found = [dump(rm.attack(missing=given)) for given in ("mask.csv", Path("mask.csv"), ["mask.csv"])]
    assert found[0] == found[1] == found[2]
    assert found[0]["modalities"][1]["missing"] == pytest.approx(0.5, abs=0.1)


def test_an_audit_is_the_command_lines_and_its_files(here: Path, command: Any) -> None:
    options = {"suite": "short.toml", "by": "site", "batch": 64, "share": 0.6}
    result = rm.audit(**options, out="a")
    assert isinstance(result, AuditResult)
    assert dump(result) == json.loads(Path("a/results.json").read_text())
    told = command("audit", "--suite", "short.toml", "--by", "site", "--batch", 64, "--share", 0.6, "--out", "b")
    assert dump(result) == told
    assert Path("a/records.parquet").read_bytes() == Path("b/records.parquet").read_bytes()
    again = rm.audit(rm.load(), **{**options, "suite": Path("short.toml")}, out=Path("c"), seed=np.int64(0))
    assert dump(again) == told


def test_the_same_question_goes_on_in_the_same_folder(here: Path, listener: Any, command: Any) -> None:
    first = rm.audit(suite="short.toml", batch=64)
    assert dump(rm.audit(suite="short.toml", batch=64, seed=np.int64(0), progress=listener)) == dump(first)
    assert any("all measured already" in note for note in listener.notes)
    command("audit", "--suite", "short.toml", "--batch", 64)
    assert len(list((here / "audits").iterdir())) == 1
    rm.audit(suite="short.toml", batch=64, limit=20)
    assert len(list((here / "audits").iterdir())) == 2


def test_an_answer_is_the_command_lines(here: Path, model: Path, world_manifest: Path, command: Any) -> None:
    arrays = {name: np.load(world_manifest.parent / f"{name}.npy")[15] for name in ("vector", "series")}
    for name, array in arrays.items():
        np.save(here / f"{name}.npy", array)
    told = command("predict", "--vector", "vector.npy", "--series", "series.npy")
    row = str(world_manifest.parent / "series.npy#15")
    for inputs in (
        arrays,
        {"vector": "vector.npy", "series": Path("series.npy")},
        {"vector": arrays["vector"].tolist(), "series": row},
    ):
        assert dump(rm.predict(None, inputs)) == told
    alone = command("predict", "--vector", "vector.npy")
    for lacking in ({"vector": arrays["vector"]}, {**arrays, "series": None}):
        found = rm.predict(Path("runs/world-001/model.onnx"), lacking)
        assert dump(found) == alone
        assert [m.present for m in found.modalities] == [True, False]
    p = rm.load(model).predict({name: x[None] for name, x in arrays.items()}, np.ones((1, 2), bool))[0]
    answer = rm.predict(rm.load(model), arrays)
    assert [c.probability for c in answer.classes] == pytest.approx(sorted(p, reverse=True))


DESCRIPTION = """\
classes = ["ant", "bee", "cat"]
[output]
name = "logits"
[modality.vector]
kind = "features"
length = 5
input = "x"
missing = 0.0
[modality.words]
kind = "text"
length = 4
tokenizer = "tokenizer.json"
input = "ids"
"""


@pytest.fixture
def foreign(here: Path) -> tuple[Path, Path]:
    """A linear model over a vector alone, of other tools, and its description."""
    path, _ = linear(here, {"x": ("f", ["batch", 5])})
    text = DESCRIPTION[: DESCRIPTION.index("[modality.words]")]
    (here / "theirs.toml").write_text(text)
    return path, here / "theirs.toml"


def test_a_model_of_other_tools(here: Path, foreign: tuple[Path, Path], data: Path) -> None:
    path, description = foreign
    with pytest.raises(DataError, match="was not exported by robustmm"):
        rm.load(path)
    session = rm.load(path, describe=str(description))
    assert isinstance(session, ForeignSession)
    x = np.load(data / "vector.npy")[:7]
    _, theirs = linear(here, {"x": ("f", ["batch", 5])})
    np.testing.assert_allclose(session.predict({"vector": x}, np.ones((7, 1), bool)), softmax(theirs(x)), atol=1e-6)
    named = rm.attack(path, describe=description, noise="gaussian", level=1, data=data)
    assert dump(rm.attack(session, noise="gaussian", level=1, data=data)) == dump(named)
    assert named.method == "foreign"
    Path("short.toml").write_text('[[grid]]\nlevel = [1.0]\nnoise = ["gaussian"]\n')
    audited = rm.audit(session, suite="short.toml", data=data, out="a", batch=64)
    apart = rm.audit(path, describe=description, suite="short.toml", data=data, out="b", batch=64)
    assert dump(audited) == dump(apart)
    assert (audited.method, audited.classes) == ("foreign", ["ant", "bee", "cat"])
    assert dump(audited.clean.accuracy) == dump(named.clean.accuracy)
    assert rm.predict(session, {"vector": x[0]}).label == rm.predict(path, {"vector": x[0]}, describe=description).label
    with pytest.raises(UsageError, match="its data is not known"):
        rm.attack(session)


def test_text_is_the_text_itself(here: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "ant": 2, "bee": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(here / "tokenizer.json"))
    path, theirs = linear(here, {"x": ("f", ["batch", 5]), "ids": ("q", ["batch", 4])})
    Path("theirs.toml").write_text(DESCRIPTION)
    session = rm.load(path, describe="theirs.toml")
    vector = np.arange(5, dtype=np.float32)
    found = rm.predict(session, {"vector": vector, "words": "bee ant"})
    expected = softmax(theirs(vector[None], np.array([[3, 2, 0, 0]])))[0]
    assert [c.probability for c in found.classes] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
    for wrong in (Path("words.txt"), ["bee", "ant"], np.zeros(4)):
        with pytest.raises(UsageError, match="words should be the text itself, found"):
            rm.predict(session, {"words": wrong})


def test_progress_is_silent_or_on_stderr(here: Path, world_manifest: Path, capfd: pytest.CaptureFixture[str]) -> None:
    vector = np.load(world_manifest.parent / "vector.npy")[0]
    calls = {
        "attacking": lambda **how: rm.attack(limit=9, **how),
        "audit: ": lambda **how: rm.audit(suite="short.toml", limit=40, batch=64, fresh=True, **how),
        "model: ": lambda **how: rm.predict(None, {"vector": vector}, **how),
    }
    for said, call in calls.items():
        call()
        call(progress=False)
        assert capfd.readouterr() == ("", "")
        call(progress=True)
        out, err = capfd.readouterr()
        assert out == ""
        assert "model: runs/world-001/model.onnx (the newest exported)\n" in err
        assert said in err or said == "attacking", "a bar is drawn on a terminal alone"


def test_hooks_are_told_of_stages_and_notes(here: Path, model: Path, world_manifest: Path, listener: Any) -> None:
    rm.attack(model, limit=9, progress=listener)
    assert listener.notes == [
        f"model: {model}",
        f"data: split test of {world_manifest} (what the model was trained on)",
    ]
    assert (listener.stages, listener.advanced) == ([("attacking", 18)], 18)
    rm.audit(model, suite="short.toml", out="a", progress=listener)
    assert listener.notes[-1] == "results: a/results.json, records: a/records.parquet, report: a/report.html"
    assert sum(note.startswith("audit: 2 conditions and clean on 72 samples") for note in listener.notes) == 1
    assert len(listener.stages) > 1
    assert listener.advanced > 18


def test_an_interrupted_audit_keeps_what_it_has(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from robustmm.auditing.store import Store
    from robustmm.errors import InterruptedRun

    plain, left = Store.put, [4]

    def put(self: Store, key: str, records: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        plain(self, key, records)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", put)
        with pytest.raises(InterruptedRun, match="4 of 9 cells of 3 conditions are measured, and kept in a"):
            rm.audit(suite="short.toml", out="a", batch=64, workers=1)
    assert len(list(Path("a").glob("cells/*/*.cell"))) == 4
    continued, whole = (rm.audit(suite="short.toml", out=out, batch=64) for out in ("a", "b"))
    assert dump(continued) == dump(whole)


@pytest.mark.parametrize(
    ("call", "options", "error", "sentence"),
    [
        (rm.load, {"model": "no.onnx"}, DataError, "the model no.onnx does not exist"),
        (rm.load, {"model": "short.toml"}, DataError, "is not a readable ONNX model"),
        (rm.load, {"runs": "no"}, UsageError, "there should be an exported model in no/"),
        (rm.load, {"model": 3}, UsageError, "the model should be a path, a session or what export gave, found int"),
        (rm.load, {"model": Run(Path())}, UsageError, "what export gave, found Run"),
        (rm.load, {"provider": "gpu"}, UsageError, 'did you mean "cpu"'),
        (rm.attack, {"noise": "gausian", "level": 1}, UsageError, 'did you mean "gaussian"'),
        (rm.attack, {"noise": "gaussian"}, UsageError, "level should be given once"),
        (rm.attack, {"noise": "gaussian", "level": "high"}, UsageError, "level should be a number, found 'high'"),
        (rm.attack, {"noise": "gaussian", "level": 2}, UsageError, r"should be in \[0, 1\], found 2"),
        (rm.attack, {"noise": "gaussian", "level": 1, "on": "vectr"}, UsageError, 'did you mean "vector"'),
        (rm.attack, {"missing": {"vectr": 0.5}}, UsageError, 'did you mean "vector"'),
        (rm.attack, {"missing": {"vector": "half"}}, UsageError, "with a rate in"),
        (rm.attack, {"missing": ["a.csv", "b.csv"]}, UsageError, "takes one table, found 2"),
        (rm.attack, {"missing": 0.5, "fill": "zeros"}, UsageError, "fill should be one of masked, zero, stale"),
        (rm.attack, {"set": {"stale.age": 3}}, UsageError, "with a NOISE that is given"),
        (rm.attack, {"limit": 0}, UsageError, "limit should be a whole number, 1 or more, found 0"),
        (rm.attack, {"limit": 2.5}, UsageError, "limit should be a whole number, 1 or more, found 2.5"),
        (rm.attack, {"seed": -1}, UsageError, "seed should be a whole number, 0 or more, found -1"),
        (rm.attack, {"split": "tset"}, DataError, 'did you mean "test"'),
        (rm.attack, {"on_bad_input": "skip"}, UsageError, "on_bad_input should be one of error, missing"),
        (rm.audit, {"suite": "deploment"}, UsageError, 'did you mean "deployment"'),
        (rm.audit, {"by": ["sit"]}, DataError, 'did you mean "site"'),
        (rm.audit, {"baseline": "meen"}, UsageError, "baseline should be one of masked, mean, permuted"),
        (rm.audit, {"share": 2}, UsageError, r"share should be in \[0, 1\], found 2"),
        (rm.audit, {"share": float("nan")}, UsageError, r"share should be in \[0, 1\], found nan"),
        (rm.audit, {"workers": 0}, UsageError, "workers should be a whole number, 1 or more, found 0"),
        (rm.audit, {"batch": 0}, UsageError, "batch should be a whole number, 1 or more, found 0"),
        (rm.audit, {"threads": 0}, UsageError, "threads should be a whole number, 1 or more, found 0"),
        (rm.audit, {"limit": 0}, UsageError, "limit should be a whole number, 1 or more, found 0"),
        (rm.audit, {"reference": "none.json"}, DataError, "should be the results.json of an audit"),
        (rm.predict, {}, UsageError, "inputs should hold a file, an array or a text by modality, found NoneType"),
        (rm.predict, {"inputs": {}}, UsageError, "at least one of --vector, --series should be given"),
        (rm.predict, {"inputs": {"vector": None}}, UsageError, "at least one of --vector, --series should be given"),
        (rm.predict, {"inputs": {"vectr": np.zeros(5)}}, UsageError, 'did you mean "vector"'),
        (rm.predict, {"inputs": {"../x": np.zeros(5)}}, UsageError, 'the model has no modality "../x"'),
        (rm.predict, {"inputs": {"vector": "no.npy"}}, DataError, "--vector: no.npy does not exist"),
        (rm.predict, {"inputs": {"vector": np.zeros(4)}}, DataError, "--vector: the array should be a vector of 5"),
        (rm.predict, {"inputs": {"vector": np.array([None])}}, UsageError, "vector should be a file or an array"),
        (rm.predict, {"inputs": {"vector": [[1.0], [2.0, 3.0]]}}, UsageError, "vector should be a file or an array"),
    ],
)
def test_misused(here: Path, call: Any, options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call(**options)
    assert not (here / "audits").exists() or call is rm.audit
    assert not list(here.rglob("results.json"))

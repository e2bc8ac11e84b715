"""The metadata of an exported file: whole, and of the graph beside it, or refused in one sentence."""

import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from robustmm.errors import DataError
from robustmm.modalities import Text
from robustmm.modalities.text import train_tokenizer
from robustmm.runtime.metadata import KEY, load_metadata
from robustmm.runtime.session import Session, read_graph

MUTATIONS = 300
WRONG: list[Any] = [
    None, True, False, 0, 1, -1, 3, 10**9, 2**63, 10**40, 0.5, -0.5, 1e308, float("nan"), float("inf"), "", "x",
    "present", "\x1b[2J", "9" * 5000, [], [None], [1e308, -1e308], ["ant", "ant"], {}, {"name": "x"}, {"x": [{}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def model(world_model: Path) -> onnx.ModelProto:
    return read_graph(world_model)


def facts_of(model: onnx.ModelProto) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(e.value for e in model.metadata_props if e.key == KEY))
    return found


def with_metadata(model: onnx.ModelProto, text: str) -> onnx.ModelProto:
    other = copy.deepcopy(model)
    next(e for e in other.metadata_props if e.key == KEY).value = text
    return other


def refusal(model: onnx.ModelProto, text: str) -> str:
    with pytest.raises(DataError) as caught:
        load_metadata(with_metadata(model, text), Path("m.onnx"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "modalities.0.length",
            10**9,
            r"modalities\[0\]\S* a sample has 1,000,000,000 numbers, which takes 15,259 MiB",
        ),
        ("modalities.1", {"kind": "audio", "name": "a", "rate": 192_000, "seconds": 600}, "115,200,000 numbers, which"),
        ("modalities.1", {"kind": "text", "name": "a", "length": 10**9}, "a sample has 1,000,000,000 numbers, which"),
        ("width", 10**9, "claims embeddings of 1,000,000,000 numbers, which takes 15,259 MiB"),
    ],
)
def test_what_metadata_claim_is_held_against_the_limit(
    model: onnx.ModelProto, key: str, value: Any, sentence: str
) -> None:
    facts = facts_of(model)
    change(key, value)(facts)
    assert re.search(sentence, told := refusal(model, json.dumps(facts)))
    assert "if that is meant, set the environment variable ROBUSTMM_MAX_MIB=" in told


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets `modalities.0.mean` and the like."""
    *way, last = key.split(".")

    def apply(facts: Any) -> None:
        for part in way:
            facts = facts[int(part) if part.isdecimal() else part]
        facts[int(last) if last.isdecimal() else last] = value

    return apply


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("format", 3, "m.onnx has format 3, this robustmm reads 1 and 2"),
        ("format", True, "m.onnx has format True, this robustmm reads 1 and 2"),
        ("format", 2, "format 2 lacks a guard"),
        ("guard", {"thresholds": [0.1], "clean_cost": 0.003}, "format 1 has a guard"),
        ("guard", {"thresholds": [-1], "clean_cost": 0}, "guard.thresholds[0]: should be greater than or equal to 0"),
        ("classes", ["ant", "bee"], "prior should hold 2 numbers, one a class, found 3"),
        ("classes", ["ant", "bee", "ant"], "classes should have different names, found 'ant' twice"),
        ("classes", ["ant", "bee", 3], "classes[2]: should be a valid string, found 3"),
        ("classes", "abc", "classes: should be a valid array, found 'abc'"),
        ("prior", [0.5, 0.75, -0.25], "prior[2]: should be greater than or equal to 0, found -0.25"),
        ("prior", [1e308, 1e308, 0], "prior should sum to 1, found inf"),
        ("prior", [0.5, 0.5, float("nan")], "prior[2]: should be a finite number, found nan"),
        ("prior", [0.5, 0.5], "prior should hold 3 numbers, one a class, found 2"),
        ("width", 9, 'it tells of the output "z.vector" float32 (?, 9), the graph has "z.vector" float32 (?, 8)'),
        ("width", "8", "width: should be a valid integer, found '8'"),
        ("modalities.0.length", 6, "the mean of vector should hold 6 numbers, found 5"),
        ("modalities.0.std", [1, 1, 1, 1, -1], "the std of vector should hold finite numbers, none below 0"),
        ("modalities.0.mean", [1, 1, 1, 1, float("inf")], "the mean of vector should hold finite numbers"),
        ("modalities.0.name", "series", "modalities should have different names, found 'series' twice"),
        ("modalities.0.name", "v", 'it tells of the input "v" float32 (?, 5), the graph has "vector" float32 (?, 5)'),
        ("modalities.1.steps", 13, 'of the input "series" float32 (?, 13, 2), the graph has "series" float32 (?, 12'),
        ("modalities.1", {"name": "series", "kind": "audio", "rate": 192_000, "seconds": 60.0}, "(?, 11520000)"),
        ("modalities.1.kind", "sound", "modalities[1]: "),
        ("recipe", {}, "recipe.method: field required; export it again"),
        ("recipe.method.name", None, "recipe.method.name: should be a valid string, found None"),
        ("manifest", None, "manifest: should be a valid string, found None"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(model: onnx.ModelProto, key: str, value: Any, sentence: str) -> None:
    facts = facts_of(model)
    change(key, value)(facts)
    found = refusal(model, json.dumps(facts))
    assert sentence in found
    assert "\n" not in found
    assert len(found) < 400


def test_fewer_classes_than_the_graph_answers_are_refused(model: onnx.ModelProto) -> None:
    facts = facts_of(model) | {"classes": ["ant", "bee"], "prior": [0.5, 0.5]}
    assert 'the output "logits" float32 (?, 2), the graph has "logits" float32 (?, 3)' in refusal(
        model, json.dumps(facts)
    )


def test_modalities_in_another_order_are_refused(model: onnx.ModelProto) -> None:
    facts = facts_of(model)
    facts["modalities"].reverse()
    assert 'it tells of the input "series"' in refusal(model, json.dumps(facts))


def test_a_key_of_a_later_version_is_ignored(model: onnx.ModelProto) -> None:
    text = json.dumps(facts_of(model) | {"note": "of later"})
    assert load_metadata(with_metadata(model, text), Path("m.onnx")).classes == ["ant", "bee", "cat"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"format": 1', "\x00", "NaN"])
def test_what_is_no_table_is_refused(model: onnx.ModelProto, text: str) -> None:
    found = refusal(model, text)
    assert "m.onnx has damaged metadata: " in found
    assert len(found) < 300


def test_a_graph_without_metadata_is_of_other_tools(model: onnx.ModelProto) -> None:
    bare = copy.deepcopy(model)
    del bare.metadata_props[:]
    with pytest.raises(DataError, match=r"m\.onnx was not exported by robustmm"):
        load_metadata(bare, Path("m.onnx"))


def text_model(tokenizer: str) -> onnx.ModelProto:
    """The ends of a graph with one text, and its metadata."""
    ends = [("present", TensorProto.BOOL, 1), ("words", TensorProto.INT64, 4)]
    answers = [("logits", 2), ("probabilities", 2), ("z.words", 3)]
    graph = helper.make_graph(
        [], "g", [helper.make_tensor_value_info(n, kind, ["batch", size]) for n, kind, size in ends],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", size]) for n, size in answers],
    )  # fmt: skip
    words = Text(name="words", length=4, tokenizer_json=tokenizer).model_dump()
    facts = {
        "format": 1, "modalities": [words], "classes": ["a", "b"], "prior": [0.5, 0.5], "width": 3, "data": {},
        "recipe": {"method": {"name": "joint"}}, "manifest": "", "run": "", "precision": "fp32", "versions": {},
    }  # fmt: skip
    model = helper.make_model(graph)
    helper.set_model_props(model, {KEY: json.dumps(facts)})
    return model


@pytest.mark.parametrize("tokenizer", ["", "{}", "no JSON", '{"model": {"type": "WordLevel", "vocab": {}}}'])
def test_a_tokenizer_that_cannot_be_used_is_refused(tokenizer: str) -> None:
    assert load_metadata(text_model(train_tokenizer(["a b"], 5)), Path("m.onnx")).width == 3
    with pytest.raises(DataError, match="the tokenizer of words cannot be used"):
        load_metadata(text_model(tokenizer), Path("m.onnx"))


def mutate(facts: Any, rng: random.Random) -> str:
    """The facts as JSON with one thing in them changed, removed, doubled, or the text cut or a letter of it turned."""
    way = rng.random()
    text = json.dumps(facts)
    if way < 0.1:
        return text[: rng.randrange(len(text))]
    if way < 0.2:
        place = rng.randrange(len(text))
        return text[:place] + chr(rng.randrange(128)) + text[place + 1 :]
    facts = json.loads(text)
    at = facts
    while True:
        key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
        if not isinstance(at[key], (dict, list)) or not at[key] or rng.random() < 0.3:
            break
        at = at[key]
    if way < 0.35:
        del at[key]
    elif way < 0.45 and isinstance(at, list):
        at.append(at[key])
    else:
        at[key] = rng.choice(WRONG)
    return json.dumps(facts)


def test_damaged_metadata_is_a_sentence_or_changes_no_answer(
    world_model: Path, model: onnx.ModelProto, tmp_path: Path
) -> None:
    rng = random.Random(0)
    draw = np.random.default_rng(0)
    session = Session(world_model)
    inputs = {m.name: draw.normal(size=(3, *m.shape)).astype(np.float32) for m in session.modalities}
    present = np.array([[True, True], [True, False], [False, True]])
    expected = session.predict(inputs, present)
    facts, path = facts_of(model), tmp_path / "mutated.onnx"
    refused: list[str] = []
    for _ in range(MUTATIONS):
        mutated = with_metadata(model, mutate(facts, rng))
        try:
            load_metadata(mutated, path)
        except DataError as error:
            refused.append(str(error))
            continue
        path.write_bytes(mutated.SerializeToString())
        kept = Session(path)
        assert len(kept.classes) == 3 == len(kept.prior)
        assert kept.prior.min() >= 0
        assert kept.prior.sum() == pytest.approx(1)
        np.testing.assert_array_equal(kept.predict(inputs, present), expected)
    assert MUTATIONS / 3 < len(refused) < MUTATIONS
    assert all(sentence.startswith(str(path)) for sentence in refused)
    assert not any("\n" in sentence for sentence in refused)

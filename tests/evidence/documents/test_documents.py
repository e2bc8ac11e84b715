"""The bill of materials against CycloneDX's own schema, and the model card against YAML and Hugging Face's reader."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import referencing
import yaml
from audits import estimate, group, modality, outcome, result
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from robustmm.auditing.results.schema import AuditResult
from robustmm.evidence.documents.bom import format_bom, write_bom
from robustmm.evidence.documents.card import escape_markdown, write_card
from robustmm.evidence.documents.metrics import list_metrics
from robustmm.evidence.documents.yaml import to_scalar, to_yaml

HOSTILE = [
    "a: b", "- x", "---", "...", "#c", "yes", "null", "1e3", "!!python/object:os.system", "*alias", "&anchor", "{a",
    "%TAG", '"', "'", "\\", "a\nb: c", "\r\n", "\t", "\x1b[31mred", "\u2028", "\x85", "\u202eabc", "🦀", "\ud800", "",
    " x ", "\ufeff", "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://evil/)", "a|b", "`code`",
    "**b**", "&lt;", "https://evil.example", "~~~", "1. x", "$$x$$", "\x7f", "\x00",
]  # fmt: skip


def hostile(text: str) -> AuditResult:
    return result(
        outcome(groups=[group(text, 8, 10), group(text, 8, 10, text)], modalities=[modality(text)]),
        [outcome(text), outcome(f"x {text}")], model=f"m/{text}", manifest=text, split=text, suite=text, notes=[text],
        model_sha256="0" * 64,
    )  # fmt: skip


def validate_bom(bom: dict[str, Any]) -> None:
    folder = files("cyclonedx.schema._res")

    def load(name: str) -> Any:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    others = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    resources = [(f"http://cyclonedx.org/schema/{n}", referencing.Resource.from_contents(load(n))) for n in others]
    schema, registry = load("bom-1.6.SNAPSHOT.schema.json"), referencing.Registry().with_resources(resources)
    jsonschema.Draft7Validator(schema, registry=registry).validate(bom)


def test_the_bill_of_materials_has_the_published_form() -> None:
    found = result(outcome(), [outcome("gaussian 1", 40)], model_sha256="0" * 64, notes=["few samples"])
    bom = write_bom(found)
    validate_bom(bom)
    with pytest.raises(jsonschema.ValidationError):
        validate_bom(bom | {"components": [{"type": "model"}]})
    model, data = bom["components"]
    assert (model["type"], model["name"], data["type"]) == ("machine-learning-model", "m.onnx", "data")
    assert model["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert len(metrics) == len(list_metrics(found))
    accuracy = next(m for m in metrics if m["slice"] == "gaussian 1" and m["type"] == "accuracy")
    assert accuracy["value"] == "0.4"
    assert accuracy["confidenceInterval"] == {
        "lowerBound": f"{found.conditions[0].accuracy.low:.6g}",
        "upperBound": f"{found.conditions[0].accuracy.high:.6g}",
    }
    assert model["modelCard"]["considerations"] == {"technicalLimitations": ["few samples"]}
    assert "confidenceInterval" not in next(m for m in metrics if m["type"] == "brier_score")


def test_the_same_result_gives_the_same_documents() -> None:
    found, other = result(outcome()), result(outcome(right=81))
    assert format_bom(found) == format_bom(found)
    assert write_bom(found)["serialNumber"] != write_bom(other)["serialNumber"]
    assert write_card(found) == write_card(found)


def test_numbers_that_are_none_are_left_out() -> None:
    found = [m.kind for m in list_metrics(result(outcome(macro_f1=estimate(float("nan")))))]
    assert "accuracy" in found
    assert "f1_macro" not in found
    assert "roc_auc" not in found


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_a_scalar(text: str) -> None:
    table = {"a": text, "b": [{"c": text, "d": [text, text]}, text], "e": 1}
    expected = json.loads(json.dumps(table).replace("\\ud800", "\\ufffd"))
    assert yaml.safe_load(to_yaml(table)) == expected
    assert "\n" not in to_scalar(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_documents_of_hostile_names_are_whole(text: str) -> None:
    found = hostile(text)
    validate_bom(json.loads(format_bom(found).encode()))
    card = write_card(found)
    card.encode()
    _, head, body = card.split("---\n", 2)
    table = yaml.safe_load(head)
    assert set(table) == {"library_name", "tags", "model-index"}
    assert len(table["model-index"][0]["results"][0]["metrics"]) == len(list_metrics(found))
    tokens = [t for block in MarkdownIt("js-default").parse(body) for t in (block, *(block.children or []))]
    kinds = {t.type for t in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "fence", "code_block", "code_inline", "hr"}
    assert [t.tag for t in tokens if t.type == "heading_open"] == ["h1", "h2", "h2", "h2", "h2"][
        : 1 + body.count("\n## ")
    ]
    assert sum(t.type == "table_open" for t in tokens) == body.count("\n## ")


def test_hugging_face_reads_the_card() -> None:
    card = ModelCard(write_card(result(outcome(), [outcome("gaussian 1", 40)], model="m.onnx")))
    assert card.data.model_name == "m.onnx"
    found = {(e.metric_type, e.metric_name): e.metric_value for e in card.data.eval_results}
    assert found["accuracy", "accuracy (gaussian 1)"] == 0.4
    assert all(e.dataset_split == "test" and e.dataset_revision == "d" for e in card.data.eval_results)


@pytest.mark.parametrize(
    ("verdict", "said"), [("PASS", "PASS: all gates hold"), ("FAIL", "FAIL: a gate"), (None, "No gates were declared")]
)
def test_the_verdict_stands_first(verdict: Any, said: str) -> None:
    body = write_card(result(outcome(), verdict=verdict)).split("---\n", 2)[2]
    assert body.splitlines()[3].startswith(f"**{said}")


def test_markdown_is_escaped() -> None:
    assert escape_markdown("a|b\n<c> & [d]") == r"a\|b &lt;c&gt; &amp; \[d\]"

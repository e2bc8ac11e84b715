"""The samples that fail first: which they are, and that what is drawn is what the model saw."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from audits import silent

from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import OpenedSpec, Spec, open_spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.plan import Plan
from robustmm.data.loading import read_samples
from robustmm.modalities.image import Image
from robustmm.modalities.text import Text
from robustmm.report.page.examples import MOST, Examples
from robustmm.report.sheets import failures
from robustmm.workers.processes import WorkerPool


def at(level: float, on: str, noise: str = "gaussian") -> Condition:
    return Condition(f"{noise} {level:g} on {on}", (Noise(noise, level, (on,)),))


SOME = [at(0.5, "series"), at(1.0, "series"), at(0.5, "vector"), at(1.0, "vector"), at(1.0, "vector", "blank")]


class Audited:
    def __init__(self, model: Path, manifest: Path, folder: Path, conditions: Sequence[Condition]) -> None:
        self.spec = Spec(model, manifest)
        self.plan = AuditPlan("small", tuple(conditions))
        self.folder = folder
        self.result: AuditResult = Audit(self.spec, self.plan, folder, WorkerPool(1), silent).run()

    @property
    def opened(self) -> OpenedSpec:
        return open_spec(self.spec)

    def collect(self) -> Examples:
        records = self.folder / "records.parquet"
        return failures.collect_examples(self.result, self.opened, self.plan, records, ["robustmm", "audit"])


@pytest.fixture(scope="module")
def audited(world_model: Path, world_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return Audited(world_model, world_manifest, tmp_path_factory.mktemp("failures"), SOME)


def test_they_were_right_when_clean_and_are_wrong_at_the_lowest_level_that_does_it(audited: Audited) -> None:
    records = audited.folder / "records.parquet"
    clean = {r["id"]: r for r in failures.read_answers(records, 0)}
    found = audited.collect()
    assert 1 <= len(found.examples) <= 3
    for example in found.examples:
        number = [c.name for c in SOME].index(example.condition)
        assert clean[example.id]["answer"] == clean[example.id]["label"] == example.label
        attacked = {r["id"]: r["answer"] for r in failures.read_answers(records, number + 1)}
        assert attacked[example.id] == example.answer != example.label
        if number in (1, 3):  # the lower level of the same corruption makes none wrong
            lower = {r["id"]: r["answer"] for r in failures.read_answers(records, number)}
            assert all(lower[i] == r["answer"] for i, r in clean.items() if r["answer"] == r["label"])


def test_the_drawn_signal_is_the_one_that_the_audit_corrupted(audited: Audited) -> None:
    opened, example = audited.opened, audited.collect().examples[0]
    row = opened.rows.ids.index(example.id)
    condition = next(c for c in SOME if c.name == example.condition)
    (signal,) = example.signals
    modality = opened.session.modality(signal.modality)
    plan = Plan(condition, opened.session.modalities, opened.rows, 0, "error")
    clean = read_samples(opened.rows.take([row]), [modality], "error").signals[modality.name][0]
    expected = failures.draw_signal(modality, clean, plan.build_corrupter(modality)(row, example.id, clean))
    assert signal == expected
    assert signal.clean != signal.corrupted
    assert condition.noises[0].on == (signal.modality,)


def test_same_audit_same_bytes(audited: Audited) -> None:
    assert audited.collect().model_dump_json() == audited.collect().model_dump_json()
    assert audited.collect().kinds == {"series": "series", "vector": "features"}


def test_never_more_than_a_page_holds(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST", 1)
    assert len(audited.collect().examples) == 1
    assert MOST == 12


def test_of_a_suite_without_levels_the_conditions_that_corrupt(audited: Audited) -> None:
    bare = audited.result.model_copy(update={"breaking_levels": []})
    names = [name for sweep in failures.failing_sweeps(bare) for name in sweep]
    assert sorted(names) == sorted(c.name for c in SOME)
    kept = {c.name: c.retention.value for c in audited.result.conditions}
    assert [kept[n] for n in names] == sorted(kept[n] for n in names), "the worst first"


def decode(uri: str) -> Any:
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_pictures_are_small_whatever_noise_they_show() -> None:
    modality = Image(name="photo", size=(256, 256, 3))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    made = failures.draw_signal(modality, noise, 255 - noise)
    assert decode(made.clean).shape == (126, 168, 3)
    assert max(len(made.clean), len(made.corrupted)) < 60_000
    gone = failures.draw_signal(modality, noise, None)
    assert decode(gone.corrupted).mean() > 200, "paper that says it is missing"


def test_texts_are_kept_as_words() -> None:
    modality = Text(name="title")
    made = failures.draw_signal(modality, "a cat " * 200, "a cut " * 200)
    assert (made.clean, made.corrupted) == ("", "")
    assert made.clean_text == ("a cat " * 200)[:400]
    assert made.corrupted_text.startswith("a cut")

"""What the page says, section by section, without a browser."""

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from audits import outcome, result
from pages import CANARY, NAN, Reader, audit, condition, examples, gate, sweep

from robustmm.auditing.results.condition import SubsetAccuracy
from robustmm.auditing.results.schema import AuditResult, Clusters
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Estimate
from robustmm.report.page import charts, findings, scripts, untested
from robustmm.report.page.page import render_audit_page
from robustmm.report.page.provenance import rebuild_command
from robustmm.report.page.scripts import assemble_page, chart_library, security_policy
from robustmm.report.summary.findings import rank_thresholds


def shown(found: AuditResult, some: Any = None) -> str:
    """The page's words, without styles and scripts."""
    text = render_audit_page(found, some).decode()
    return " ".join(Reader(re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)).words.split())


def drawn(found: AuditResult) -> dict[str, Any]:
    text = render_audit_page(found, None).decode()
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text)[1])


def test_the_verdict_stands_first() -> None:
    said = shown(audit())
    assert "Verdict: FAIL 2 gates: 1 FAIL, 1 PASS. Gates" in said
    assert (
        "clean accuracy FAIL accuracy is at least 85 % clean 0.8 [0.7112, 0.8666] the interval ends below 85 %" in said
    )
    assert said.index("Verdict") < said.index("Clean accuracy") < said.index("What fails first")
    free = shown(audit(verdict=None, gates=[]))
    assert "No verdict: the audit had no gates. Of 5 corruptions, 1 hold at 90 % of clean accuracy, 3 fail" in free
    unsure = shown(audit(verdict="INCONCLUSIVE", gates=[gate("INCONCLUSIVE")]))
    assert "Verdict: INCONCLUSIVE 1 gates: 1 INCONCLUSIVE." in unsure


def test_what_fails_first_and_in_which_unit() -> None:
    said = shown(audit())
    assert (
        "fog on photo breaks the model first: from level 0.3 on (signal-to-noise, dB: 12.5) certainly less than 90 % "
        "of clean accuracy are kept."
    ) in said
    assert [b.noise for b in rank_thresholds(audit())] == ["fog", "fog1", "fog2", "hiss", "rain"]
    assert "fog on photo fails 0.00 0.30 12.5 signal-to-noise, dB 72 %" in said
    assert "in 20 clusters by speaker" in said
    calm = shown(audit(breaking_levels=[sweep("rain", ["photo"], 80, 79, outcome="holds")]))
    assert "Under none of the corruptions is certainly less than 90 % of clean accuracy kept." in calm


def test_every_section_has_something_and_the_order_is_a_readers() -> None:
    text = render_audit_page(audit(), examples()).decode()
    assert re.findall(r'<section id="(\w+)"', text) == [
        "failures", "findings", "degradation", "modalities", "subsets", "reliability", "groups", "conditions",
        "examples", "untested", "provenance",
    ]  # fmt: skip
    headings = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))


def test_numbers_stand_in_tables_too() -> None:
    said = shown(audit())
    assert "photo +10.0 [+0.0, +20.0] +20.0 [+10.0, +30.0]" in said.replace("clean ", "")
    assert "photo and sound 2.0 % [1.0, 3.0] -30.0 [-40.0, -20.0]" in said
    assert "photo 5.0 % [4.0, 6.0] 5.0 %" in said
    assert "photo + sound 80.0 % 71.1 % to 86.7 % ● ●" in said
    assert "By site, the worst first site samples" in said
    assert "clean 3.0 0.500 0.200 0.100" in said


def test_an_audit_of_almost_nothing_has_a_page() -> None:
    bare = result(outcome(modalities=outcome().modalities[:1], groups=[]))
    said = shown(bare)
    assert "No verdict" in said
    assert "Degradation" not in said
    assert "Which corruptions of the catalogue were left out is not known" in said
    assert set(drawn(bare)) == {"contributions"}


def test_names_are_data_and_never_part_of_a_specification() -> None:
    """Without its data and its title, a chart is the same whatever strangers named."""

    def bones(found: AuditResult) -> dict[str, Any]:
        specs = drawn(found)
        for spec in specs.values():
            del spec["data"]
        specs["contributions"]["encoding"]["color"]["sort"] = specs["calibration"]["layer"][1]["encoding"]["color"] = 0
        specs["calibration"]["layer"][2]["encoding"]["color"] = 0
        return specs

    assert bones(audit((f"1{CANARY}", f"2{CANARY}"), CANARY)) == bones(audit())
    assert '"signal"' not in json.dumps(bones(audit()))
    assert '"expr"' not in json.dumps(bones(audit()))


def test_a_large_audit_is_still_a_small_page() -> None:
    names = ("photo", "sound")
    many = audit(names, "a-long-name-of-a-corruption-that-somebody-wrote", sweeps=300)
    many = many.model_copy(update={
        "subsets": [SubsetAccuracy(modalities=["photo"], accuracy=proportion(k % 100, 100)) for k in range(1024)],
        "bad_inputs": ["line 3 cannot be read"] * 10_000,
        "clean": many.clean.model_copy(update={"groups": many.clean.groups * 100}),
        "conditions": [c.model_copy(update={"groups": c.groups * 100}) for c in many.conditions],
    })  # fmt: skip
    page = render_audit_page(many, examples("x" * 400))
    assert len(page) < 2 * 10**6
    said = shown(many)
    assert f"{302 - charts.PANELS} more corruptions are in results.json alone." in said
    assert "960 more are in results.json" in said
    assert "9980 more are in results.json." in said
    assert "180 more are in results.json" in said


def test_what_was_not_tested_is_said() -> None:
    kinds = {"photo": "image", "sound": "audio"}
    gaps = [" ".join(Reader(str(untested.tag("p", g))).words.split()) for g in untested.find_gaps(audit(), kinds)]
    assert any(re.match(r"photo: \d+ of \d+ corruptions for image: .*gaussian", g) for g in gaps)
    assert not any("fog" in g for g in gaps if g.startswith("photo")), "it was tested"
    assert any(g.startswith("Faults between modalities: crowd, ") for g in gaps)
    assert "Other draws of the noise: one seed (0)." in gaps
    assert any(g.startswith("Missing inputs: ") for g in gaps)
    assert any(g.startswith("Adversarial search: ") for g in gaps)
    assert any(g.startswith("Rare failures: 100 samples") for g in gaps)
    assert not any(g.startswith(("Clusters", "Groups")) for g in gaps), "both were named"
    label = [g for g in audit().clean.groups if g.column == "label"]
    plain = audit(clusters=None, clean=audit().clean.model_copy(update={"groups": label}), samples=5000)
    said = str(untested.find_gaps(plain, kinds))
    assert "--cluster COLUMN" in said
    assert "--by COLUMN" in said
    assert "Rare failures" not in said


def advice(**more: Any) -> str:
    found = audit(**more)
    return "\n".join(f"{what} -> {do}" for what, do in findings.find_all(found, rank_thresholds(found)))


def test_findings_say_what_may_help() -> None:
    said = advice()
    assert (
        "fog on photo fails from 12.5 on (signal-to-noise, dB). -> At its highest level the answer is right in 40"
        in said
    )
    assert "without photo, on clean inputs, in 45.0 %" in said
    assert "Under 10 of 11 conditions one modality alone is significantly better" in said
    assert "Without photo accuracy is 45.0 %, against 80.0 % with everything." in said
    assert "1 of 3 groups are certainly worse than the whole when clean, most label ant: 40.0 % of 50 samples." in said
    assert "1 corruptions are undecided with 100 samples. -> With about 640 samples like these the first" in said
    few = advice(clusters=Clusters(column="subject", number=4, smallest=9, largest=30))
    assert 'the samples come from 4 values of "subject", and fewer than 10 decide nothing.' in few
    assert "With about" not in few
    assert "Check before the model that the inputs belong together" in advice(noise="stale", sweeps=1)
    assert "Add samples with this fault" in advice(subsets=[])
    calm = result(condition("clean", 80, ("a", "b"), ece=0.01).model_copy(update={"groups": []}))
    assert "Nothing that was tested asks for a change." in findings.render_findings(calm, [])


def test_confidence_and_groups_that_are_off_are_found() -> None:
    worse = condition("dark", 70, ("a", "b"), ece=0.31)
    low = [audit().clean.groups[0].model_copy(update={"accuracy": proportion(5, 50)})]
    found = result(condition("clean", 80, ("a", "b"), ece=0.02).model_copy(update={"groups": low}), [worse])
    said = "\n".join(map(str, findings.find_all(found, [])))
    assert "Confidence is off by 31 points under dark (clean: 2)." in said
    assert "1 of 1 groups are certainly worse than the whole when clean, most label ant: 10.0 % of 50 samples." in said


def test_where_it_comes_from() -> None:
    said = shown(audit(description="kind = 'x'", description_sha256="cd" * 32, gates_sha256="ef" * 32), examples("a b"))
    for words in (
        "ab" * 32,
        "cd" * 32,
        "ef" * 32,
        "kind = 'x'",
        "robustmm audit 'a b'",
        "robustmm, onnxruntime 0, 1 (cpu",
    ):
        assert words in said
    assert "Put together from the result" not in said
    assert "Put together from the result" in shown(audit())
    assert rebuild_command(audit(seed=3, split="valid", retention_threshold=0.8, baseline="mean")) == [
        "robustmm", "audit", "m.onnx", "--data", "data.csv", "--suite", "s", "--split", "valid", "--seed", "3",
        "--baseline", "mean", "--share", "0.8", "--cluster", "speaker", "--by", "site",
    ]  # fmt: skip


def test_examples_are_shown_with_marks() -> None:
    text = render_audit_page(audit(), examples("one two")).decode()
    assert "<ins>!</ins>" in text
    assert 'alt="photo (image), corrupted"' in text
    assert "No sample that was right when clean became wrong" in shown(
        audit(), examples().model_copy(update={"examples": []})
    )


def test_the_policy_names_the_scripts_and_nothing_else() -> None:
    assert "script-src 'none';" in security_policy()
    page = assemble_page("t", untested.tag("p", "x"), {}).decode()
    assert "<script" not in page
    assert "default-src &#x27;none&#x27;;" in page
    full = render_audit_page(audit(), None).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', full)[1]
    assert "unsafe-eval" not in policy
    assert policy.count("sha256-") == 2
    assert "http" not in policy


def test_same_result_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the charts' library was kept, is damaged or cannot be kept."""
    first = render_audit_page(audit(), examples())
    place = tmp_path / "cache"
    monkeypatch.setattr(scripts.platformdirs, "user_cache_path", lambda name: place / name)
    made: list[str] = []
    plain = vl_convert.javascript_bundle
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda text: made.append(text) or plain(text))

    def again() -> int:
        chart_library.cache_clear()
        assert render_audit_page(audit(), examples()) == first
        return len(made)

    assert (again(), again()) == (1, 1), "it is kept"
    (kept,) = (place / "robustmm").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"vega", b"evil", 1))
    assert (again(), again()) == (2, 2), "what was changed is made again"
    shutil.rmtree(place)
    place.write_text("a file where a folder should be")
    assert again() == 3


def test_numbers_that_are_none_are_dashes() -> None:
    found = audit(mean_retention=NAN, worst_group=None)
    assert "Mean retention –" in shown(found)
    assert "Worst group" not in shown(found)


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_charts_have_no_number_that_json_lacks(value: float) -> None:
    assert charts.finite(value) is None
    assert charts.finite(0.25) == 0.25


def test_an_estimate_without_an_interval_stands_alone() -> None:
    alone = Estimate(value=0.8, low=NAN, high=NAN)
    clean = audit().clean
    groups = [g.model_copy(update={"accuracy": alone}) for g in clean.groups]
    said = shown(audit(clean=clean.model_copy(update={"accuracy": alone, "groups": groups})))
    assert "Clean accuracy 80.0 % no interval" in said
    assert "nan" not in said.lower()


def test_where_nothing_certainly_fails_the_undecided_are_counted() -> None:
    some = [sweep("hiss", ["sound"], 76, 70, outcome="undecided"), sweep("rain", ["photo"], 80, 79, outcome="holds")]
    assert "less than 90 % of clean accuracy kept; 1 of 2 are undecided." in shown(audit(breaking_levels=some))

"""An audit on 80 columns: no line is longer, no word is lost, no stranger's word is a command."""

from io import StringIO
from typing import Any

import pytest
from audits import FLOOR, NOTHING, group, modality, outcome, result
from rich.console import Console

from robustmm.auditing.results.condition import BestUnimodal, ConditionResult, Emap, Interaction
from robustmm.auditing.results.schema import (
    AuditResult,
    BreakingLevel,
    LevelPoint,
    MissingRateCurve,
    Reference,
    ShareShift,
)
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Change, Estimate
from robustmm.report.audit import COLUMNS, footer, render_audit, table_levels

NAN = float("nan")
HOSTILE = "[/red]é 🎈 \x1b[31m\n[bold] " + "w" * 90


def shown(found: AuditResult, width: int = 80) -> str:
    text = StringIO()
    Console(file=text, width=width, color_system=None, highlight=False).print(render_audit(found))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return text.getvalue()


def said(found: AuditResult) -> str:
    """What is shown, its lines joined."""
    return " ".join(shown(found).replace("│", " ").split())


def breaking(noise: str = "gaussian", *values: float, **more: Any) -> BreakingLevel:
    grid = more.pop("levels", [(k + 1) / len(values) for k in range(len(values))])
    points = [
        LevelPoint(
            level=x, accuracy=proportion(int(100 * v), 100), condition=f"{noise} {x:g}", samples_to_decide=NAN,
            outcome="holds" if v > 0.72 else "fails",
        )
        for x, v in zip(grid, values, strict=True)
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "noise": noise, "modalities": ["a"], "points": points, "retention": 0.9, "holding_level": 1.0,
        "breaking_level": NAN, "outcome": "holds", "samples_to_decide": NAN, "breaking_strength": NAN, "unit": "dB",
    }  # fmt: skip
    return BreakingLevel(**fields | more)


def single(name: str = "b", change: float = -0.1, better: bool = True) -> BestUnimodal:
    return BestUnimodal(
        modality=name, samples=90, accuracy=0.7, negative_transfer=better,
        change=Change(value=change, low=change - 0.05, high=change + 0.05, p=0.001),
    )  # fmt: skip


CLEAN = outcome(
    groups=[group("ant", 30, 50), group("bee", 50, 50), group("north", 40, 60, "site")],
    interactions=[Interaction(modalities=("a", "b"), value=Estimate(value=-0.4, low=-0.5, high=-0.3), needed=NOTHING)],
    emap=Emap(samples=72, accuracy=0.8, additive_accuracy=0.75, gap=0.05),
)


def under(name: str, right: int, effect: str = "drop", **more: Any) -> ConditionResult:
    groups = [group("ant", right // 4, 50), group("bee", right // 2, 50), group("north", right // 2, 60, "site")]
    return outcome(name, right, effect=effect, groups=groups, **more)


WHOLE = result(
    CLEAN,
    [under("gaussian 1 on a", 40), under("sun", 30), under("gone", 70, "none"), under("up", 90, "gain")],
    breaking_levels=[
        breaking("gaussian", 0.8, 0.4, breaking_level=0.72, holding_level=0.6, breaking_strength=-3.0,
                 outcome="fails"),
        breaking("rain", 0.8, 0.8),
        breaking("fog", 0.7, 0.3, breaking_level=0.3, breaking_strength=12.0, unit="metres of sight", modalities=["b"],
                 holding_level=0.0, outcome="fails"),
    ],
    mean_retention=0.85,
    missing_rates=[
        MissingRateCurve(modalities=["a", "b"], conditions=["gone"], rates=[0, 0.5], area_under_curve=0.75,
              accuracies=[proportion(80, 100), proportion(70, 100)]),
        MissingRateCurve(modalities=["a"], conditions=["x"], rates=[0, 0.25], area_under_curve=0.7,
              accuracies=[proportion(80, 100), proportion(60, 100)]),
    ],
    contribution_shifts=[ShareShift(modality="a", condition="sun", clean_share=0.5, share=0.1)],
    reference=Reference(model="other.onnx", mean_corruption_error=1.25, relative=0.5, by_corruption={"rain on a": 1.5}),
    bad_inputs=["one", "two"],
    noise_floor=FLOOR.model_copy(update={"answers_changed": 0.02, "probability_difference": 1.5e-7}),
)  # fmt: skip


def test_the_headline_tells_what_holds_and_what_breaks() -> None:
    found = said(WHOLE)
    for sentence in (
        "m.onnx (joint), suite s 100 samples of split test of data.csv, seed 0",
        "Clean accuracy is 80.0 % [71.1, 86.7].",
        "2 of 4 conditions cause a significant drop (adjusted p < 0.05).",
        "Lowest accuracy: 30.0 % [21.9, 39.6] under sun.",
        "Mean retention under corruption is 85 %.",
        "Of 3 corruptions, 1 hold at 90 % of clean accuracy, 2 fail.",
        "The lowest breaking level is 0.3, of fog on b (metres of sight: 12).",
    ):
        assert sentence in found
    assert "undecided" not in found.partition("Breaking levels")[0]
    assert "Negative transfer" not in found


def test_the_fusion_that_loses_to_one_modality_is_told() -> None:
    found = result(
        outcome(best_unimodal=single(change=-0.05)),
        [outcome("x", best_unimodal=single(change=-0.2)), outcome("y", best_unimodal=single(better=False))],
    )
    assert (
        "Negative transfer under 2 of 3 conditions: the fusion is significantly worse than its best modality alone. It "
        "is largest under x (b alone: 70.0 %)."
    ) in said(found)


def test_where_samples_are_too_few_nothing_is_said_to_hold_or_break() -> None:
    unsure = {"outcome": "undecided", "holding_level": 0.0}
    some = [breaking("gaussian", 0.8, 0.7, samples_to_decide=x, **unsure) for x in (4200.0, 1234.5, float("inf"))]
    few = result(CLEAN, breaking_levels=[*some, breaking("rain", 0.8)])
    assert (
        "Of 4 corruptions, 1 hold at 90 % of clean accuracy, 0 fail, 3 undecided with 100 samples; the first would be "
        "decided with about 1,234."
    ) in said(few)
    assert "gaussian 80.0 70.0 0.00 ?" in said(few)
    never = result(CLEAN, breaking_levels=some[2:])
    assert "1 undecided with 100 samples." in said(never)
    alone = result(
        outcome(), [outcome("x", outcome="fails"), outcome("y", outcome="undecided", samples_to_decide=500.0)]
    )
    assert "Of 2 conditions, 0 hold at 90 % of clean accuracy, 1 fail, 1 undecided with 100 samples" in said(alone)
    assert "x 80.0 % [71.1, 86.7] +0.0 1.000 fails y 80.0 % [71.1, 86.7] +0.0 1.000 undecided" in said(alone)
    assert "Lowest accuracy" not in said(few)


def test_the_envelope_has_a_table_a_modality_and_the_first_to_break_on_top() -> None:
    found = said(WHOLE)
    assert "Breaking levels: a holds breaks corruption 0.5 1 to at strength" in found
    assert "gaussian 80.0 40.0 0.60 0.72 -3 dB rain 80.0 80.0 1.00 none" in found
    assert "Breaking levels: b" in found
    assert "fog 70.0 30.0 0.00 0.30 12 metres of sight" in found
    assert "the highest level up to which certainly 90 % of clean accuracy are kept" in found


def test_of_many_levels_some_are_shown_the_highest_among_them() -> None:
    many = breaking("gaussian", *(0.8 for _ in range(11)))
    assert table_levels([many])[-1] == 1
    assert len(table_levels([many])) <= COLUMNS
    for n in range(1, 40):
        picked = table_levels([breaking("x", *(0.8 for _ in range(n)))])
        assert picked[-1] == 1
        assert 1 <= len(picked) <= COLUMNS
        assert picked == sorted(picked)
    halved = breaking("x", 0.5, 0.9, levels=[0.5, 1.0])
    one = halved.model_copy(update={"points": [*halved.points, halved.points[0].model_copy(update={"condition": ""})]})
    assert table_levels([one]) == [0.5, 1.0], "what halving tried is no column"
    shown(result(CLEAN, breaking_levels=[many]))


def test_the_tables() -> None:
    found = said(WHOLE)
    for words in (
        "Other conditions adjusted condition accuracy change p",
        "sun 30.0 % [21.9, 39.6] -50.0 1.000 drop",
        "up 90.0 % [82.6, 94.5] +10.0 1.000 gain",
        "Missing inputs missing accuracy, mean missing rates % accuracy",
        "all (shared missing rate) 0 0.5 80.0 70.0 75.0 %",
        "a 0 0.25 80.0 60.0 70.0 %",
        "Modality contributions (exact Shapley, baseline: masked)",
        "a – – – 50 % – sun 10 %",
        "b – – – 50 % –",
        "The Shapley interaction of a and b is -40.0 points [-50.0, -30.0].",
        "Cross-modal interaction gains +5.0 points over the additive projection (EMAP, 72 samples).",
        "Evenness over missing configurations is 0.90.",
        "Groups clean lowest group n accuracy accuracy under",
        "ant 50 60.0 % 14.0 % sun",
        "site: north 60 66.7 % 25.0 % sun",
        "Error relative to other.onnx (1: as good)",
        "rain on a 1.50",
        "mean corruption error 1.25",
        "relative +0.50",
        "noise floor of 3 clean runs: 2.0 % of answers change, probabilities by 1.5e-07",
        "minimum detectable effect of 100 samples 10.0 points",
        "onnxruntime 1, cpu, 1 thread, ORT_ENABLE_ALL",
        "2 unreadable inputs counted as missing",
    ):
        assert words in found, words
    assert "gone 70.0 %" not in found, "the missing rates have it"
    assert "CAL" not in found, "its weight is in the JSON alone"
    assert "gaussian 1 on a" in found, "no point of a breaking level has its name"


def test_what_is_not_there_takes_no_room() -> None:
    found = said(result(outcome(groups=[group("ant", 5, 10)], evenness=NAN, emap=None, minimum_detectable_effect=NAN)))
    for words in ("Breaking levels", "Other conditions", "Missing inputs", "Error relative", "EMAP", "Evenness",
                  "unreadable", "detectable", "Mean retention"):  # fmt: skip
        assert words not in found
    assert "0 of 0 conditions" in found


def test_only_the_worst_groups_are_listed() -> None:
    many = [group(f"g{k:02}", k, 20) for k in range(14)]
    found = said(result(outcome(groups=many)))
    assert "the 10 worst of 14" in found
    assert [f"g{k:02}" in found for k in range(14)] == [True] * 10 + [False] * 4


def test_a_strangers_words_are_shown_and_not_obeyed() -> None:
    names = [HOSTILE + str(k) for k in range(2)]
    clean = outcome(
        modalities=[modality(name) for name in names],
        groups=[group(HOSTILE, 5, 20), group(HOSTILE, 6, 20, HOSTILE)],
        interactions=[
            Interaction(modalities=(names[0], names[1]), value=Estimate(value=0, low=0, high=0), needed=NOTHING)
        ],
        best_unimodal=single(names[0]),
    )
    found = result(
        clean,
        [outcome(HOSTILE, 20, effect="drop", modalities=clean.modalities, groups=clean.groups)],
        model=HOSTILE, method=HOSTILE, suite=HOSTILE, manifest=HOSTILE, split=HOSTILE, baseline="masked",
        breaking_levels=[breaking(HOSTILE, 0.5, modalities=names, breaking_level=0.5, breaking_strength=1.0)],
        missing_rates=[
            MissingRateCurve(
                modalities=names[:1], conditions=[], rates=[0], accuracies=[proportion(1, 2)], area_under_curve=0.5
            )
        ],
        contribution_shifts=[ShareShift(modality=names[0], condition=HOSTILE, clean_share=0.5, share=0.1)],
        reference=Reference(model=HOSTILE, mean_corruption_error=1, relative=NAN, by_corruption={HOSTILE: 1.0}),
    )  # fmt: skip
    text = shown(found)
    assert "\x1b" not in text
    assert "[/red]" in text
    assert "[bold]" in text
    together = "".join(text.split()).replace("│", "")
    expected = "".join(HOSTILE.replace("\x1b", "�").replace("\n", "�").split())
    for where in ("under", "Errorrelativeto", "suite", "Breakinglevels:"):
        assert where + expected in together, where


@pytest.mark.parametrize("count", [1, 3, 10])
def test_many_modalities_and_long_names_fit(count: int) -> None:
    names = [f"a modality with a rather long name {k}" for k in range(count)]
    some = [modality(name, 1 / count) for name in names]
    clean = outcome(modalities=some, groups=[group("class " + "x" * 70, 500, 1000)])
    found = result(
        clean,
        [outcome("a condition with " + "a very " * 20 + "long name", 20, modalities=some, groups=clean.groups)],
        breaking_levels=[
            breaking("defective-pixels", *[0.5] * 5, modalities=[n], breaking_level=0.5, breaking_strength=123456.789,
                     outcome="fails", unit="standard deviation of the noise, in training standard deviations")
            for n in names
        ],
        contribution_shifts=[
            ShareShift(modality=n, condition="a condition with a long name", clean_share=0.5, share=0.1) for n in names
        ],
    )  # fmt: skip
    text = said(found)
    assert "1.23e+05 standard" in text
    together = text.replace(" ", "")
    assert all(together.count(name.replace(" ", "")) for name in names)
    assert "x" * 70 in together or together.count("x") >= 70
    for word in ("standard", "deviation", "deviations", "pixels"):
        assert word in together


@pytest.mark.parametrize(("encoders", "said"), [([], "the graph runs whole"), (["a"], "encoders apart: a")])
def test_how_far_a_foreign_graph_was_cut_is_said(encoders: list[str], said: str) -> None:
    ours = result(outcome("clean", 90))
    theirs = ours.model_copy(
        update={"description": "[output]", "runtime": ours.runtime.model_copy(update={"encoders": encoders})}
    )
    assert said in footer(theirs).plain
    assert "graph" not in footer(ours).plain
    assert "encoders" not in footer(ours).plain

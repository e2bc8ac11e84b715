"""An audit on 80 columns: no line is longer, no word is lost, no stranger's word is a command."""

from io import StringIO
from typing import Any

import pytest
from audits import FLOOR, group, modality, outcome, result
from rich.console import Console

from robustmm.auditing.result import (
    AuditResult,
    BestUnimodal,
    BreakingLevel,
    ConditionResult,
    Interaction,
    LevelPoint,
    MissingRateCurve,
    Projection,
    Reference,
    ShareShift,
)
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Change, Estimate
from robustmm.report.audit import COLUMNS, render_audit, table_levels

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
    points = [LevelPoint(level=x, accuracy=proportion(int(100 * v), 100), condition=f"{noise} {x:g}") for x, v in
              zip(grid, values, strict=True)]  # fmt: skip
    fields: dict[str, Any] = {
        "noise": noise, "modalities": ["a"], "points": points, "retention": 0.9, "holds": 1.0, "breaks": NAN,
        "undecided": False, "strength": NAN, "unit": "dB",
    }  # fmt: skip
    return BreakingLevel(**fields | more)


def single(name: str = "b", change: float = -0.1, better: bool = True) -> BestUnimodal:
    return BestUnimodal(
        modality=name, samples=90, accuracy=0.7, better=better,
        change=Change(value=change, low=change - 0.05, high=change + 0.05, p=0.001),
    )  # fmt: skip


CLEAN = outcome(
    groups=[group("ant", 30, 50), group("bee", 50, 50), group("north", 40, 60, "site")],
    interactions=[Interaction(modalities=("a", "b"), value=Estimate(value=-0.4, low=-0.5, high=-0.3))],
    projection=Projection(samples=72, accuracy=0.8, additive=0.75, gap=0.05),
)


def under(name: str, right: int, effect: str = "loss", **more: Any) -> ConditionResult:
    groups = [group("ant", right // 4, 50), group("bee", right // 2, 50), group("north", right // 2, 60, "site")]
    return outcome(name, right, effect=effect, groups=groups, **more)


WHOLE = result(
    CLEAN,
    [under("gaussian 1 on a", 40), under("sun", 30), under("gone", 70, "none"), under("up", 90, "gain")],
    envelope=[
        breaking("gaussian", 0.8, 0.4, breaks=0.72, holds=0.6, strength=-3.0),
        breaking("rain", 0.8, 0.8),
        breaking("fog", 0.7, 0.3, breaks=0.3, strength=12.0, unit="metres of sight", modalities=["b"]),
    ],
    retention=0.85,
    rates=[
        MissingRateCurve(modalities=["a", "b"], conditions=["gone"], rates=[0, 0.5], area=0.75,
              accuracies=[proportion(80, 100), proportion(70, 100)]),
        MissingRateCurve(modalities=["a"], conditions=["x"], rates=[0, 0.25], area=0.7,
              accuracies=[proportion(80, 100), proportion(60, 100)]),
    ],
    shifts=[ShareShift(modality="a", condition="sun", clean=0.5, share=0.1)],
    reference=Reference(model="other.onnx", mean_corruption_error=1.25, relative=0.5, by_corruption={"rain on a": 1.5}),
    bad_inputs=["one", "two"],
    floor=FLOOR.model_copy(update={"accuracy": 0.02, "probability": 1.5e-7}),
)  # fmt: skip


def test_the_headline_tells_what_holds_and_what_breaks() -> None:
    found = said(WHOLE)
    for sentence in (
        "m.onnx (joint), suite s 100 samples of split test of data.csv, seed 0",
        "Clean accuracy is 80.0 % [71.1, 86.7]. 2 of 4 conditions certainly cost accuracy.",
        "Worst: sun, 30.0 % [21.9, 39.6].",
        "Under corruption it keeps 85 % of its clean accuracy on average.",
        "1 of 3 corruptions hold at every level.",
        "The first to break is fog on b, at level 0.3 (metres of sight: 12).",
    ):
        assert sentence in found
    assert "too few" not in found
    assert "worse than its best" not in found


def test_the_fusion_that_loses_to_one_modality_is_told() -> None:
    found = result(
        outcome(best_single=single(change=-0.05)),
        [outcome("x", best_single=single(change=-0.2)), outcome("y", best_single=single(better=False))],
    )
    assert (
        "Under 2 of 3 conditions the fusion is certainly worse than its best modality alone, most under x (b alone: "
        "70.0 %)."
    ) in said(found)


def test_where_samples_are_too_few_nothing_is_said_to_hold_or_break() -> None:
    few = result(CLEAN, envelope=[breaking("gaussian", 0.8, 0.3, undecided=True, holds=NAN)])
    assert "100 samples are too few to say where it breaks." in said(few)
    assert "hold at every level" not in said(few)
    assert "gaussian 80.0 30.0 ?" in said(few)
    assert "Worst" not in said(few)


def test_the_envelope_has_a_table_a_modality_and_the_first_to_break_on_top() -> None:
    found = said(WHOLE)
    assert "Where it breaks: a corruption 0.5 1 breaks at" in found
    assert "gaussian 80.0 40.0 0.72 -3 dB rain 80.0 80.0 holds" in found
    assert "Where it breaks: b" in found
    assert "fog 70.0 30.0 0.30 12 metres of sight" in found
    assert "whose lower bound is below 90 % of clean accuracy" in found


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
    shown(result(CLEAN, envelope=[many]))


def test_the_tables() -> None:
    found = said(WHOLE)
    for words in (
        "Other conditions condition accuracy change p adj.",
        "sun 30.0 % [21.9, 39.6] -50.0 1.000 loss",
        "up 90.0 % [82.6, 94.5] +10.0 1.000 gain",
        "missing rates accuracy mean",
        "each alike 0 0.5 80.0 70.0 75.0 %",
        "a 0 0.25 80.0 60.0 70.0 %",
        "a – – – 50 % 0.500 sun 10 %",
        "b – – – 50 % 0.500",
        "a and b interact by -40.0 points [-50.0, -30.0]",
        "combining them earns +5.0 points over adding up what each says (EMAP, 72 samples)",
        "evenness over missing configurations 0.90",
        "Groups group n clean worst under",
        "ant 50 60.0 % 14.0 % sun",
        "site: north 60 66.7 % 25.0 % sun",
        "Error relative to other.onnx (1: as good)",
        "rain on a 1.50",
        "mean corruption error 1.25",
        "relative +0.50",
        "noise floor of 3 clean runs: answers 2.0 %, probabilities 1.5e-07",
        "10.0 points is the smallest clean change 100 samples can show",
        "onnxruntime 1, cpu, 1 thread, ORT_ENABLE_ALL",
        "2 unreadable inputs counted as missing",
    ):
        assert words in found, words
    assert "gone 70.0 %" not in found, "the rates have it"
    assert "gaussian 1 on a" in found, "no point of the envelope has its name"


def test_what_is_not_there_takes_no_room() -> None:
    found = said(result(outcome(groups=[group("ant", 5, 10)], evenness=NAN, projection=None, detectable=NAN)))
    for words in ("Where it breaks", "Other conditions", "Missing inputs", "Error relative", "EMAP", "evenness",
                  "unreadable", "smallest", "Under corruption", "CAL W is"):  # fmt: skip
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
        interactions=[Interaction(modalities=(names[0], names[1]), value=Estimate(value=0, low=0, high=0))],
        best_single=single(names[0]),
    )
    found = result(
        clean,
        [outcome(HOSTILE, 20, effect="loss", modalities=clean.modalities, groups=clean.groups)],
        model=HOSTILE, method=HOSTILE, suite=HOSTILE, manifest=HOSTILE, split=HOSTILE, baseline="masked",
        envelope=[breaking(HOSTILE, 0.5, modalities=names, breaks=0.5, strength=1.0)],
        rates=[
            MissingRateCurve(
                modalities=names[:1], conditions=[], rates=[0], accuracies=[proportion(1, 2)], area=0.5
            )
        ],
        shifts=[ShareShift(modality=names[0], condition=HOSTILE, clean=0.5, share=0.1)],
        reference=Reference(model=HOSTILE, mean_corruption_error=1, relative=NAN, by_corruption={HOSTILE: 1.0}),
    )  # fmt: skip
    text = shown(found)
    assert "\x1b" not in text
    assert "[/red]" in text
    assert "[bold]" in text
    together = "".join(text.split()).replace("│", "")
    expected = "".join(HOSTILE.replace("\x1b", "�").replace("\n", "�").split())
    for where in ("Worst:", "Errorrelativeto", "suite", "Wherebreaks:"):
        assert where + expected in together.replace("Whereitbreaks", "Wherebreaks"), where


@pytest.mark.parametrize("count", [1, 3, 10])
def test_many_modalities_and_long_names_fit(count: int) -> None:
    names = [f"a modality with a rather long name {k}" for k in range(count)]
    some = [modality(name, 1 / count) for name in names]
    clean = outcome(modalities=some, groups=[group("class " + "x" * 70, 500, 1000)])
    found = result(
        clean,
        [outcome("a condition with " + "a very " * 20 + "long name", 20, modalities=some, groups=clean.groups)],
        envelope=[breaking("defective-pixels", *[0.5] * 5, modalities=[n], breaks=0.5, strength=123456.789,
                           unit="standard deviation of the noise, in training standard deviations") for n in names],
        shifts=[ShareShift(modality=n, condition="a condition with a long name", clean=0.5, share=0.1) for n in names],
    )  # fmt: skip
    text = said(found)
    assert "1.23e+05 standard" in text
    together = text.replace(" ", "")
    assert all(together.count(name.replace(" ", "")) for name in names)
    assert "x" * 70 in together or together.count("x") >= 70
    for word in ("standard", "deviation", "deviations", "pixels"):
        assert word in together

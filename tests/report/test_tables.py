"""Tables fit 80 columns and lose no name, whatever the names and numbers are."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from robustmm.evaluation.attack import (
    AppliedCorruption,
    AttackResult,
    Change,
    ClassResult,
    Contribution,
    Estimate,
    ModalityResult,
    Scores,
    SnrSummary,
)
from robustmm.evaluation.predict import ClassProbability, Prediction, Support
from robustmm.exporting.parity import Pattern, Proof
from robustmm.report import formats, tables
from robustmm.report.bars import bar, stacked_bar

NAN = float("nan")
SIX = ("image", "audio", "video", "text", "modality10", "abcdefghij")
LONG = "a-label-of-forty-characters-and-no-space"
HOSTILE = ("ant", "[red]x[/red]", "[/]", LONG, "猫 🐈", "q\"'\\")
WIDTHS = pytest.mark.parametrize("width", [80, 120])


def rendered(what: RenderableType, width: int) -> str:
    """What a terminal of that width shows; no line is wider, nothing is cut."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(what)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(cell_len(line) <= width for line in shown.splitlines())
    assert "…" not in shown
    assert "nan" not in shown
    return str(shown)


def column(shown: str, start: str, end: str) -> str:
    """The first column of the lines between two words, joined: a name folded over lines is whole again."""
    part = shown[shown.index(start) :]
    part = part[: part.index(end)] if end else part
    return "".join(
        line[1:].split("   ")[0].strip() for line in part.splitlines()[2:] if not line.startswith(" modality ")
    )


def estimate(value: float, kind: type[Estimate] = Estimate, **more: float) -> Any:
    return kind(value=value, low=value - 0.1, high=value + 0.1, **more)


def reliance(value: float) -> Contribution:
    share = 0.0 if value != value else 1.0
    return Contribution(
        present=1.0, unimodal_accuracy=estimate(abs(value)), leave_one_out=estimate(value),
        shapley_accuracy=estimate(value), shapley_accuracy_share=estimate(share),
        shapley_log_probability=estimate(-12.345 * value), shapley_log_probability_share=estimate(share),
    )  # fmt: skip


def result(names: Sequence[str] = ("image", "audio"), labels: Sequence[str] = HOSTILE, **changed: Any) -> AttackResult:
    scores = Scores(accuracy=estimate(1.0), macro_f1=0.5, nll=12.345, ece=0.1, brier=0.2)
    unit = "standard deviation of the noise, on a 0-1 scale"
    noise = AppliedCorruption(name="gaussian", level=0.5, strength=0.75, unit=unit, probability=0.5)
    ratio = SnrSummary(median=7.5, low=-3.0, high=20.0, changed=99_990, unchanged=10)
    both = {"clean": reliance(1.0), "attacked": reliance(-1.0)}
    modalities = [
        ModalityResult(name=name, kind="audio", noises=[noise], missing=0.25, snr=ratio, **both) for name in names
    ]
    classes = [
        ClassResult(
            label=label, support=10_000, clean_recall=1.0, attacked_recall=1.0, clean_f1=1.0, attacked_f1=1.0
        )
        for label in labels
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "robustmm": "0", "model": "m", "model_sha256": "0", "method": "cal+mce", "manifest": "m", "split": "[/red]",
        "description": "", "description_sha256": "", "prior": "model", "notes": [],
        "samples": 100_000, "seed": 0, "fill": "zero",
        "exact": True, "efficiency_residual": 0.0, "unchanged": 3, "bad_inputs": ["x"],
        "clean": scores, "attacked": scores, "accuracy_change": estimate(-0.3, Change, p=0.01),
        "nll_change": estimate(0.3, Change, p=0.01), "flip_rate": estimate(1.0), "modalities": modalities,
        "classes": classes,
    }  # fmt: skip
    return AttackResult(**{**facts, **changed})


@WIDTHS
@pytest.mark.parametrize("names", [("image",), ("image", "audio"), SIX])
def test_an_attack_fits(width: int, names: Sequence[str]) -> None:
    shown = rendered(tables.render_attack(result(names)), width)
    part = shown[shown.index("Modality contributions") : shown.index("First line clean")]
    for name in names:
        (line,) = [line for line in part.splitlines() if line.startswith(f" {name} ")]
        assert "+100.0" in line
        assert line.split()[-1] == "█" * tables.BAR
    assert part.count("→ attacked ") == len(names)
    assert "1 unreadable input counted as missing" in " ".join(shown.split())
    assert "split [/red]," in shown


@WIDTHS
def test_labels_are_shown_whole_and_never_as_markup(width: int) -> None:
    shown = rendered(tables.render_attack(result()), width)
    assert column(shown, "Per class", "efficiency").replace(" ", "").endswith("".join(HOSTILE).replace(" ", ""))


@WIDTHS
def test_a_modality_of_the_longest_name_is_folded(width: int) -> None:
    name = "m" * 64
    shown = rendered(tables.render_attack(result((name, "audio"))), width)
    assert name in column(shown, "Modality contributions", "First line").replace("→ attacked", "")


@WIDTHS
def test_what_has_no_number_is_a_dash(width: int) -> None:
    gone = [
        ModalityResult(
            name="image", kind="image", noises=[], missing=1.0, snr=None, clean=reliance(1.0), attacked=reliance(NAN)
        )
    ]  # fmt: skip
    empty = [ClassResult(label="a", support=0, clean_recall=0, attacked_recall=0, clean_f1=0, attacked_f1=0)]
    nothing = Scores(accuracy=estimate(NAN), macro_f1=NAN, nll=NAN, ece=NAN, brier=NAN)
    shown = rendered(tables.render_attack(result(modalities=gone, classes=empty, attacked=nothing)), width)
    assert next(line.split() for line in shown.splitlines() if "→ attacked" in line)[2:6] == ["–", "–", "–", "0"]
    assert ["a", "0", "–", "–", "–"] in [line.split() for line in shown.splitlines()]


def test_the_headline_says_what_is_sure() -> None:
    sure = rendered(tables.render_attack(result()), 80)
    assert "Accuracy drops from 100.0 % to 100.0 % (-30.0 points," in sure
    unsure = rendered(tables.render_attack(result(accuracy_change=estimate(-0.01, Change, p=0.9))), 80)
    assert "no change beyond chance" in unsure
    rises = rendered(tables.render_attack(result(accuracy_change=estimate(0.3, Change, p=0.01))), 80)
    assert "Accuracy rises from" in rises


def test_a_fusion_worse_than_its_best_modality_is_told() -> None:
    best = result().modalities[0].model_copy(update={"attacked": reliance(0.9)})
    weak = result().attacked.model_copy(update={"accuracy": estimate(0.3)})
    shown = " ".join(
        rendered(tables.render_attack(result(modalities=[best], attacked=weak)), 80).replace("│", "").split()
    )
    assert "Negative transfer: image alone reaches 90.0 %." in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-0.0, "+0.0"), (-0.0004, "+0.0"), (0.0006, "+0.1"), (-0.0006, "-0.1"), (NAN, "–"), (None, "–")],
)
def test_points_that_round_to_nothing_have_no_minus(value: float | None, shown: str) -> None:
    assert formats.points(value) == shown


@WIDTHS
def test_a_proof_fits(width: int) -> None:
    names = ["complete", *(f"without {name}" for name in SIX), "without modality10, cut"]
    patterns = [Pattern(name=name, batch=10_000, maximum=1.2e-7, p99=float("inf"), agreement=1.0) for name in names]
    proof = Proof(
        precision="fp32", patterns=patterns, torch_accuracy=0.5, onnx_accuracy=0.5 + 1e-9, samples=10_000, size=1
    )
    shown = rendered(tables.render_proof(proof), width)
    for name in names:
        assert f"\n {name} " in shown
    assert "FAILS" in shown
    assert "(+0.0 points)" in shown


def prediction(names: Sequence[str], labels: Sequence[str], present: Callable[[int], bool]) -> Prediction:
    return Prediction(
        model="m",
        label=labels[0],
        classes=[ClassProbability(label=label, probability=1 / len(labels)) for label in labels],
        modalities=[
            Support(
                name=name,
                present=present(i),
                shapley_log_probability=-0.001,
                share=1.0,
                unimodal_label=labels[0] if present(i) else "",
            )
            for i, name in enumerate(names)
        ],
    )


@WIDTHS
@pytest.mark.parametrize("first", range(len(HOSTILE)))
def test_a_prediction_fits(width: int, first: int) -> None:
    labels = [*HOSTILE[first:], *HOSTILE[:first]]
    shown = rendered(tables.render_prediction(prediction(SIX, labels, lambda i: i != 3)), width)
    assert shown.startswith(f"answer: {labels[0]}\n")
    assert f"Modality contributions to the answer {labels[0]!r}" in " ".join(shown.split("\n"))
    for name in SIX:
        assert f"\n {name} " in shown
    missing = [line for line in shown.splitlines() if " missing " in line]
    assert [line.split()[0] for line in missing] == ["text"]
    assert "█" not in missing[0]
    assert "-0.00" not in shown


def test_bars() -> None:
    assert [bar(value, 4).plain for value in (0, 0.125, 0.5, 1, 2, -1, NAN)] == [
        "",
        "▌",
        "██",
        "████",
        "████",
        "",
        " " * 4,
    ]
    assert stacked_bar([0.5, 0.5], 8).plain == "█" * 8
    assert [len(stacked_bar([1 / n] * n, 24)) for n in range(1, 9)] == [24] * 8
    assert stacked_bar([NAN, 1.0], 8).plain == "█" * 8
    assert [str(span.style) for span in stacked_bar([0.25, 0.75], 8).spans] == ["cyan", "magenta"]


def test_notes_come_first_and_what_the_manifest_lacks_is_counted() -> None:
    lacking = [
        m.model_copy(update={"clean": m.clean.model_copy(update={"present": 0.75})}) for m in result().modalities
    ]
    found = result(
        modalities=[lacking[0], result().modalities[1]], notes=["Accuracy [b]is[/b] below chance", "near: std"]
    )
    lines = rendered(tables.render_attack(found), 80).splitlines()
    assert lines[0].rstrip() == "Accuracy [b]is[/b] below chance"
    assert lines[1].rstrip() == "near: std"
    assert "missing in the manifest: image in 25000" in " ".join(" ".join(lines).split())
    assert "missing in the manifest" not in rendered(tables.render_attack(result()), 80)


@pytest.mark.parametrize(("source", "name"), [("model", "class"), ("train split", "class"), ("uniform", "uniform")])
def test_the_caption_names_the_prior(source: str, name: str) -> None:
    shown = " ".join(rendered(tables.render_attack(result(prior=source)), 80).split())
    assert f"that it adds over the {name} prior." in shown


def shared(clean: float, attacked: float) -> list[ModalityResult]:
    """Two modalities, the first with these shares of the contributions."""
    return [
        m.model_copy(
            update={
                when: getattr(m, when).model_copy(
                    update={"shapley_log_probability_share": estimate(share if i == 0 else 1 - share)}
                )
                for when, share in (("clean", clean), ("attacked", attacked))
            }
        )
        for i, m in enumerate(result().modalities)
    ]


@pytest.mark.parametrize(
    ("clean", "attacked", "sentence"),
    [
        (0.7, 0.6, "The largest contribution is that of image (60 %), as when clean."),
        (0.7, 0.2, "The largest contribution is that of audio (80 %); clean it was that of image."),
        (0.7, NAN, "No modality's contribution is certain; clean the largest was that of image."),
        (NAN, 0.7, "The largest contribution is that of image (70 %); clean none was certain."),
        (NAN, NAN, "No modality's contribution is certain."),
    ],
)
def test_of_nothing_no_modality_has_the_largest_share(clean: float, attacked: float, sentence: str) -> None:
    found = result(modalities=shared(clean, attacked))
    assert sentence in " ".join(rendered(tables.render_attack(found), 80).replace("│", " ").split())


def test_of_many_classes_the_worst_are_shown() -> None:
    labels = [f"class {i}" for i in range(1000)]
    classes = [c.model_copy(update={"attacked_recall": i / 1000}) for i, c in enumerate(result(labels=labels).classes)]
    classes[3] = classes[3].model_copy(update={"support": 0})
    shown = rendered(tables.render_attack(result(classes=classes)), 80)
    assert len(shown.splitlines()) < 60
    assert [f"class {i} " in shown for i in (0, 2, 3, 10, 11)] == [True, True, False, True, False]
    assert "the 10 worst; 990 more are in --json" in shown
    assert "worst" not in rendered(tables.render_attack(result(labels=labels[: tables.MAX_CLASSES])), 80)


def test_a_prediction_that_rests_on_nothing_says_so() -> None:
    supports = [
        Support(name=n, present=True, shapley_log_probability=-0.1, share=NAN, unimodal_label="a") for n in ("x", "y")
    ]
    classes = [ClassProbability(label="a", probability=1.0)]
    shown = rendered(
        tables.render_prediction(Prediction(model="m", label="a", classes=classes, modalities=supports)), 80
    )
    assert "No modality's contribution is certain: together they add nothing to the prior." in " ".join(shown.split())

"""Results for the report's page, written by hand: of everything some, and as hostile as wanted."""

from html.parser import HTMLParser
from typing import Any

from audits import estimate, group, outcome, result

from robustmm.auditing.results.condition import (
    BestUnimodal,
    CalibrationBin,
    ConditionResult,
    Interaction,
    SubsetAccuracy,
)
from robustmm.auditing.results.schema import AuditResult, BreakingLevel, Clusters, LevelPoint
from robustmm.auditing.results.verdict import GateResult
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import AppliedCorruption, Change
from robustmm.report.page.examples import Example, Examples, Signal

NAN = float("nan")
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
CANARY = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\u2028{{7*7}}${alert(3)}]]><!-- \x1b[31m"
)


def sweep(noise: str, on: list[str], *right: int, outcome: Any = "fails", at: float = 0.5) -> BreakingLevel:
    """A corruption at evenly spaced levels, `right` of 100 at each."""
    points = [
        LevelPoint(
            level=(k + 1) / len(right), accuracy=proportion(n, 100), outcome="holds" if n > 72 else "fails",
            samples_to_decide=NAN, condition=f"{noise} {(k + 1) / len(right):g} on {'+'.join(on)}",
        )
        for k, n in enumerate(right)
    ]  # fmt: skip
    broken = outcome == "fails"
    return BreakingLevel(
        noise=noise, modalities=on, points=points, retention=sum(right) / len(right) / 80, outcome=outcome,
        samples_to_decide=640.0 if outcome == "undecided" else NAN, holding_level=0.0 if broken else 1.0,
        breaking_level=at if broken else NAN, breaking_strength=12.5 if broken else NAN, unit="signal-to-noise, dB",
    )  # fmt: skip


def bins(gap: float) -> list[CalibrationBin]:
    return [CalibrationBin(share=0.25, confidence=c, accuracy=max(0, c - gap)) for c in (0.3, 0.6, 0.8, 0.95)]


def gate(word: Any = "FAIL", name: str = "clean accuracy") -> GateResult:
    return GateResult(
        name=name, metric="accuracy", required="min", baseline_sha256="",
        requirement="accuracy is at least 85 %", verdict=word, judged_on="interval",
        condition="clean", part="", value=proportion(80, 100), bound=0.85, samples=100, samples_to_decide=NAN,
        reason="the interval ends below 85 %",
    )  # fmt: skip


def condition(name: str, right: int, names: tuple[str, str], **more: Any) -> ConditionResult:
    """A condition whose modalities have numbers; those in `noises` are corrupted."""
    noises = more.pop("noises", {})
    made = outcome(name, right, calibration=bins(0.4 if right < 80 else 0.05), groups=[
        group("ant", right // 4, 50), group("bee", right // 2, 50), group("north", right // 2, 60, "site"),
    ], **more)  # fmt: skip
    modalities = [
        m.model_copy(update={
            "name": n, "shapley_accuracy": estimate(0.1 + 0.1 * i), "unimodal_accuracy": estimate(0.5 + 0.1 * i),
            "leave_one_out": estimate(0.2), "spoils": estimate(0.05, 0.01),
            "noises": [AppliedCorruption(name=noises[n], level=1, strength=1, unit="dB", probability=1)]
            if n in noises else [],
        })
        for i, (m, n) in enumerate(zip(made.modalities, names, strict=True))
    ]  # fmt: skip
    return made.model_copy(update={"modalities": modalities})


def audit(names: tuple[str, str] = ("photo", "sound"), noise: str = "fog", sweeps: int = 3, **more: Any) -> AuditResult:
    """An audit of two modalities with something in every section of the page."""
    swept = [sweep(f"{noise}{k or ''}", [names[k % 2]], 75, 40 + k % 30, at=0.3 + k / 1000) for k in range(sweeps)]
    swept.append(sweep("rain", [names[0]], 80, 79, outcome="holds"))
    swept.append(sweep("hiss", [names[1]], 76, 70, outcome="undecided"))
    worse = BestUnimodal(
        modality=names[1], samples=100, accuracy=0.6, negative_transfer=True,
        change=Change(value=-0.2, low=-0.3, high=-0.1, p=0.001),
    )  # fmt: skip
    conditions = [
        condition(p.condition, round(100 * p.accuracy.value), names, noises=dict.fromkeys(b.modalities, b.noise),
                  best_unimodal=worse)
        for b in swept for p in b.points
    ]  # fmt: skip
    both = Interaction(modalities=names, value=estimate(-0.3), needed=estimate(0.02, 0.01))
    clean = condition("clean", 80, names, interactions=[both], ece=0.03)
    subsets = [[], [names[0]], [names[1]], list(names)]
    fields: dict[str, Any] = {
        "breaking_levels": swept, "mean_retention": 0.8, "worst_condition": conditions[1].name,
        "worst_group": group("ant", 10, 50), "worst_group_condition": conditions[1].name, "notes": ["a note"],
        "subsets": [SubsetAccuracy(modalities=s, accuracy=proportion(10 + 35 * len(s), 100)) for s in subsets],
        "verdict": "FAIL", "gates": [gate(), gate("PASS", "another")], "model_sha256": "ab" * 32,
        "clusters": Clusters(column="speaker", number=20, smallest=3, largest=7),
    }  # fmt: skip
    return result(more.pop("clean", clean), conditions, **fields | more)


def examples(words: str = "one two") -> Examples:
    pictured = Signal(modality="photo", kind="image", clean=DOT, corrupted=DOT)
    written = Signal(modality="title", kind="text", clean_text=words, corrupted_text=f"{words}!")
    one = Example(
        id=words, condition=words, strengths=words, label=words, answer=words, signals=[pictured, written]
    )  # fmt: skip
    return Examples(kinds={"photo": "image", "sound": "audio"}, command=["robustmm", "audit", words], examples=[one])


class Reader(HTMLParser):
    """Tags and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words += " "

    def handle_data(self, data: str) -> None:
        self.words += data

"""An attack, a proof and a prediction as rich tables that fit 80 columns."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from robustmm.evaluation.attack_result import AttackResult, Change, Contribution, Estimate, ModalityResult
from robustmm.evaluation.predict import Prediction
from robustmm.report.bars import COLOURS, bar, safe_text

if TYPE_CHECKING:  # the proof stands above the wall
    from robustmm.exporting.parity import Proof

BAR = 6
FILLED = {"zero": "imputed with zeros", "stale": "imputed with the last value"}


def grid(title: str, *columns: str, left: Iterable[int] = (0,)) -> Table:
    """A table in the house style; columns are numbers, right-aligned, except those named `left`. Only names may take
    more than one line, and they lose no character."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        wraps = i in set(left) and column != ""
        table.add_column(
            column,
            justify="left" if i in set(left) else "right",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    return table


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or value != value else f"{100 * value:.{digits}f} %"


def points(value: float | None) -> str:
    return "–" if value is None else signed_number(100 * value, 1)


def signed_number(value: float, digits: int) -> str:
    """`value` with its sign; what rounds to nothing has none."""
    return "–" if value != value else f"{round(value, digits) + 0.0:+.{digits}f}"


def number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def interval(e: Estimate) -> str:
    return "–" if e.value != e.value else f"{100 * e.value:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]"


def render_attack(result: AttackResult) -> Group:
    parts: list[RenderableType] = [condition_text(result), headline(result), score_table(result)]
    parts += [contribution_table(result), class_table(result), footer(result)]
    return Group(*parts)


def condition_text(result: AttackResult) -> Text:
    text = Text()
    text.append(f"{result.samples} samples, split {result.split}, seed {result.seed}\n")
    for m in result.modalities:
        done = [
            f"{n.name} {n.level:g} ({n.unit}: {n.strength:.4g})"
            + (f" with probability {n.probability:g}" if n.probability < 1 else "")
            for n in m.noises
        ]
        if m.snr and m.snr.changed:
            done[-1] += f"; achieved {m.snr.median:.1f} dB [{m.snr.low:.1f}, {m.snr.high:.1f}]"
            done[-1] += f", {m.snr.unchanged} clips unchanged" if m.snr.unchanged else ""
        done += [f"missing {m.missing:.0%}"] if m.missing else []
        done += [FILLED[result.fill]] if m.missing and result.fill != "masked" else []
        if done:
            text.append(f"{m.name}: ", style="bold")
            text.append(", then ".join(done) + "\n")
    if not any(m.noises or m.missing for m in result.modalities):
        text.append("no attack: give --noise NAME or --missing MODALITY=RATE\n", style="yellow")
    return text


def headline(result: AttackResult) -> Panel:
    """What holds and what breaks, in two sentences."""
    change = result.accuracy_change
    what = "drops" if change.value < 0 else "rises"
    sure = change.low > 0 or change.high < 0
    first = (
        f"Accuracy {what} from {percent(result.clean.accuracy.value)} to {percent(result.attacked.accuracy.value)} "
        f"({points(change.value)} points, 95 % interval {points(change.low)} to {points(change.high)})."
        if sure
        else f"Accuracy is {percent(result.clean.accuracy.value)} clean and {percent(result.attacked.accuracy.value)} "
        f"attacked: no change beyond chance with {result.samples} samples."
    )
    before, after = (max(result.modalities, key=key) for key in (clean_share, attacked_share))
    lean = (
        f"The largest contribution is that of {after.name} ({percent(attacked_share(after), 0)}), as when clean."
        if before is after
        else f"The largest contribution is that of {after.name} ({percent(attacked_share(after), 0)}); clean it was "
        f"that of {before.name}."
    )
    survivors = [m for m in result.modalities if m.attacked.unimodal_accuracy.value > result.attacked.accuracy.high]
    warning = "".join(
        f" Negative transfer: {m.name} alone reaches {percent(m.attacked.unimodal_accuracy.value)}."
        for m in survivors[:1]
    )
    return Panel(f"{first} {lean}{warning}", border_style="red" if sure and change.value < 0 else "green", expand=True)


def clean_share(m: ModalityResult) -> float:
    return float(m.clean.shapley_log_probability_share)


def attacked_share(m: ModalityResult) -> float:
    return float(m.attacked.shapley_log_probability_share)


def score_table(result: AttackResult) -> Table:
    table = grid("Clean and attacked", "metric", "clean", "attacked", "change")
    a, b = result.clean, result.attacked
    table.add_row("accuracy", interval(a.accuracy), interval(b.accuracy), points(result.accuracy_change.value))
    table.add_row("macro-F1", percent(a.macro_f1), percent(b.macro_f1), points(b.macro_f1 - a.macro_f1))
    for name, x, y in (("NLL", a.nll, b.nll), ("ECE", a.ece, b.ece), ("Brier", a.brier, b.brier)):
        table.add_row(name, number(x), number(y), signed_number(y - x, 3))
    table.add_row("flip rate", "", interval(result.flip_rate), "")
    return table


def contribution_table(result: AttackResult) -> Group:
    """Per modality, clean above attacked: unimodal accuracy, leave-one-out, and Shapley values with bars."""
    how = "exact Shapley" if result.exact else "Shapley, sampled orders"
    table = grid(
        f"Modality contributions ({how})",
        "modality", "unimodal\naccuracy", "leave-\none-out", "Shapley\npoints", "share", "Shapley\nnats", "share", "",
        left=(0, 7),
    )  # fmt: skip
    for i, m in enumerate(result.modalities):
        for name, r in (("clean", m.clean), ("attacked", m.attacked)):
            table.add_row(
                Text(m.name, style=f"bold {COLOURS[i % len(COLOURS)]}") if name == "clean" else Text("→ attacked"),
                percent(r.unimodal_accuracy.value),
                points(r.leave_one_out.value),
                points(r.shapley_accuracy.value),
                percent(r.shapley_accuracy_share, 0),
                signed_number(r.shapley_log_probability.value, 2),
                percent(r.shapley_log_probability_share, 0),
                bar(r.shapley_log_probability_share, BAR, COLOURS[i % len(COLOURS)]),
                end_section=name == "attacked",
            )
    legend = Text(
        "First line clean, second attacked. Unimodal accuracy: from this modality alone. Leave-one-out: points of "
        "accuracy lost without it. Shapley value: points of accuracy, and nats of the true class's log-probability, "
        "that it adds over the class prior. The bar is the share in nats.",
        style="dim",
    )
    return Group(table, legend)


def class_table(result: AttackResult) -> Table:
    table = grid("Per class", "class", "n", "recall,\nclean", "recall,\nattacked", "change", "", left=(0, 5))
    for c in result.classes:
        some = c.support > 0
        table.add_row(
            safe_text(c.label),
            str(c.support),
            percent(c.clean_recall if some else None),
            percent(c.attacked_recall if some else None),
            points(c.attacked_recall - c.clean_recall if some else None),
            bar(c.attacked_recall if some else float("nan"), BAR),
        )
    return table


def footer(result: AttackResult) -> Text:
    said = [f"efficiency residual {result.efficiency_residual:.1e}"]
    said += [f"{result.unchanged} samples unchanged by the corruption"] if result.unchanged else []
    said += (
        [f"{len(result.bad_inputs)} unreadable input{'s' * (len(result.bad_inputs) > 1)} counted as missing"]
        if result.bad_inputs
        else []
    )
    return Text("; ".join(said), style="dim")


def render_proof(found: "Proof") -> Group:
    """The parity proof: a row per presence pattern and batch size."""
    table = grid(
        f"Proof of parity, {found.precision}: torch against onnxruntime, probabilities on valid samples",
        "inputs", "batch", "max diff.", "p99", "same decisions", "",
    )  # fmt: skip
    for p in found.patterns:
        ok = found.is_within_tolerance(p)
        table.add_row(
            p.name, str(p.batch), f"{p.maximum:.1e}", f"{p.p99:.1e}", percent(p.agreement),
            Text("holds" if ok else "FAILS", style="green" if ok else "bold red"),
        )  # fmt: skip
    t = found.tolerance
    text = Text(
        f"tolerance: max {t.maximum:g}, p99 {t.p99:g}, same decisions {t.agreement:.0%}, "
        f"accuracy −{100 * t.accuracy:g} points\nvalid accuracy on {found.samples} samples: "
        f"torch {percent(found.torch_accuracy)}, onnxruntime {percent(found.onnx_accuracy)} "
        f"({points(-found.accuracy_loss)} points)",
        style="dim",
    )
    return Group(table, text)


def render_prediction(result: Prediction, top: int = 5) -> Group:
    table = grid("", "class", "probability", "", left=(0, 2))
    for c in result.classes[:top]:
        table.add_row(safe_text(c.label), percent(c.probability), bar(c.probability, 2 * BAR))
    support = grid(
        f"Modality contributions to the answer {result.label!r}",
        "modality",
        "unimodal\nanswer",
        "Shapley\nnats",
        "share",
        "",
        left=(0, 1, 4),
    )
    for i, m in enumerate(result.modalities):
        support.add_row(
            m.name,
            safe_text(m.unimodal_label) if m.present else Text("missing", style="dim"),
            signed_number(m.shapley_log_probability, 2),
            percent(m.share, 0),
            bar(m.share if m.present else float("nan"), BAR, COLOURS[i % len(COLOURS)]),
        )
    return Group(Text.assemble("answer: ", (safe_text(result.label).plain, "bold")), table, support)


__all__ = ["Change", "Contribution", "render_attack", "render_prediction", "render_proof"]

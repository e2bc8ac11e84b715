"""An attack, a proof and a prediction as rich tables that fit 80 columns."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.evaluation.attack_result import AttackResult, Change, Contribution
from robustmm.evaluation.predict import Prediction
from robustmm.report.bars import COLOURS, bar, safe_text
from robustmm.report.formats import grid, interval, number, percent, points, signed_number
from robustmm.report.sentences import attack_headline, lacking_text, notes_text, prior_name

if TYPE_CHECKING:  # they stand above the wall
    from robustmm.exporting.parity import Proof
    from robustmm.guard.temperature import Calibration

BAR = 6
MAX_CLASSES = 20
"""Classes that a table lists in full; of more, the `WORST`."""
WORST = 10
FILLED = {"zero": "imputed with zeros", "stale": "imputed with the last value"}


def render_attack(result: AttackResult) -> Group:
    parts: list[RenderableType] = [*notes_text(result.notes), condition_text(result), attack_headline(result)]
    parts.append(score_table(result))
    parts += [contribution_table(result), class_table(result), footer(result)]
    return Group(*parts)


def condition_text(result: AttackResult) -> Text:
    text = Text()
    lacking = lacking_text(result.samples, {m.name: m.clean.present for m in result.modalities})
    text.append(f"{result.samples} samples, split {result.split}, seed {result.seed}{lacking}\n")
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
                percent(r.shapley_accuracy_share.value, 0),
                signed_number(r.shapley_log_probability.value, 2),
                percent(r.shapley_log_probability_share.value, 0),
                bar(r.shapley_log_probability_share.value, BAR, COLOURS[i % len(COLOURS)]),
                end_section=name == "attacked",
            )
    legend = Text(
        "First line clean, second attacked. Unimodal accuracy: from this modality alone. Leave-one-out: points of "
        "accuracy lost without it. Shapley value: points of accuracy, and nats of the true class's log-probability, "
        f"that it adds over the {prior_name(result.prior)}. The bar is the share in nats; where the sum of the values "
        "is not certainly positive there are no shares (–).",
        style="dim",
    )
    return Group(table, legend)


def class_table(result: AttackResult) -> Table:
    table = grid("Per class", "class", "n", "recall,\nclean", "recall,\nattacked", "change", "", left=(0, 5))
    shown = result.classes
    if len(shown) > MAX_CLASSES:
        seen = [c for c in shown if c.support]
        shown = sorted(seen, key=lambda c: (c.attacked_recall, c.attacked_recall - c.clean_recall))[:WORST]
        table.caption = f"the {len(shown)} worst; {len(result.classes) - len(shown)} more are in --json"
    for c in shown:
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
    return Group(table, text, *([render_calibration(found.calibration)] if found.calibration else []))


def render_calibration(found: "Calibration") -> Group:
    """Log-loss and calibration error without and with the temperatures."""
    table = grid("Calibration on valid samples held out", "inputs", "n", "NLL", "scaled",
                 "ECE", "scaled")  # fmt: skip
    for p in found.patterns:
        table.add_row(safe_text(p.name), str(p.samples), f"{p.nll:.3f}", f"{p.calibrated_nll:.3f}", f"{p.ece:.3f}",
                      f"{p.calibrated_ece:.3f}")  # fmt: skip
    times = ", ".join(f"without {name} times {factor:.3g}" for name, factor in found.factors.items())
    said = f"temperature {found.temperature:.3g}; {safe_text(times).plain}"
    worse = [p.name for p in found.patterns if p.calibrated_nll >= p.nll]
    said += f"\nno gain in log-loss: {safe_text(', '.join(worse)).plain}" if worse else ""
    return Group(table, Text(said, style="dim"))


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
    parts: list[RenderableType] = [Text.assemble("answer: ", (safe_text(result.label).plain, "bold")), table, support]
    if all(m.share != m.share for m in result.modalities):
        parts.append(
            Text("No modality's contribution is certain: together they add nothing to the prior.", style="dim")
        )
    return Group(*parts)


__all__ = ["Change", "Contribution", "render_attack", "render_prediction", "render_proof"]

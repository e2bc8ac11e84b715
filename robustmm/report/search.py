"""The search attacks as rich tables that fit 80 columns."""

from collections.abc import Sequence

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from robustmm.report.bars import safe_text
from robustmm.report.formats import grid, interval, percent, points
from robustmm.search.outcome import FirstBroken, MixOutcome, MixPoint, SanityCheck, Spend, SquareOutcome


def render_mix(result: MixOutcome) -> Group:
    """The curve over budgets, and what the attacker bought."""
    table = grid("The worst mix found, by budget", "budget", "accuracy", "uniform split", "change")
    for p in result.curve:
        table.add_row(f"{p.budget:g}", interval(p.accuracy), interval(p.uniform_accuracy), points(p.change.value))
    ways = " and ".join(sorted({p.search for p in result.curve}))
    legend = Text(
        f"A budget is the sum of the levels over all modalities. Mixes were found on {result.searched_samples} samples "
        f"({ways}, {result.evaluated} mixes) and are reported on {result.reported_samples} others, seed {result.seed}; "
        "uniform split: the same budget in equal levels. change: points of accuracy between the two.",
        style="dim",
    )
    return Group(_headline(result), table, _spend_table(result.curve), legend)


def _headline(result: MixOutcome) -> Panel:
    """The first budget whose interval lies below clean accuracy."""
    breaks = [p for p in result.curve if p.accuracy.high < result.clean.low]
    if not breaks:
        said = f"No budget takes accuracy below {interval(result.clean)}, as it is clean, beyond chance."
        return Panel(said, border_style="green")
    p = breaks[0]
    said = f"A budget of {p.budget:g} takes accuracy from {percent(result.clean.value)} to {percent(p.accuracy.value)}"
    return Panel(safe_text(f"{said}: {format_spends(p.spends)}."), border_style="red")


def _spend_table(curve: Sequence[MixPoint]) -> Table:
    table = grid("What the attacker spends", "budget", "modality", "corruption", "level", "strength", left=(0, 1, 2, 4))
    for p in curve:
        for i, s in enumerate(p.spends):
            table.add_row(
                f"{p.budget:g}" if i == 0 else "", safe_text(s.modality), safe_text(s.noise), f"{s.level:.3g}",
                safe_text(f"{s.unit}: {s.strength:.4g}"), end_section=i == len(p.spends) - 1,
            )  # fmt: skip
        if not p.spends:
            table.add_row(f"{p.budget:g}", "nothing", "", "", "", end_section=True)
    return table


def format_spends(spends: Sequence[Spend]) -> str:
    """`audio gaussian 0.4 (SNR dB: 12), image blur 0.1 (radius: 2)`"""
    return ", ".join(f"{s.modality} {s.noise} {s.level:.3g} ({s.unit}: {s.strength:.4g})" for s in spends)


def render_square(result: SquareOutcome) -> Group:
    """Robust accuracy by norm and queries, who breaks first, and the sanity checks."""
    counts = [r.queries for r in result.runs[0].curve]
    shown = sorted({*counts[:1], *counts[1:-1][-1:], *counts[-1:]})
    heads = [f"{q} {'query' if q == 1 else 'queries'}" for q in shown]
    table = grid("Square attack: accuracy left", "scale", "on", *heads, "median", "noise", left=(1,))
    for run in result.runs:
        left = {r.queries: r.accuracy for r in run.curve}
        cells = [percent(left[q].value) for q in shown[:-1]] + [interval(left[shown[-1]])]
        took = "–" if run.median_queries != run.median_queries else f"{run.median_queries:.0f}"
        on = run.norms[0].modality if len(run.norms) == 1 else "all"
        table.add_row(f"{run.scale:g}", safe_text(on), *cells, took, percent(run.noise.value))
    legend = Text(
        f"{result.samples} samples, clean {interval(result.clean)}, seed {result.seed}. Norms at scale 1, the largest "
        f"change of an entry: {format_norms(result)}. median: queries that the broken samples took. noise: accuracy "
        "left by random signs of the same norms, one query. Samples that are wrong when clean count as broken.",
        style="dim",
    )
    return Group(
        table, *([first_broken_table(result.first)] if result.first else []), legend, check_panel(result.checks)
    )


def format_norms(result: SquareOutcome) -> str:
    """`image 0.0314 of 255, audio 0.01 of full scale`"""
    run = result.runs[-1]  # it attacks all of them
    return ", ".join(f"{n.modality} {n.eps / run.scale:.3g} {n.unit}" for n in run.norms)


def first_broken_table(found: Sequence[FirstBroken]) -> Table:
    table = grid("Which modality alone breaks first", "scale of the norms", "broken", "first", left=(0, 2))
    for f in found:
        ranked = sorted(f.shares.items(), key=lambda pair: -pair[1])
        said = ", ".join(f"{name} {percent(share, 0)}" for name, share in ranked) if f.samples else "none breaks"
        table.add_row(f"{f.scale:g}", str(f.samples), safe_text(said))
    return table


def check_panel(found: Sequence[SanityCheck]) -> Panel:
    """Every check with its verdict and numbers; one that fails is red."""
    text = Text()
    for i, c in enumerate(found):
        text.append("\n" if i else "")
        text.append("pass " if c.passed else "FAIL ", style="green" if c.passed else "bold red")
        text.append(f"{c.name}: ", style="bold")
        text.append(c.sentence)
    failed = [c for c in found if not c.passed]
    if failed:
        text.append("\nA check failed: do not rest on the robust accuracies above.", style="bold red")
    return Panel(text, title="Sanity checks", border_style="red" if failed else "green")

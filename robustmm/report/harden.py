"""A hardened model as a rich table: what the guard does to families of corruptions that it was not fitted to."""

from rich.console import Group
from rich.text import Text

from robustmm.guard.result import HardenResult
from robustmm.report.bars import safe_text
from robustmm.report.formats import grid, interval, percent, points


def render_hardening(result: HardenResult) -> Group:
    table = grid(
        "One modality corrupted, by families that the guard had not seen; valid samples that it had not seen",
        "modality", "family", "n", "plain", "hardened", "change", "without", "dropped", left=(0, 1),
    )  # fmt: skip
    for f in result.families:
        change = f.hardened - f.plain
        table.add_row(
            safe_text(f.modality), f.family, str(f.samples), percent(f.plain), percent(f.hardened),
            Text(points(change), style="green" if change > 0 else "red" if change < 0 else ""),
            percent(f.without), percent(f.dropped.value, 0),
        )  # fmt: skip
    return Group(table, Text(describe_clean(result)), Text(describe_proof(result), style="dim"))


def describe_clean(result: HardenResult) -> str:
    alarms = ", ".join(
        f"{safe_text(name).plain} {interval(rate)}"
        for name, rate in zip(result.modalities, result.false_alarms, strict=True)
    )
    return (
        f"clean: {percent(result.clean_plain)} plain, {percent(result.clean_hardened)} hardened "
        f"({points(-result.clean_cost / 100)} points; {result.budget:g} may be lost)\n"
        f"dropped on clean samples: {alarms}\n{describe_thresholds(result)}"
    )


def describe_thresholds(result: HardenResult) -> str:
    """From which expected gain each modality is dropped."""
    pairs = list(zip((safe_text(name).plain for name in result.modalities), result.thresholds, strict=True))
    said = [f"{name} from {100 * threshold:g} points" for name, threshold in pairs if threshold < 1]
    never = [name for name, threshold in pairs if threshold >= 1]
    lines = [f"dropped by expected gain: {', '.join(said)}"] if said else []
    if never:
        lines.append(
            f"never dropped, but for NaN: {', '.join(never)}: no threshold loses nothing on unseen families "
            "within the clean cost"
        )
    return "\n".join(lines)


def describe_proof(result: HardenResult) -> str:
    p = result.proof
    return (
        f"proof: {p.silent} answers where nothing is dropped are the plain file's bit for bit; {p.dropped} others are "
        f"its answers without what is dropped (largest difference {p.largest_dropped:.1e}); batches "
        f"{', '.join(map(str, p.batches))}, {p.patterns} patterns of missing modalities; NaN reaches no answer"
    )

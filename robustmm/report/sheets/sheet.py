"""A contact sheet: real samples, clean and at five levels of a condition, as a PNG or a page."""

import base64
import difflib
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from robustmm.conditions.condition import Condition
from robustmm.conditions.plan import Plan
from robustmm.corruptions import LEVELS
from robustmm.data.loading import OnBad, read_samples
from robustmm.data.manifest import Manifest
from robustmm.data.sample import sample_rows
from robustmm.errors import UsageError
from robustmm.files import write_file
from robustmm.modalities import Modality, Signal
from robustmm.report.sheets.draw import GREY, HEIGHT, INK, WIDTH, Picture, encode_png, render_panel, render_text

SAMPLES = 3
LABEL = 22


@dataclass
class Row:
    """One sample of one modality, clean and at each level."""

    title: str
    kind: str
    signals: list[Signal | None]


def write_sheet(
    path: Path, condition: Condition, modalities: Sequence[Modality], manifest: Manifest, seed: int, on_bad: OnBad
) -> None:
    """Draws what `condition` does to some samples of `manifest` at five levels; its own levels are not looked at."""
    if path.suffix not in (".png", ".html"):
        raise UsageError(f"--preview draws a .png or a .html, found {path}")
    if not condition.noises:
        raise UsageError("--preview draws what a --noise does, found none")
    found = sheet_rows(condition, modalities, manifest, seed, on_bad)
    content = encode_png(render_sheet(found)) if path.suffix == ".png" else render_page(found, heading(condition))
    write_file(path, content)


def heading(condition: Condition) -> str:
    return ", then ".join(noise.name for noise in condition.noises)


def sheet_rows(
    condition: Condition, modalities: Sequence[Modality], manifest: Manifest, seed: int, on_bad: OnBad
) -> list[Row]:
    """The rows of a sheet: sampled rows of the manifest, those first that lack nothing."""
    cells = [manifest.cells(m) for m in modalities]
    whole = [i for i in range(len(manifest)) if all(column[i] for column in cells)]
    some = whole or list(range(len(manifest)))
    picked = sample_rows([manifest.ids[i] for i in some], [manifest.labels[i] for i in some], SAMPLES)
    chosen = [some[i] for i in picked]
    at = [replace(condition, noises=tuple(replace(n, level=x) for n in condition.noises)) for x in LEVELS]
    plans = [Plan(one, modalities, manifest, seed, on_bad) for one in at]
    found = []
    for modality in modalities:
        steps = plans[0].noises(modality.name)
        signals = read_samples(manifest.take(chosen), [modality], on_bad).signals[modality.name]
        for row, clean in zip(chosen, signals, strict=True) if steps else ():
            sample = manifest.ids[row]
            noisy = [plan.build_corrupter(modality)(row, sample, clean) for plan in plans]
            titles = [f"{s.name} {', '.join(format_strengths(plans, i, modality.name))}" for i, s in enumerate(steps)]
            found.append(Row(f"{modality.name}, {sample}: {'; '.join(titles)}", modality.kind, [clean, *noisy]))
    return found


def format_strengths(plans: Sequence[Plan], step: int, modality: str) -> list[str]:
    """The physical value of one step at each level, the unit behind the last."""
    found = [plan.noises(modality)[step].strength(modality) for plan in plans]
    return [f"{value:.3g}" for value, _ in found[:-1]] + [f"{found[-1][0]:.3g} ({found[-1][1]})"]


def render_sheet(found: Sequence[Row]) -> Picture:
    """The rows below each other, columns clean and rising levels."""
    width = (len(LEVELS) + 1) * (WIDTH + 4)
    heads = [render_text(blank_strip(WIDTH + 4), [name], GREY) for name in ("clean", *(f"level {x:g}" for x in LEVELS))]
    parts = [np.concatenate(heads, axis=1)]
    for row in found:
        drawn = [render_panel(signal, row.kind, row.signals[0]) for signal in row.signals]
        panels = [np.pad(one, ((0, 6), (2, 2), (0, 0)), constant_values=255) for one in drawn]
        parts += [render_text(blank_strip(width), [row.title], INK), np.concatenate(panels, axis=1)]
    return np.concatenate(parts)


def blank_strip(width: int) -> Picture:
    return np.full((LABEL, width, 3), 255, np.uint8)


STYLE = """body{font:14px system-ui,sans-serif;margin:1.5em;background:Canvas;color:CanvasText;color-scheme:light dark}
table{border-collapse:collapse}td,th{padding:4px;vertical-align:top;text-align:left;font-weight:normal}
img{display:block;image-rendering:pixelated;background:#fff}td.text{width:11em;overflow-wrap:anywhere}
del{color:#c0392b}ins{color:#1e8449;text-decoration:none;font-weight:600}caption{text-align:left;font-size:1.3em}"""


def render_page(found: Sequence[Row], title: str) -> bytes:
    """The same as one page that needs nothing else; changes in a text are marked."""
    name = html.escape(title)
    head = "".join(f"<th>level {level:g}</th>" for level in LEVELS)
    body = "".join(
        f'<tr><th colspan="{len(LEVELS) + 1}">{html.escape(row.title)}</th></tr>'
        f"<tr>{''.join(render_cell(signal, row) for signal in row.signals)}</tr>"
        for row in found
    )
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
        f"<table><caption>{name}</caption><tr><th>clean</th>{head}</tr>{body}</table></html>\n"
    )
    return text.encode("utf-8", "replace")


def render_cell(signal: Signal | None, row: Row) -> str:
    if isinstance(signal, str):
        return f'<td class="text">{mark_changes(str(row.signals[0]), signal)}</td>'
    data = base64.b64encode(encode_png(render_panel(signal, row.kind, row.signals[0]))).decode()
    return f'<td><img width="{WIDTH}" height="{HEIGHT}" alt="{row.kind}" src="data:image/png;base64,{data}"></td>'


def mark_changes(before: str, after: str, limit: int = 400) -> str:
    """`after` in HTML, with what was taken out and put in."""
    before, after = before[:limit], after[:limit]
    parts = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        old, new = html.escape(before[a:b]), html.escape(after[c:d])
        if what == "equal":
            parts.append(new)
        else:
            parts += [f"<del>{old}</del>"] * bool(old) + [f"<ins>{new}</ins>"] * bool(new)
    return "".join(parts)

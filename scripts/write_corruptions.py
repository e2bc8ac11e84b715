"""Writes docs/corruptions.md and its contact sheets from the registry: python scripts/write_corruptions.py."""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from signals import natural, picture, sentence, statistics  # noqa: E402

from robustmm.corruptions import (  # noqa: E402
    LEVELS,
    SCALES,
    Corruption,
    corrupt,
    find_corruption,
    kinds,
    list_families,
    names,
    pairs,
    strength,
)
from robustmm.corruptions.draws import Value  # noqa: E402
from robustmm.modalities import Signal  # noqa: E402
from robustmm.report.sheets.sheet import Row, render_sheet  # noqa: E402

DOCS = ROOT / "docs"
ROWS = 12
SHOWN = 0.6
"""Size of a sheet's pictures beside those of --preview."""

HEAD = """# Corruptions

Every corruption with its physical strength at levels 0.2, 0.4, 0.6, 0.8 and 1, the five severities of the literature;
between them it is interpolated. `robustmm list corruptions` and `robustmm show NAME` print the same, and
`robustmm attack --noise NAME --preview sheet.png` draws it on your own samples. This page is written from the registry
by `python scripts/write_corruptions.py`, and a test holds it to that. The sheets show the synthetic signals of
`tests/helpers/signals.py`: clean, then the five levels.

What all have in common: level 0 is the signal itself, bit for bit; the input is never written to; the noise belongs to
(seed, sample id, modality, name), so the same bytes come out whatever the batch, the order, the number of workers or
the machine, and the same noise grows with the level. Underscores may stand for hyphens (`defocus_blur`), and
`gaussian_noise` is `gaussian`.

"""


def value(one: Value) -> str:
    return " ".join(f"{v:.4g}" for v in (one if isinstance(one, tuple) else (one,)))


def values(c: Corruption) -> str:
    return ", ".join(value(strength(level, c.table, c.zero)) for level in LEVELS)


def described(c: Corruption) -> str:
    """One corruption as a line of a list."""
    tables = {"": c}
    if c.small:
        tables = {f" at {scale} px": c.with_options(scale=scale) for scale in SCALES}
    levels = "; ".join(f"{values(one)}{where}" for where, one in tables.items())
    said = f"- **{c.name}**: {' '.join(c.doc.split())} *{', '.join(c.units)}*: {levels}. Source: {c.source}."
    given = {key: default for key, default in c.options().items() if key != "scale"}
    options = ", ".join(f"`{key}` (default {default!r})" for key, default in given.items())
    return said + (f" Options: {options}." if options else "")


def signal(kind: str) -> Signal:
    return picture((126, 168, 3), 5) if kind == "image" else natural(kind, 5)


def rows(kind: str, some: list[str]) -> Iterator[Row]:
    clean = signal(kind)
    for name in some:
        c = find_corruption(name, kind)
        own = statistics(kind, clean)
        noisy = [corrupt(clean, c, level, seed=0, sample_id="s", modality=kind, **own) for level in LEVELS]
        quoted = ", ".join(f"{c.strength(level):.4g}" for level in LEVELS)
        yield Row(f"{name}: {quoted} ({c.unit})", kind, [clean, *noisy])


def draw(kind: str, own: list[str]) -> None:
    """The sheets of one kind, each `ROWS` corruptions high."""
    for number, start in enumerate(range(0, len(own), ROWS)):
        drawn = render_sheet(list(rows(kind, own[start : start + ROWS])))
        size = round(drawn.shape[1] * SHOWN), round(drawn.shape[0] * SHOWN)
        small = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
        path = DOCS / "corruptions" / f"{kind}-{number}.jpg"
        cv2.imwrite(str(path), cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 75])


def text() -> str:
    """The page."""
    parts = [HEAD]
    for kind in ("image", "video", "audio", "text", "series", "features"):
        serving = [name for name in names() if kind in kinds(name)]
        own = [name for name in serving if kind != "video" or "image" not in kinds(name)]
        parts.append(f"## On {kind}: {len(serving)}\n\n")
        if kind == "video":
            parts.append(
                "Every corruption of images serves video, frame by frame; "
                "what sits on the lens or in the scene is the same in all frames, noise is drawn anew in each.\n\n"
            )
        families = (f"{family}: {', '.join(found)}" for family, found in list_families(kind).items())
        parts.append(f"Families, which `[corrupt]` of a recipe takes as names: {'; '.join(families)}.\n\n")
        parts += [described(find_corruption(name, kind)) + "\n" for name in own]
        parts.append("\n")
        if kind == "text":
            clean = sentence(14, 5)
            parts.append(f"| corruption | at level 1: {clean} |\n|---|---|\n")
            for name in own:
                noisy = corrupt(clean, find_corruption(name, kind), 1.0, seed=0, sample_id="s", modality="text")
                parts.append(f"| {name} | {noisy.replace('|', chr(92) + '|')} |\n")
            parts.append("\n")
        else:
            parts += [f"![{kind}](corruptions/{kind}-{n}.jpg)\n" for n in range(-(-len(own) // ROWS))] + ["\n"]
    parts.append(f"## On whole samples: {len(pairs.names())}\n\n")
    for name in pairs.names():
        p = pairs.find_sample_corruption(name)
        levels = ", ".join(f"{p.strength(level):.4g}" for level in LEVELS)
        options = "".join(f" Option: `{key}` (default {default!r})." for key, default in p.options().items())
        said = f"- **{name}** ({', '.join(p.kinds)}): {' '.join(p.doc.split())} *{p.unit}*: {levels}."
        parts.append(f"{said} Source: {p.source}.{options}\n")
    return "".join(parts)


def main() -> None:
    (DOCS / "corruptions").mkdir(exist_ok=True)
    for old in (DOCS / "corruptions").glob("*.jpg"):
        old.unlink()
    for kind in ("image", "video", "audio", "series", "features"):
        draw(kind, [n for n in names() if kind in kinds(n) and (kind != "video" or "image" not in kinds(n))])
    (DOCS / "corruptions.md").write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()

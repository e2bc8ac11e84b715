"""Text: str, any script."""

import re

import numpy as np

from robustmm.corruptions.base import corruption

# Han, kana and their extensions: written without spaces, so that every character counts as a word.
_UNSPACED = "\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@corruption(
    "blank",
    kind="text",
    unit="probability per word",
    table=(0.05, 0.10, 0.15, 0.20, 0.30),
    source='the rates of MM_Robustness and Giskard; "_" for a word as in QMF',
)
def blank(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words replaced by "_"; white space stays. A word ends at white space, and a Han or kana character is one."""
    return WORD.sub(lambda word: "_" if rng.random() < fraction else word[0], x)

"""Recipes, suites, gates and descriptions: trees with one thing changed, and damaged text."""

import random
import tomllib
from pathlib import Path

from hostile.base import AUDIT, DESCRIBED, Base
from hostile.judge import Case
from hostile.mutations import damage, replace_leaf
from robustmm.config.toml import to_toml

COMMANDS = {
    "tiny.toml": ["train", "tiny.toml", "--epochs", "1"],
    "small.toml": [word if word != "audit" or not i else "again" for i, word in enumerate(AUDIT)],
    "gates.toml": [*AUDIT, "--gates", "gates.toml"],
    "foreign.toml": DESCRIBED,
}


def try_recipe(base: Base, folder: Path, rng: random.Random) -> Case:
    return _try(folder / "tiny.toml", rng)


def try_suite(base: Base, folder: Path, rng: random.Random) -> Case:
    return _try(folder / "small.toml", rng)


def try_gates(base: Base, folder: Path, rng: random.Random) -> Case:
    return _try(folder / "gates.toml", rng)._replace(codes=(0, 1, 2, 3))


def try_description(base: Base, folder: Path, rng: random.Random) -> Case:
    return _try(folder / "foreign.toml", rng)


def _try(path: Path, rng: random.Random) -> Case:
    content = path.read_bytes()
    if rng.random() < 0.75:
        tree = tomllib.loads(content.decode())
        for _ in range(rng.choice((1, 1, 2))):
            tree = replace_leaf(tree, rng)
        try:
            content = to_toml(tree).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, AttributeError):  # not a tree that TOML can hold
            content = damage(content, rng)
    else:
        content = damage(content, rng)
    path.unlink()
    path.write_bytes(content)
    return Case(list(COMMANDS[path.name]))

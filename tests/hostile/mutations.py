"""What is done to bytes, to text and to trees of JSON or TOML; every draw is from the generator that is given."""

import copy
import random
from typing import Any

NASTY = (
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x9b31m",
    "\x7f",
    "‮gnp",
    "⁦x",
    "a\x00b",
    "\r\nb",
    "=1+1",
    "[red]x[/red]",
    "[/]",
    "%s%n",
    "{0.__class__}",
    "${HOME}",
    "../../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "-",
    "",
    " ",
    "nan",
    "-inf",
    "1e309",
    "9" * 400,
    "x" * 100_000,
    "é" * 300,
    "\ud83d",
    "true",
    "null",
    "\\",
    '"',
    "'''",
    "#0",
    "a.npy#-1",
    "a.npy#" + "9" * 30,
)
"""Text that terminals, spreadsheets, templates, shells, paths and parsers take for something else."""
NUMBERS = (
    0,
    -1,
    1,
    2**31 - 1,
    2**31,
    2**63,
    2**64,
    10**30,
    -(10**30),
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
)
SIZES = (0x00, 0x01, 0x7F, 0x80, 0xFF)


def damage(content: bytes, rng: random.Random) -> bytes:
    """The content with one kind of damage: bytes changed, a hole, an end missing, a piece twice or elsewhere."""
    found = bytearray(content)
    n = len(found)
    if n == 0:
        return rng.randbytes(rng.randrange(1, 64))
    kind = rng.randrange(8)
    start = rng.randrange(min(n, 200) if rng.random() < 0.5 else n)
    stop = min(n, start + rng.choice((1, 4, 8, 64, 4096)))
    if kind == 0:
        for _ in range(rng.choice((1, 2, 8))):
            found[rng.randrange(start, n)] = rng.choice((rng.randrange(256), *SIZES))
    elif kind == 1:
        found[start] ^= 1 << rng.randrange(8)
    elif kind == 2:
        found[start:stop] = bytes(stop - start)
    elif kind == 3:
        del found[start:]
    elif kind == 4:
        del found[start:stop]
    elif kind == 5:
        found[start:start] = found[start:stop]
    elif kind == 6:
        found[start:stop] = rng.choice((b"\xff", b"\x80", b"\x7f")) * (stop - start)
    else:
        found += rng.randbytes(rng.choice((1, 100, 5000)))
    return bytes(found)


def replace_leaf(tree: Any, rng: random.Random, nan: bool = True) -> Any:
    """A copy of a tree of dictionaries and lists with one thing in it changed, removed, renamed or of another type."""
    tree = copy.deepcopy(tree)
    node, key = _pick(tree, rng)
    if node is None:
        return rng.choice((None, [], {}, "x", 3))
    kind = rng.randrange(5)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[rng.choice(NASTY)] = node.pop(key)
    elif kind == 2 and isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
        node[key] = rng.choice((node[key] * -1, node[key] + 1, node[key] * 1000, *NUMBERS))
    elif kind == 3 and isinstance(node[key], list):
        node[key] = rng.choice((node[key] * 2, node[key][:-1], node[key][::-1], node[key] * 3000))
    else:
        strange = (True, [], {}, [[]], {"a": {}}, *NUMBERS)
        node[key] = rng.choice((rng.choice(NASTY), rng.choice(strange)))
    return tree


def _pick(tree: Any, rng: random.Random) -> tuple[Any, Any]:
    """A container somewhere in the tree, and one of its keys; deeper ones as often as those at the top."""
    places = []
    open_nodes = [tree]
    while open_nodes:
        node = open_nodes.pop()
        pairs = (
            list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        )
        places += [(node, key) for key, _ in pairs]
        open_nodes += [value for _, value in pairs]
    return rng.choice(places) if places else (None, None)

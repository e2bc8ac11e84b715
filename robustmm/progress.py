"""How long work says how far it is: hooks that the command line draws, and that are silent unless asked for."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Stage = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Begins a stage of so many steps; the function that it yields is called with the steps done."""


class Reporter(Protocol):
    """Receives the progress of an evaluation: sentences, and stages with a number of steps each."""

    def note(self, text: str) -> None: ...
    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


class Watcher(Protocol):
    """Receives the progress of a training: sentences, what begins, every step, and the numbers of every epoch."""

    def note(self, text: str) -> None: ...
    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...
    def step(self, count: int = 1) -> None: ...
    def epoch(self, row: Mapping[str, float]) -> None: ...


class Silence:
    """A reporter and a watcher that print nothing."""

    def note(self, text: str) -> None: ...

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return nullcontext(lambda steps: None)

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None: ...

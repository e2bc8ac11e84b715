"""A registry: names to objects, with "did you mean", and `package.module:Name` for a user's own."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from robustmm.errors import UsageError, suggest

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps registered names (kebab-case) to objects of one role ("method", "fusion", ...)."""

    def __init__(self, role: str) -> None:
        self.role = role
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that files an object under `name`; a name can be taken once."""

        def add_entry(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.role} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return add_entry

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            return self._entries[name]
        if ":" in name:
            return self._import_entry(name)
        article = "an" if self.role[0] in "aeiou" else "a"
        raise UsageError(f'"{name}" is not {article} {self.role}{suggest(name, self._entries)}')

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def _import_entry(self, name: str) -> T:
        module, _, attribute = name.partition(":")
        if os.getcwd() not in sys.path:  # the user's own file stands beside their recipe
            sys.path.insert(0, os.getcwd())
        try:
            entry: T = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # the user's file may fail in any way, down to its syntax
            kind = "" if isinstance(error, (ImportError, AttributeError, ValueError)) else f"{type(error).__name__}: "
            raise UsageError(f'the {self.role} "{name}" cannot be imported: {kind}{error}') from error
        return entry

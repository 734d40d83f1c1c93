"""A function by its address, imported when it is called: what a study would do is said without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Deferred:
    """Stands for the function `module:name` of this package; can be pickled, and compares by its address."""

    address: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself; its module is imported on first use."""
        module, _, name = self.address.partition(":")
        function: Callable[..., Any] = getattr(import_module(f"hormesis.{module}"), name)
        return function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.function(*arguments)

"""
A backend's table of kernels: the shared ones, and its own where it has some.

A shared kernel that calls another calls, in a backend's table, the backend's own:

    def qlinear_conv(xp, x, …):                     in `kernels`
        total = conv_integer(xp, x, …)              NumPy's, in NumPy's table

The function is the same but for the names that it looks up. A backend's own kernels
call what their module imports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any, cast

from . import kernels
from .kernels import Kernel


def table_of(
    own: Mapping[str, Kernel], inner: Mapping[Kernel, Kernel]
) -> dict[str, Kernel]:
    """
    The kernel of every op for a backend with kernels of its `own`, by op name.

    `inner` has what shared kernels call and the backend has a function of its own for,
    with the same parameters, though it is no op's.
    """
    shared = kernels.KERNELS
    replaced = dict(inner)
    for name, kernel in own.items():
        known = shared.get(name)
        if known is not None:
            found = replaced.setdefault(known, kernel)
            assert found is kernel, f"{name}: two kernels in place of one"
    bound = _Overriding(replaced)
    return {**{name: bound.kernel(k) for name, k in shared.items()}, **own}


class _Overriding:
    """Shared functions as they are where some are `replaced`."""

    def __init__(self, replaced: Mapping[Kernel, Kernel]):
        self.replaced = replaced
        self.copies: dict[Kernel, Kernel] = {}
        self.namespaces: dict[str, dict[str, Any]] = {}

    def kernel(self, function: Kernel) -> Kernel:
        """What stands in for `function`: another, or a copy that calls others."""
        if function in self.replaced:
            return self.replaced[function]
        if not _is_shared(function):
            return function
        original = cast(FunctionType, function)
        names = self._namespace(original.__module__)
        if function not in self.copies:
            copy = FunctionType(original.__code__, names, original.__name__)
            copy.__defaults__ = original.__defaults__
            copy.__kwdefaults__ = original.__kwdefaults__
            copy.__annotations__ = original.__annotations__
            copy.__qualname__ = original.__qualname__
            self.copies[function] = copy
        return self.copies[function]

    def _namespace(self, module: str) -> dict[str, Any]:
        """The global names of `module`, its functions and those it imports replaced."""
        names = self.namespaces.get(module)
        if names is None:
            # It is known before it is filled: functions of a module call each other.
            names = self.namespaces[module] = dict(vars(sys.modules[module]))
            for name, value in names.items():
                if isinstance(value, FunctionType):
                    names[name] = self.kernel(value)
        return names


def _is_shared(function: Kernel) -> bool:
    return function.__module__.startswith(f"{kernels.__name__}.")

"""
Passes that are not ours: from a file of the user's, or an installed package.

A ``.rules`` file becomes one pass, called as the file. A ``.py`` file is *executed*,
and every `ModulePass` that it defines becomes a pass. A package offers passes as entry
points of the group ``sardonyx.passes``, each a `ModulePass`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from xdsl.passes import ModulePass

from ..dialects.errors import SardonyxError
from .universe import INSTALLED, SARDONYX

LOADED: dict[str, Path] = {}
"""The file that each pass of a plugin was loaded from."""


class PluginError(SardonyxError):
    """A plugin that cannot be loaded."""


def load_plugins(paths: Sequence[str | Path] | None) -> list[str]:
    """
    Load passes from files; returns their names.

    Every pipeline may name them from then on. A file that is loaded again replaces its
    passes. Raises PluginError or RuleError, in one line.
    """
    names: list[str] = []
    for path in map(Path, paths or ()):
        for name, chosen in _passes_in(path).items():
            _register(name, chosen, path)
            names.append(name)
    return names


@contextmanager
def plugins(paths: Sequence[str | Path]) -> Generator[list[str]]:
    """Load passes from files for the length of a with-block."""
    before, known = dict(LOADED), dict(SARDONYX.all_passes)
    try:
        yield load_plugins(paths)
    finally:
        LOADED.clear()
        LOADED.update(before)
        SARDONYX.all_passes.clear()
        SARDONYX.all_passes.update(known)


def other_passes() -> dict[str, str]:
    """The passes that are not ours: what each came from, by name."""
    installed = {name: f"{point.value}" for name, point in INSTALLED.items()}
    return {**installed, **{name: str(path) for name, path in LOADED.items()}}


def _register(name: str, chosen: type[ModulePass], path: Path) -> None:
    from .pipelines import all_passes

    taken = name in all_passes() and LOADED.get(name) != path.resolve()
    if taken:
        owner = LOADED.get(name)
        where = "already" if owner is None else f"in {owner} already"
        raise PluginError(f"{path}: found pass {name!r}, which is {where}")
    LOADED[name] = path.resolve()
    SARDONYX.all_passes[name] = _Given(chosen)


class _Given:
    """What gives a pass that is loaded already."""

    def __init__(self, chosen: type[ModulePass]):
        self.chosen = chosen

    def __call__(self) -> type[ModulePass]:
        return self.chosen


def _passes_in(path: Path) -> dict[str, type[ModulePass]]:
    if path.suffix == ".rules":
        from ..passes.rules import load_rules, rules_pass

        ruleset = load_rules(path)
        return {ruleset.name: rules_pass(ruleset)}
    if path.suffix != ".py":
        raise PluginError(
            f"{path}: found a file named {path.suffix or path.name!r}, "
            "wanted .py or .rules"
        )
    module = executed(path)
    found = {
        chosen.name: chosen
        for chosen in vars(module).values()
        if _is_pass(chosen) and chosen.__module__ == module.__name__
    }
    if not found:
        raise PluginError(f"{path}: found no ModulePass with a name, wanted one")
    return found


def _is_pass(value: object) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, ModulePass)
        and isinstance(getattr(value, "name", None), str)
        and not inspect.isabstract(value)
    )


def executed(path: Path) -> ModuleType:
    """The module that the file is; this runs the user's code."""
    resolved = path.resolve()
    # Two files of one name are two modules.
    digest = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = f"sardonyx_plugin_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path}: cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while it runs.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PluginError(f"{path}: cannot be read: {reason}") from error
    except Exception as error:
        # The user's code raises whatever it raises.
        line = _line_in(error, str(resolved))
        what = f"{type(error).__name__}: {error}"
        raise PluginError(f"{path}{line}: cannot be loaded: {what}") from error
    return module


def _line_in(error: Exception, file: str) -> str:
    """``:12``, the last line of `file` on the way to `error`."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    numbers: list[int] = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            numbers.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{numbers[-1]}" if numbers else ""

"""
Pastes the source of kernels into a program.

A program that is written for somebody else's machine carries the kernels that it calls:
their own text, and that of the functions and constants they use, found by following
each function's global names, what they are for that very function: a backend's table
has shared kernels that call the backend's own (see `overriding`). Names that are used
for different things are told apart by the module's.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

_FOR_CHECKER = re.compile(r"[ \t]*# pyright: ignore\[[^]\n]*\]")
"""What a type checker is told here and a reader of the program need not see."""


@dataclass(frozen=True)
class _Definition:
    """A top-level statement of a module, and the names in it that are its module's."""

    module: str
    name: str
    lines: tuple[str, ...]
    uses: tuple[tuple[str, int, int], ...]
    """Each global name with its line (from 0, within `lines`) and column."""


@dataclass
class Pasted:
    """Definitions gathered so far, in an order in which they can stand."""

    imports: dict[str, None] = field(default_factory=dict[str, None])
    blocks: list[str] = field(default_factory=list[str])
    _names: dict[Callable[..., Any] | tuple[str, str], str] = field(
        default_factory=dict[Callable[..., Any] | tuple[str, str], str]
    )
    """Of what is pasted: a function, or something else by its module and name there."""
    _taken: set[str] = field(default_factory=set[str])
    _texts: dict[str, str] = field(default_factory=dict[str, str])
    """The text under which each pasted definition was found, before it was renamed."""

    def add(self, function: Callable[..., Any]) -> str:
        """Paste `function` and what it uses, once; returns its name in the program."""
        space = getattr(function, "__globals__", {})
        return self._paste(function, function.__module__, function.__name__, space)

    def write(self, wanted: str, text: str) -> str:
        """
        Paste a function of ours; returns its name in the program, like `wanted`.

        `text` begins with its parameters: ``(x):`` and the lines of the body.
        """
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        self._texts[name] = f"def {name}{text}"
        self.blocks.append(self._texts[name])
        return name

    @property
    def names(self) -> frozenset[str]:
        """The names that the program has taken."""
        return frozenset(self._taken)

    def import_lines(self) -> list[str]:
        """The import statements, sorted, one line per module that is imported from."""
        plain = [s for s in self.imports if not s.startswith("from ")]
        named: dict[str, list[str]] = {}
        for statement in self.imports:
            if statement.startswith("from "):
                head, _, item = statement.partition(" import ")
                named.setdefault(head, []).append(item)
        return sorted(plain) + [
            f"{head} import {', '.join(sorted(items))}"
            for head, items in sorted(named.items())
        ]

    def _use(self, module: str, name: str, space: Mapping[str, Any]) -> str:
        """Paste what `name` is in `module`, for a function with the globals `space`."""
        value = space.get(name)
        if isinstance(value, FunctionType):
            return self.add(value)
        module, name = _home(module, name)
        return self._paste((module, name), module, name, vars(sys.modules[module]))

    def _paste(
        self,
        key: Callable[..., Any] | tuple[str, str],
        module: str,
        name: str,
        space: Mapping[str, Any],
    ) -> str:
        if key in self._names:
            return self._names[key]
        source = _source(module)
        if name not in source.definitions:
            raise ValueError(f"{module} has no definition of {name!r} to paste")
        definition = source.definitions[name]
        # Known before what it uses is pasted: a function may call itself.
        self._names[key] = name
        renamed: dict[str, str] = {}
        for used, _, _ in definition.uses:
            if used in source.imports:
                self._import(used, source.imports[used])
            elif used != name and used not in renamed:
                renamed[used] = self._use(module, used, space)
        text = _text(definition, renamed)
        given = name
        if self._texts.get(name) != text:
            given = self._free_name(module, name)
            self._names[key] = given
            self.blocks.append(_text(definition, {**renamed, name: given}))
            self._texts[given] = text
        return given

    def _import(self, name: str, statement: str) -> None:
        if name in self._texts:
            raise ValueError(f"{statement!r} hides the definition of {name!r}")
        self.imports[statement] = None
        self._taken.add(name)

    def _free_name(self, module: str, name: str) -> str:
        given = name
        if given in self._taken:
            given = f"{name}_{module.rpartition('.')[2]}"
        while given in self._taken:
            given += "_"
        self._taken.add(given)
        return given


def _text(definition: _Definition, renamed: dict[str, str]) -> str:
    lines = list(definition.lines)
    for name, line, column in sorted(definition.uses, key=lambda use: use[1:])[::-1]:
        new = renamed.get(name, name)
        if new != name:
            text = lines[line]
            lines[line] = text[:column] + new + text[column + len(name) :]
    new = renamed.get(definition.name, definition.name)
    if new != definition.name:
        lines[0] = lines[0].replace(definition.name, new, 1)
    return "\n".join(lines)


@dataclass(frozen=True)
class _Source:
    """The top level of a module, by name."""

    definitions: dict[str, _Definition]
    imports: dict[str, str]
    """Imports from outside the package: the statement that binds each name."""
    relative: dict[str, tuple[str, str]]
    """Imports from inside the package: module and name there."""


def _home(module: str, name: str) -> tuple[str, str]:
    """Where a name is defined, following imports within the package."""
    source = _source(module)
    while name in source.relative:
        module, name = source.relative[name]
        source = _source(module)
    return module, name


@lru_cache(maxsize=128)
def _source(module: str) -> _Source:
    loaded = importlib.import_module(module)
    text = inspect.getsource(loaded)
    tree = ast.parse(text)
    lines = _FOR_CHECKER.sub("", text).splitlines()
    imports: dict[str, str] = {}
    relative: dict[str, tuple[str, str]] = {}
    statements: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            _note_import(statement, loaded, imports, relative)
        else:
            for name in _bound(statement):
                statements[name] = statement
    known = statements.keys() | imports.keys() | relative.keys()
    definitions = {
        name: _definition(module, name, statement, lines, known)
        for name, statement in statements.items()
    }
    return _Source(definitions, imports, relative)


def _note_import(
    statement: ast.Import | ast.ImportFrom,
    module: ModuleType,
    imports: dict[str, str],
    relative: dict[str, tuple[str, str]],
) -> None:
    if isinstance(statement, ast.ImportFrom) and statement.level:
        wanted = "." * statement.level + (statement.module or "")
        origin = importlib.util.resolve_name(wanted, module.__package__)
        for alias in statement.names:
            relative[alias.asname or alias.name] = (origin, alias.name)
        return
    for alias in statement.names:
        renamed = f" as {alias.asname}" if alias.asname else ""
        name = alias.asname or alias.name.partition(".")[0]
        if isinstance(statement, ast.ImportFrom):
            imports[name] = f"from {statement.module} import {alias.name}{renamed}"
        else:
            imports[name] = f"import {alias.name}{renamed}"


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement defines."""
    if isinstance(statement, ast.FunctionDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(
        statement.target, ast.Name
    ):
        yield statement.target.id


def _definition(
    module: str,
    name: str,
    statement: ast.stmt,
    lines: list[str],
    known: set[str],
) -> _Definition:
    first = statement.lineno - 1
    local = _locals(statement) if isinstance(statement, ast.FunctionDef) else {name}
    uses = [
        (node.id, node.lineno - 1 - first, _column(lines, node))
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and node.id in known and node.id not in local
    ]
    text = tuple(lines[first : statement.end_lineno])
    return _Definition(module, name, text, tuple(uses))


def _column(lines: list[str], node: ast.Name) -> int:
    """The column in characters; ast counts bytes."""
    line = lines[node.lineno - 1]
    return len(line.encode()[: node.col_offset].decode())


def _locals(function: ast.FunctionDef) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names

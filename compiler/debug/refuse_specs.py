"""Pipelines without one of their passes, or with nodes that a pass leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from xdsl.passes import ModulePass

from ...passes.fixpoint import FixpointPass
from ...passes.spare import SparePass
from ..pipelines import HARMLESS, parse_pipeline, spec_of, spec_text

Pipeline = tuple[ModulePass, ...]

ASKED_FOR = frozenset(["quantize", "sharding"])
"""The packages of passes that give another program because someone wants another."""


def may_be_undone(one: ModulePass) -> bool:
    """Whether a pass is a fusion, a lowering or the like, and no more than that."""
    package = type(one).__module__.split(".")
    return one.name not in HARMLESS and ASKED_FOR.isdisjoint(package)


def text_of(passes: Pipeline) -> str:
    """The spec of a pipeline; it parses back to it."""
    return ",".join(map(spec_text, passes))


def without(passes: Pipeline, name: str) -> Pipeline:
    """`passes` without those called `name`, also within fixpoints."""
    return _changed(passes, lambda one: None if one.name == name else one)


def sparing(passes: Pipeline, name: str, nodes: Collection[str]) -> Pipeline:
    """`passes`, of which those called `name` leave the ops of `nodes` alone."""

    def spared(one: ModulePass) -> ModulePass:
        if one.name != name:
            return one
        return SparePass(tuple(sorted(nodes)), spec_text(one))

    return _changed(passes, spared)


def replaced(passes: Pipeline, name: str, new: ModulePass) -> Pipeline:
    """`passes` with `new` for those called `name`, also within fixpoints."""
    return _changed(passes, lambda one: new if one.name == name else one)


def names_in(
    passes: Pipeline, wanted: Callable[[ModulePass], bool] = lambda one: True
) -> list[str]:
    """The names of the `wanted` passes, also of those in fixpoints, each once."""
    found: dict[str, None] = {}
    for one in passes:
        if isinstance(one, FixpointPass):
            found.update(dict.fromkeys(names_in(_within(one), wanted)))
        elif wanted(one):
            found[one.name] = None
    return list(found)


def _changed(
    passes: Pipeline, change: Callable[[ModulePass], ModulePass | None]
) -> Pipeline:
    """The passes as `change` gives them; a fixpoint that holds none is left out."""
    kept: list[ModulePass] = []
    for one in passes:
        if not isinstance(one, FixpointPass):
            changed = change(one)
            kept += [] if changed is None else [changed]
        elif inside := _changed(_within(one), change):
            kept.append(replace(one, passes=text_of(inside)))
    return tuple(kept)


def _within(group: FixpointPass) -> Pipeline:
    return parse_pipeline(spec_of(group.passes))

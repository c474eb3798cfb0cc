"""
Where the padding of one dimension lies in a tensor, and what the numbers there are.

The program runs on a longer dimension than its input has: of `length` real places the
rest are padded. An axis of a tensor is a product of factors (``batch*seq`` after a
Flatten), and a factor that is the dimension has real places, the first ones, and padded
ones. At real places along all its factors a tensor holds what it would without padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...dialects.errors import SardonyxError
from ...dialects.onnx import Dim
from ...dialects.onnx.dims import product
from .padding_facts import Fact, Known

Place = tuple[int, int]
"""An axis, and which of its factors."""

Axis = tuple[Dim, ...]
"""The factors of an axis, none of them 1; no two that are not padded in a row."""


class PaddingRefused(SardonyxError):
    """A dimension that cannot be padded, and why."""


@dataclass(frozen=True)
class State:
    """A tensor of the program that runs padded."""

    axes: tuple[Axis, ...]
    body: Known = None
    """Of the numbers at real places."""
    tail: Mapping[Place, Fact] = field(default_factory=dict[Place, Fact])
    """Of those at padded places along a factor and at real ones along the others."""
    head: Mapping[Place, Fact] = field(default_factory=dict[Place, Fact])
    """Of those at the first place along a factor and at real ones along the others."""
    sized: bool = False
    """Whether even real places hold other numbers, since they follow from the size."""
    steps: tuple[Dim, ...] | None = None
    """If its numbers are ``sum(step * index)`` over the axes, these."""


@dataclass(frozen=True)
class Measure:
    """The dimension that is padded, and to how much at most."""

    name: str
    largest: int
    _known: dict[Dim, Dim] = field(default_factory=dict[Dim, Dim], compare=False)

    @property
    def dim(self) -> Dim:
        return Dim.of(self.name)

    def normal(self, dim: Dim) -> Dim:
        """`dim` as simple as it is up to the largest size: ``min(512, seq)`` is seq."""
        if dim.symbols != frozenset([self.name]) or dim.symbol is not None:
            return dim
        if dim not in self._known:
            same = all(
                dim.substitute({self.name: size}).constant == size
                for size in range(1, self.largest + 1)
            )
            self._known[dim] = self.dim if same else dim
        return self._known[dim]

    def depends(self, dim: Dim) -> bool:
        """Whether `dim` changes with the size."""
        return self.name in self.normal(dim).symbols

    def axis(self, factors: Sequence[Dim]) -> Axis:
        """An axis of `factors`; those that are not padded are multiplied."""
        merged: list[Dim] = []
        for factor in factors:
            if factor.constant == 1:
                continue
            plain = factor != self.dim
            if merged and plain and merged[-1] != self.dim:
                merged[-1] = merged[-1] * factor
            else:
                merged.append(factor)
        return tuple(merged)

    def plain_axis(self, dim: Dim | None, number: int = 0) -> Axis:
        """The axis of one dimension; PaddingRefused if it depends on the size oddly."""
        if dim is None:
            return (Dim.of(f"?{number}"),)
        dim = self.normal(dim)
        if dim != self.dim and self.name in dim.symbols:
            raise PaddingRefused(f"found the size {dim}, wanted {self.name} itself")
        return self.axis([dim])

    # --- states ---

    def places(self, state: State) -> list[Place]:
        """Where `state` has padded factors."""
        return [
            (axis, place)
            for axis, factors in enumerate(state.axes)
            for place, factor in enumerate(factors)
            if factor == self.dim
        ]

    def padded_axes(self, state: State) -> set[int]:
        """The axes of `state` with padded factors."""
        return {axis for axis, _ in self.places(state)}

    def uniform(self, axes: Sequence[Axis], fact: Known) -> State:
        """A tensor of whose numbers, real and padded, one thing is known."""
        state = State(tuple(axes), fact)
        if fact is None:
            return state
        facts = dict.fromkeys(self.places(state), fact)
        return replace(state, tail=facts, head=facts)

    def moved(
        self, state: State, axes: Sequence[Axis], places: Mapping[Place, Place]
    ) -> State:
        """`state` with other axes; `places` tells where its padded factors went."""
        return replace(
            state,
            axes=tuple(axes),
            tail={places[p]: f for p, f in state.tail.items() if p in places},
            head={places[p]: f for p, f in state.head.items() if p in places},
            steps=None,
        )

    def regrouped(self, state: State, dims: Sequence[Dim | None]) -> State:
        """
        `state` reshaped to `dims`, row by row; PaddingRefused if that parts a factor.
        """
        waiting: list[tuple[Place, Dim]] = []
        passed = Dim.of(1)
        for axis, factors in enumerate(state.axes):
            for place, factor in enumerate(factors):
                if factor == self.dim:
                    waiting.append(((axis, place), passed))
                passed = passed * factor
        axes: list[Axis] = []
        places: dict[Place, Place] = {}
        done = Dim.of(1)
        for number, dim in enumerate(dims):
            if dim is None:
                raise PaddingRefused("a size of its result is not known")
            rest, factors = self.normal(dim), list[Dim]()
            whole = rest
            while waiting and rest.divided_by(self.dim) is not None:
                old, before = waiting[0]
                front = before.divided_by(done)
                after = None if front is None else rest.divided_by(front * self.dim)
                if front is None or after is None:
                    break
                waiting.pop(0)
                factors += [front, self.dim]
                places[old] = number, len(self.axis(factors)) - 1
                rest, done = after, before * self.dim
            if self.name in rest.symbols:
                raise PaddingRefused(f"it makes {whole} of other sizes")
            factors.append(rest)
            axes.append(self.axis(factors))
            done = done * rest
        if waiting:
            raise PaddingRefused(f"it parts the axis of {self.name}")
        return self.moved(state, axes, places)


def size_of(axis: Axis) -> Dim:
    """How long an axis is."""
    return product(axis)

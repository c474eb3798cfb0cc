"""
The collectives that bring a tensor from one layout to another, or a sum to its end.

    [{"x"}, {}] -> [{}, {"x"}]   sdy.all_to_all [{"x"}: 0->1]
    [{"x"}, {}] -> [{}, {}]      sdy.all_gather [{"x"}, {}]
    [{}, {}]    -> [{}, {"x"}]   sdy.all_slice [{}, {"x"}]
    terms along "x" -> [{}, {}]      sdy.all_reduce {"x"}
    terms along "x" -> [{"x"}, {}]   sdy.reduce_scatter [{"x"}, {}]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Operation, SSAValue

from ...dialects.sdy import (
    AllGatherOp,
    AllReduceOp,
    AllSliceOp,
    AllToAllOp,
    CollectiveOp,
    Mesh,
    ReduceScatterOp,
)
from .layouts import Layout
from .traffic import sent_on_a_ring

Insert = Callable[[Operation], object]


@dataclass(frozen=True)
class Step:
    """One collective on the way to another layout."""

    kind: type[CollectiveOp]
    lists: Layout
    source: int = 0
    target: int = 0
    """The dimension that an all-to-all makes whole, and the one that it divides."""

    def on(self, part: SSAValue, mesh: Mesh, insert: Insert) -> SSAValue:
        """The collective on `part`, which `insert` is given; its result."""
        dims = {"source": self.source, "target": self.target}
        taken = dims if self.kind is AllToAllOp else {}
        properties = {name: IntegerAttr(place, 64) for name, place in taken.items()}
        made = self.kind.on(part, self.lists, mesh, **properties)
        made.location = getattr(part.owner, "location", made.location)
        insert(made)
        return made.result

    def sent(self, size: float, mesh: Mesh) -> tuple[float, float]:
        """
        The bytes that each device sends, of a part of `size` bytes; its size then.
        """
        devices = mesh.size(axis for axes in self.lists for axis in axes)
        after = size
        if self.kind is AllGatherOp:
            after = size * devices
        elif self.kind in (AllSliceOp, ReduceScatterOp):
            after = size / devices
        kind = self.kind.name.partition(".")[2]
        moved = sent_on_a_ring(kind, devices, after) if self.kind.MOVES else 0.0
        return moved, after


def reshard(
    part: SSAValue, held: Layout, wanted: Layout, mesh: Mesh, insert: Insert
) -> SSAValue:
    """
    The part in the layout `wanted` of a tensor whose parts lie as `held`.

    Axes of one device divide nothing: nothing is sent along them.
    """
    return taken(list(steps(held, wanted, mesh)), part, mesh, insert)


def taken(path: Sequence[Step], part: SSAValue, mesh: Mesh, insert: Insert) -> SSAValue:
    """What `part` is after all steps of `path`."""
    for step in path:
        part = step.on(part, mesh, insert)
    return part


def sent(path: Sequence[Step], size: float, mesh: Mesh) -> float:
    """The bytes that each device sends in all steps, of a part of `size` bytes."""
    total = 0.0
    for step in path:
        moved, size = step.sent(size, mesh)
        total += moved
    return total


def completion(
    summed: Sequence[str], held: Layout, wanted: Layout, mesh: Mesh
) -> list[Step]:
    """
    The way from terms of a sum along the axes `summed`, of parts that lie as `held`.

    What is to be divided along these axes each device gets its part of only.
    """
    held, wanted = _divided(held, mesh), _divided(wanted, mesh)
    left, now = list(summed), list(held)
    lists: list[tuple[str, ...]] = []
    for place, (old, new) in enumerate(zip(held, wanted, strict=True)):
        mine: tuple[str, ...] = ()
        if new[: len(old)] == old:
            for axis in new[len(old) :]:
                if axis not in left:
                    break
                left.remove(axis)
                mine = (*mine, axis)
        lists.append(mine)
        now[place] = (*old, *mine)
    path: list[Step] = []
    if any(lists):
        path.append(Step(ReduceScatterOp, tuple(lists)))
    if left:
        path.append(Step(AllReduceOp, (tuple(left),)))
    return [*path, *steps(tuple(now), wanted, mesh)]


def steps(held: Layout, wanted: Layout, mesh: Mesh) -> Iterator[Step]:
    """The way from one layout to another."""
    held, wanted = _divided(held, mesh), _divided(wanted, mesh)
    now = list(held)
    for source, target, axis in _moves(held, wanted):
        if (
            now[source][-1:] != (axis,)
            or wanted[target][: len(now[target])] != now[target]
        ):
            continue
        if wanted[target][len(now[target]) : len(now[target]) + 1] != (axis,):
            continue
        yield Step(AllToAllOp, ((axis,),), source, target)
        now[source], now[target] = now[source][:-1], (*now[target], axis)
    for place, axes in enumerate(now):
        same = _common(axes, wanted[place])
        if axes[same:]:
            yield Step(AllGatherOp, _only(now, place, axes[same:]))
            now[place] = axes[:same]
    added = tuple(axes[len(now[n]) :] for n, axes in enumerate(wanted))
    if any(added):
        yield Step(AllSliceOp, added)


def _divided(layout: Layout, mesh: Mesh) -> Layout:
    sizes = mesh.sizes
    return tuple(tuple(a for a in axes if sizes[a] > 1) for axes in layout)


def _moves(held: Layout, wanted: Layout) -> list[tuple[int, int, str]]:
    """Axes that divide another dimension afterwards, the fastest of each first."""
    place = {axis: n for n, axes in enumerate(wanted) for axis in axes}
    return [
        (source, place[axis], axis)
        for source, axes in enumerate(held)
        for axis in reversed(axes)
        if place.get(axis, source) != source
    ]


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def _only(layout: list[tuple[str, ...]], place: int, axes: tuple[str, ...]) -> Layout:
    return tuple(axes if n == place else () for n in range(len(layout)))

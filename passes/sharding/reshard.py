"""
The collectives that bring a tensor from one layout to another.

    [{"x"}, {}] -> [{}, {"x"}]   sdy.all_to_all [{"x"}: 0->1]
    [{"x"}, {}] -> [{}, {}]      sdy.all_gather [{"x"}, {}]
    [{}, {}]    -> [{}, {"x"}]   sdy.all_slice [{}, {"x"}]
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Operation, SSAValue

from ...dialects.sdy import AllGatherOp, AllSliceOp, AllToAllOp, CollectiveOp, Mesh
from .layouts import Layout


def reshard(
    part: SSAValue,
    held: Layout,
    wanted: Layout,
    mesh: Mesh,
    insert: Callable[[Operation], object],
) -> SSAValue:
    """
    The part in the layout `wanted` of a tensor whose parts lie as `held`.

    Axes of one device divide nothing: nothing is sent along them.
    """
    held, wanted = _divided(held, mesh), _divided(wanted, mesh)
    now = list(held)

    def add(made: CollectiveOp) -> None:
        nonlocal part
        made.location = getattr(part.owner, "location", made.location)
        insert(made)
        part = made.result

    for source, target, axis in _moves(held, wanted):
        if (
            now[source][-1:] != (axis,)
            or wanted[target][: len(now[target])] != now[target]
        ):
            continue
        if wanted[target][len(now[target]) : len(now[target]) + 1] != (axis,):
            continue
        dims = {"source": IntegerAttr(source, 64), "target": IntegerAttr(target, 64)}
        add(AllToAllOp.on(part, [(axis,)], mesh, **dims))
        now[source], now[target] = now[source][:-1], (*now[target], axis)
    for place, axes in enumerate(now):
        same = _common(axes, wanted[place])
        if axes[same:]:
            add(AllGatherOp.on(part, _only(now, place, axes[same:]), mesh))
            now[place] = axes[:same]
    added = [axes[len(now[n]) :] for n, axes in enumerate(wanted)]
    if any(added):
        add(AllSliceOp.on(part, added, mesh))
    return part


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

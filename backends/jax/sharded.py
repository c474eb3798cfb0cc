"""
Writes per-device programs: a function that `jax.shard_map` runs on a mesh of devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh
from xdsl.ir import Operation

from ...dialects.sdy import (
    AllGatherOp,
    AllReduceOp,
    AllSliceOp,
    AllToAllOp,
    CollectiveOp,
    ManualComputationOp,
    ReturnOp,
    Sharding,
)
from ..program import origin
from .emitter import JaxEmitter, tuple_text


def device_mesh(sizes: Sequence[int], names: Sequence[str]) -> Mesh:
    """
    A mesh of the first devices that JAX has; ValueError if it has too few.

    On the CPU, XLA_FLAGS=--xla_force_host_platform_device_count=N gives it more.
    """
    count = int(np.prod(sizes))
    devices: list[Any] = list(jax.devices())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if len(devices) < count:
        raise ValueError(
            f"found {len(devices)} devices, wanted {count}: on the CPU, set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count}"
        )
    grid: Any = np.array(devices[:count]).reshape(sizes)
    return Mesh(grid, names, axis_types=(AxisType.Auto,) * len(names))


def all_slice(x: Any, axes: Sequence[Sequence[str]]) -> Any:
    """This device's part of `x`, along the axes of each dimension."""
    for dim, names in enumerate(axes):
        if names:
            size = x.shape[dim] // lax.axis_size(tuple(names))
            start = lax.axis_index(tuple(names)) * size
            x = lax.dynamic_slice_in_dim(x, start, size, dim)
    return x


def reduce_scatter(x: Any, axes: Sequence[Sequence[str]]) -> Any:
    """This device's part of the sum of every `x`, along the axes of each dimension."""
    parallel: Any = lax
    processes: Any = jax.process_count  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if processes() > 1 and jax.default_backend() == "cpu":
        # XLA's own between processes on CPUs gave wrong data: jax-ml/jax#40830.
        summed = tuple(name for names in axes for name in names)
        return all_slice(parallel.psum(x, summed), axes)
    for dim, names in enumerate(axes):
        if names:
            x = parallel.psum_scatter(
                x, tuple(names), scatter_dimension=dim, tiled=True
            )
    return x


@dataclass
class ShardedEmitter(JaxEmitter):
    """Writes functions that are one `sdy.manual_computation`."""

    def emit_other(self, op: Operation) -> None:
        if isinstance(op, ManualComputationOp):
            self._computation(op)
        elif isinstance(op, CollectiveOp):
            target = self.define(op.result, op.result.name_hint)
            self.line(f"{target} = {self._collective(op)}  # {origin(op)}")
        elif isinstance(op, ReturnOp):
            values = tuple_text(self.name(value) for value in op.arguments)
            self.line(f"return {values}")
        else:
            super().emit_other(op)

    def _computation(self, op: ManualComputationOp) -> None:
        mesh, axes = self.fresh("mesh"), op.mesh.axes
        sizes = tuple_text(str(size) for _, size in axes)
        names = tuple_text(ascii(name) for name, _ in axes)
        maker = self.pasted.add(device_mesh)
        self.line(f"{mesh} = {maker}({sizes}, {names})")
        operands = tuple_text(self.name(value) for value in op.tensors)
        device = self.fresh("device")
        block = op.body.block
        parameters = [self.define(value, value.name_hint) for value in block.args]
        self.line(f"def {device}({', '.join(parameters)}):")
        self.level += 1
        self.emit_block(block)
        self.level -= 1
        given = _specs(op.in_shardings.data)
        taken = _specs(op.out_shardings.data)
        results = [self.define(value, value.name_hint) for value in op.results]
        self.line(
            f"{tuple_text(results)} = jax.shard_map({device}, mesh={mesh}, "
            f"in_specs={given}, out_specs={taken}, check_vma=False)(*{operands})"
        )

    def _collective(self, op: CollectiveOp) -> str:
        value, axes = self.name(op.operand), ascii(op.axes)
        match op:
            case AllReduceOp():
                return f"lax.psum({value}, {axes})"
            case AllGatherOp():
                for dim, names in enumerate(op.lists.data):
                    if names:
                        value = (
                            f"lax.all_gather({value}, {names!a}, axis={dim}, "
                            "tiled=True)"
                        )
                return value
            case AllToAllOp():
                source, target = op.dims
                return (
                    f"lax.all_to_all({value}, {axes}, split_axis={target}, "
                    f"concat_axis={source}, tiled=True)"
                )
            case AllSliceOp():
                return f"{self.pasted.add(all_slice)}({value}, {op.lists.data!a})"
            case _:
                name = self.pasted.add(reduce_scatter)
                return f"{name}({value}, {op.lists.data!a})"


def _specs(shardings: Sequence[Sharding]) -> str:
    return tuple_text(_spec(sharding) for sharding in shardings)


def _spec(sharding: Sharding) -> str:
    entries = [
        "None" if not axes else ascii(axes[0]) if len(axes) == 1 else ascii(axes)
        for axes in sharding.axes
    ]
    return f"P({', '.join(entries)})"

"""
ONNX's multi-device annotations as `sdy`: a mesh, and shardings of values.

A node says of the tensors that it takes and gives in how many shards they are, and
which devices have each (docs/proposals/ONNXMultiDeviceProposal.md of onnx). The mesh is
the coarsest grid of the devices in which all of these shards are parts along axes:

    configuration {name: "c", num_devices: 4}         sdy.mesh @c = <["x0"=2, "x1"=2]>
    X: device [-1, -2], {-1: [0, 1], -2: [2, 3]}  ->  %X sharded [{"x0"}, {}]
       axis 0 in 2 shards

Where a node wants a tensor otherwise than the node that gives it, its op says so under
``sdy.operand_shardings``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias, cast

import onnx
from xdsl.dialects.builtin import (
    ArrayAttr,
    IntegerAttr,
    ModuleOp,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from ...dialects.onnx.text import text_attr
from ...dialects.onnx.types import shape_of
from ...dialects.sdy import (
    Mesh,
    MeshOp,
    Sharding,
    ShardingAttr,
    annotate,
    sharding_of,
)
from ...dialects.sdy.devices import AXES, CONFIGURATIONS, OPERANDS, STAGE
from ...dialects.sdy.shardings import MAX_DEVICES
from .files import ModelError

Digit: TypeAlias = tuple[int, int]
"""
Device d is at place ``d // stride % size`` of so many: a stride and a size.

A grid of devices in row-major order has one for each axis.
"""

Place: TypeAlias = tuple[Operation | Block, int]
"""A result of an op, or an argument of a block: types may still be refined."""


@dataclass(frozen=True)
class _Said:
    """What a node says of a tensor."""

    where: str
    value: Place
    takers: tuple[Operation, ...]
    """The ops of the node that take it; empty if the node gives it."""
    digits: tuple[tuple[Digit, ...], ...]
    """For each dimension, along what it is divided, the slowest first."""


@dataclass
class DeviceNotes:
    """Collects what nodes say of devices; `write` puts it into the module."""

    configurations: Mapping[str, onnx.DeviceConfigurationProto]
    said: list[_Said] = field(default_factory=list[_Said])
    chosen: str = ""
    """The configuration that shardings are of."""

    @staticmethod
    def of(model: onnx.ModelProto) -> DeviceNotes:
        """Of a model; ModelError if a configuration is malformed."""
        found: dict[str, onnx.DeviceConfigurationProto] = {}
        for one in model.configuration:
            where = f"device configuration {one.name!r}"
            if not one.name or one.name in found:
                raise ModelError(f"{where}: wanted a name, each once")
            if not 1 <= one.num_devices <= MAX_DEVICES:
                raise ModelError(
                    f"{where}: found {one.num_devices} devices, wanted 1 to "
                    f"{MAX_DEVICES}"
                )
            if one.device and len(one.device) != one.num_devices:
                raise ModelError(
                    f"{where}: found {len(one.device)} names of {one.num_devices} "
                    "devices"
                )
            found[one.name] = one
        return DeviceNotes(found)

    def note(
        self,
        node: onnx.NodeProto,
        where: str,
        tensors: Mapping[str, SSAValue | None],
        made: Sequence[Operation],
        nested: bool,
    ) -> None:
        """
        Take in what `node` says: `tensors` are those that it names, `made` its ops.

        Raises ModelError for what is malformed, and for what `sdy` cannot say.
        """
        seen: set[str] = set()
        for entry in node.device_configurations:
            name = entry.configuration_id
            if name not in self.configurations or name in seen:
                wanted = f"one of {sorted(self.configurations)}, each once"
                raise ModelError(
                    f"{where}: found device configuration {name!r}, wanted {wanted}"
                )
            seen.add(name)
            if nested:
                raise ModelError(
                    f"{where}: found devices of a node in a subgraph or "
                    "function, wanted them in the main graph only"
                )
            if self.chosen not in ("", name):
                raise ModelError(
                    f"{where}: found shardings of configurations {self.chosen!r} and "
                    f"{name!r}, wanted those of one"
                )
            self.chosen = name
            if entry.HasField("pipeline_stage"):
                for op in made:
                    op.attributes[STAGE] = IntegerAttr(entry.pipeline_stage, i64)
            self._specs(node, entry.sharding_spec, where, tensors, made)

    def _specs(
        self,
        node: onnx.NodeProto,
        specs: Sequence[onnx.ShardingSpecProto],
        where: str,
        tensors: Mapping[str, SSAValue | None],
        made: Sequence[Operation],
    ) -> None:
        devices, seen = self.configurations[self.chosen].num_devices, set[str]()
        for spec in specs:
            here = f"{where}: sharding of {spec.tensor_name!r}"
            value = tensors.get(spec.tensor_name)
            if value is None or spec.tensor_name in seen:
                raise ModelError(f"{here}: wanted a tensor of the node, each once")
            seen.add(spec.tensor_name)
            shape = shape_of(value.type)
            if shape is None:
                raise ModelError(f"{here}: found {value.type}, wanted a known rank")
            sizes = [None if dim is None else dim.constant for dim in shape]
            digits = _digits_of(spec, devices, sizes, here)
            given = spec.tensor_name in node.output
            takers = () if given else tuple(op for op in made if value in op.operands)
            if given or takers:
                self.said.append(_Said(here, _place(value), takers, digits))

    def write(self, module: ModuleOp, metadata: Mapping[str, str]) -> None:
        """Put the mesh and the shardings into `module`."""
        if not self.configurations:
            return
        module.attributes[CONFIGURATIONS] = ArrayAttr(
            ArrayAttr(
                [
                    text_attr(one.name),
                    IntegerAttr(one.num_devices, i64),
                    ArrayAttr(map(text_attr, one.device)),
                ]
            )
            for one in self.configurations.values()
        )
        if not self.chosen:
            return
        symbol = text_attr(self.chosen).data
        count = self.configurations[self.chosen].num_devices
        mesh = _mesh(count, self.said, metadata.get(AXES, ""))
        first = module.body.block.first_op
        assert first is not None, "a module has a function"
        module.body.block.insert_op_before(MeshOp(symbol, mesh), first)
        # What a node gives is its to say; of others, who takes them first.
        for said in sorted(self.said, key=lambda said: bool(said.takers)):
            self._write(said, symbol, mesh)

    def _write(self, said: _Said, symbol: str, mesh: Mesh) -> None:
        owner, index = said.value
        value = (
            owner.results[index] if isinstance(owner, Operation) else owner.args[index]
        )
        sharding = Sharding.of(symbol, [_axes(digits, mesh) for digits in said.digits])
        problem = sharding.problem(mesh, None)
        if problem is not None:
            raise ModelError(f"{said.where}: {problem}")
        held = sharding_of(value)
        if held is None:
            annotate(value, sharding)
        elif held != sharding:
            for op in said.takers:
                _note_operand(op, value, sharding)


def _note_operand(op: Operation, value: SSAValue, sharding: Sharding) -> None:
    held = op.attributes.get(OPERANDS)
    entries: list[Attribute] = [UnitAttr()] * len(op.operands)
    if isinstance(held, ArrayAttr):
        entries = list(cast(ArrayAttr[Attribute], held).data)
    for place, operand in enumerate(op.operands):
        if operand is value:
            entries[place] = ShardingAttr(sharding)
    op.attributes[OPERANDS] = ArrayAttr(entries)


def _place(value: SSAValue) -> Place:
    if isinstance(value, BlockArgument):
        return value.block, value.index
    owner = value.owner
    assert isinstance(owner, Operation), "what is no argument is a result"
    return owner, [result is value for result in owner.results].index(True)


# --- shards as digits of devices' numbers ---


def _digits_of(
    spec: onnx.ShardingSpecProto,
    devices: int,
    sizes: Sequence[int | None],
    where: str,
) -> tuple[tuple[Digit, ...], ...]:
    """Along what each dimension of a tensor of `sizes` is divided."""
    counts = _shards(spec, sizes, where)
    groups = _groups(spec, devices, math.prod(n for _, n in counts), where)
    shard_of = {device: n for n, group in enumerate(groups) for device in group}
    found: list[tuple[Digit, ...]] = [()] * len(sizes)
    behind = len(groups)
    for axis, count in counts:
        behind //= count
        parts = [shard_of[device] // behind % count for device in range(devices)]
        digits = digits_in(parts, count)
        if digits is None:
            raise ModelError(
                f"{where}: found devices {list(spec.device)} in an order that is no "
                "grid's, wanted shards along rows and columns of one"
            )
        found[axis] = digits
    return tuple(found)


def _shards(
    spec: onnx.ShardingSpecProto, sizes: Sequence[int | None], where: str
) -> list[tuple[int, int]]:
    """The divided dimensions and in how many shards each is."""
    found: dict[int, int] = {}
    rank = len(sizes)
    for dim in spec.sharded_dim:
        axis = dim.axis + rank if dim.axis < 0 else dim.axis
        if not 0 <= axis < rank or axis in found:
            raise ModelError(
                f"{where}: found axis {dim.axis} of {rank}, each wanted once"
            )
        count = _shards_of(dim, sizes[axis], f"{where}: axis {dim.axis}")
        size = sizes[axis]
        if size is not None and size % count:
            raise ModelError(
                f"{where}: axis {dim.axis}: found size {size}, wanted a multiple of "
                f"{count}"
            )
        found[axis] = count
    return list(found.items())


def _shards_of(dim: onnx.ShardedDimProto, size: int | None, where: str) -> int:
    """In how many shards a dimension is, one block of the tensor each."""
    simple = list(dim.simple_sharding)
    if not simple or any(not 1 <= one.num_shards <= MAX_DEVICES for one in simple):
        found = [one.num_shards for one in simple]
        raise ModelError(f"{where}: found {found} shards, wanted 1 to {MAX_DEVICES}")
    stated = [one.dim_value for one in simple]
    known = all(one.HasField("dim_value") for one in simple)
    if known and size is not None and math.prod(stated) != size:
        raise ModelError(f"{where}: found sizes {stated} of a dimension of {size}")
    for one in simple[:-1]:
        # Otherwise a shard would be several blocks of the tensor.
        if not one.HasField("dim_value") or one.dim_value != one.num_shards:
            raise ModelError(
                f"{where}: found {one.num_shards} shards of {one.dim_value} in front "
                "of others, wanted them divided wholly"
            )
    return math.prod(one.num_shards for one in simple)


def _groups(
    spec: onnx.ShardingSpecProto, devices: int, shards: int, where: str
) -> list[list[int]]:
    """The devices that have each shard."""
    groups = {entry.key: list(entry.value) for entry in spec.index_to_device_group_map}
    found = [groups.get(index, [index]) for index in spec.device]
    if len(found) != shards:
        raise ModelError(f"{where}: found devices for {len(found)} shards of {shards}")
    named = [device for group in found for device in group]
    if any(not 0 <= device < devices for device in named):
        raise ModelError(f"{where}: found devices {named}, wanted 0 to {devices - 1}")
    if sorted(named) != list(range(devices)):
        raise ModelError(
            f"{where}: found devices {named}, wanted all {devices}, each once"
        )
    return found


def digits_in(parts: Sequence[int], count: int) -> tuple[Digit, ...] | None:
    """
    The digits of a device's number that tell its part, the slowest first.

    ``parts[d]`` of `count` is what device d has; None if it is no such number.
    """
    if parts[0] != 0:
        return None
    left, found = list(parts), list[tuple[int, Digit]]()
    while (stride := next((d for d, part in enumerate(left) if part), 0)) > 0:
        weight = left[stride]
        size = next(
            (
                n
                for n in range(1, len(left) // stride)
                if left[n * stride] != n * weight
            ),
            len(left) // stride,
        )
        if size == 1:
            return None
        left = [part - weight * (d // stride % size) for d, part in enumerate(left)]
        found.append((weight, (stride, size)))
    found.sort(reverse=True)
    behind = count
    for weight, (_, size) in found:
        behind //= size
        if behind != weight:
            return None
    return tuple(digit for _, digit in found) if behind == 1 or count == 1 else None


# --- the mesh ---


def _mesh(devices: int, said: Sequence[_Said], named: str) -> Mesh:
    """The grid of the devices; with the axes of our own export if they still fit."""
    cuts = {1, devices}
    for one in said:
        for stride, size in (digit for digits in one.digits for digit in digits):
            cuts |= {stride, stride * size}
    ordered = sorted(cuts, reverse=True)
    for slower, faster in pairwise(ordered):
        if slower % faster:
            raise ModelError(
                f"found shards along every {faster} and every {slower} of {devices} "
                "devices, wanted them along the axes of one grid"
            )
    ours = _read_axes(named)
    if math.prod(size for _, size in ours) == devices and cuts <= set(_strides(ours)):
        return Mesh(ours)
    sizes = [a // b for a, b in pairwise(ordered)] or [1]
    return Mesh(tuple((f"x{n}", size) for n, size in enumerate(sizes)))


def _read_axes(text: str) -> tuple[tuple[str, int], ...]:
    """``x=2,y=4``; nothing for a text that is not so."""
    found: list[tuple[str, int]] = []
    for entry in text.split(","):
        name, _, size = entry.partition("=")
        if not name or not (size.isascii() and size.isdigit()) or len(size) > 4:
            return ()
        found.append((name, int(size)))
    names = {name for name, _ in found}
    return tuple(found) if len(names) == len(found) else ()


def _strides(axes: Sequence[tuple[str, int]]) -> Iterator[int]:
    """After how many devices each axis comes to its next place, and the whole."""
    stride = 1
    yield stride
    for _, size in reversed(axes):
        stride *= size
        yield stride


def _axes(digits: Sequence[Digit], mesh: Mesh) -> tuple[str, ...]:
    """The axes of `mesh` that make up `digits`."""
    strides = list(_strides(mesh.axes))[::-1]
    named = [
        (strides[place + 1], name)
        for place, (name, size) in enumerate(mesh.axes)
        if size > 1
    ]
    return tuple(
        name
        for stride, size in digits
        for at, name in named
        if stride <= at < stride * size
    )

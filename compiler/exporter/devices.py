"""
Meshes and shardings as ONNX's multi-device annotations; what `importer.devices` reads.

Every node says of each tensor that it takes or gives how it lies, as far as the IR
knows: what it takes has no other place in ONNX if it is an input or a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import onnx
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects.onnx.proto import type_to_proto
from ...dialects.onnx.text import attr_text
from ...dialects.onnx.types import is_none
from ...dialects.sdy import Mesh, Sharding, ShardingAttr, sharding_of
from ...dialects.sdy.devices import AXES, CONFIGURATIONS, OPERANDS, STAGE
from ...dialects.sdy.shardings import part
from ...passes.sharding.layouts import mesh_in

IR_VERSION = 11
"""The first whose files may say anything of devices."""

DEFAULT = "mesh"
"""The configuration of stages that are of no mesh."""


class DeviceWriter:
    """Writes what the ops of a module say of devices; nothing if they say nothing."""

    def __init__(self, module: ModuleOp):
        held = mesh_in(module)
        self.symbol, self.mesh = held or ("", Mesh(()))
        self.name = attr_text(StringAttr(self.symbol)) if held else DEFAULT
        self.used = held is not None
        self._noted = module.attributes.get(CONFIGURATIONS)

    def annotate(
        self, node: onnx.NodeProto, op: Operation, names: Mapping[SSAValue, str]
    ) -> None:
        """Say in `node` what `op` says; ValueError for what ONNX has no words for."""
        stage = op.attributes.get(STAGE)
        specs = [
            self._spec(sharding, value, names[value])
            for value, sharding in self._shardings(op).items()
        ]
        if not specs and stage is None:
            return
        self.used = True
        made = node.device_configurations.add(configuration_id=self.name)
        made.sharding_spec.extend(specs)
        if isinstance(stage, IntegerAttr):
            made.pipeline_stage = stage.value.data

    def describe(self, proto: onnx.ModelProto) -> None:
        """Add the configurations to the model, and the names of the mesh's axes."""
        names: set[str] = set()
        for entry in cast(
            ArrayAttr[ArrayAttr[Attribute]], self._noted or ArrayAttr([])
        ):
            name, count, devices = entry
            assert isinstance(name, StringAttr), "as the importer writes it"
            assert isinstance(count, IntegerAttr), "as the importer writes it"
            listed = cast(ArrayAttr[StringAttr], devices)
            names.add(attr_text(name))
            proto.configuration.add(
                name=attr_text(name),
                num_devices=count.value.data,
                device=[attr_text(device) for device in listed],
            )
        if self.used and self.name not in names:
            proto.configuration.add(name=self.name, num_devices=self.mesh.devices)
        if self.mesh.axes:
            axes = ",".join(f"{name}={size}" for name, size in self.mesh.axes)
            proto.metadata_props.add(key=AXES, value=axes)
        if proto.configuration:
            proto.ir_version = max(proto.ir_version, IR_VERSION)

    def _shardings(self, op: Operation) -> dict[SSAValue, Sharding]:
        """How each tensor of `op` lies where it takes or gives it."""
        if not self.mesh.axes:
            return {}
        held = op.attributes.get(OPERANDS, ArrayAttr([]))
        wanted = cast(ArrayAttr[Attribute], held).data
        found: dict[SSAValue, Sharding] = {}
        for place, value in enumerate((*op.operands, *op.results)):
            said = wanted[place] if place < len(wanted) else None
            noted = said.data if isinstance(said, ShardingAttr) else sharding_of(value)
            if noted is not None and not is_none(value.type):
                found[value] = noted
        return found

    def _spec(
        self, sharding: Sharding, value: SSAValue, name: str
    ) -> onnx.ShardingSpecProto:
        problem = self._problem(sharding)
        if problem is not None:
            raise ValueError(f"sharding of {name!r}: {problem}")
        spec = onnx.ShardingSpecProto(tensor_name=name)
        sizes = type_to_proto(value.type).tensor_type.shape.dim
        for axis, axes in enumerate(sharding.axes):
            if axes:
                dim = spec.sharded_dim.add(axis=axis).simple_sharding.add(
                    num_shards=self.mesh.size(axes)
                )
                if sizes[axis].HasField("dim_value"):
                    dim.dim_value = sizes[axis].dim_value
                elif sizes[axis].HasField("dim_param"):
                    dim.dim_param = sizes[axis].dim_param
        for number, group in enumerate(_groups(sharding.axes, self.mesh), start=1):
            if len(group) == 1:
                spec.device.append(group[0])
            else:
                spec.device.append(-number)
                spec.index_to_device_group_map.add(key=-number, value=group)
        return spec

    def _problem(self, sharding: Sharding) -> str | None:
        if sharding.mesh != self.symbol:
            return f"found mesh @{sharding.mesh}, wanted @{self.symbol}"
        if sharding.unreduced:
            return f"found sums to be made along {list(sharding.unreduced)}"
        if any(dim.open for dim in sharding.dims):
            return "found an open dimension: propagate-shardings closes it"
        return sharding.problem(self.mesh, None)


def _groups(layout: Sequence[Sequence[str]], mesh: Mesh) -> list[list[int]]:
    """The devices that have each shard, the last dimension's shards fastest."""
    found: dict[tuple[int, ...], list[int]] = {}
    for device, place in enumerate(mesh.places()):
        shard = tuple(part(place, axes, mesh.sizes) for axes in layout)
        found.setdefault(shard, []).append(device)
    return [found[shard] for shard in sorted(found)]

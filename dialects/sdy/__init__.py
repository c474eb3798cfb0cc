"""
Tensors divided over a mesh of devices, after Shardy (openxla.org/shardy).

`shardings` says how a tensor lies on a mesh, `notes` where that stands, `ops` are
per-device programs and the collectives in them.
"""

from xdsl.ir import Dialect

from .notes import NOTE, annotate, carry, sharding_of
from .ops import (
    AllGatherOp,
    AllReduceOp,
    AllSliceOp,
    AllToAllOp,
    CollectiveOp,
    ManualComputationOp,
    MeshOp,
    ReduceScatterOp,
    ReturnOp,
    is_per_device,
    local_type,
    mesh_of,
)
from .shardings import (
    AxisListsAttr,
    DimSharding,
    Mesh,
    MeshAttr,
    Sharding,
    ShardingAttr,
    ShardingPerValueAttr,
)

__all__ = [
    "NOTE",
    "AllGatherOp",
    "AllReduceOp",
    "AllSliceOp",
    "AllToAllOp",
    "AxisListsAttr",
    "CollectiveOp",
    "DimSharding",
    "ManualComputationOp",
    "Mesh",
    "MeshAttr",
    "MeshOp",
    "ReduceScatterOp",
    "ReturnOp",
    "Sdy",
    "Sharding",
    "ShardingAttr",
    "ShardingPerValueAttr",
    "annotate",
    "carry",
    "is_per_device",
    "local_type",
    "mesh_of",
    "sharding_of",
]

Sdy = Dialect(
    "sdy",
    [
        AllGatherOp,
        AllReduceOp,
        AllSliceOp,
        AllToAllOp,
        ManualComputationOp,
        MeshOp,
        ReduceScatterOp,
        ReturnOp,
    ],
    [AxisListsAttr, MeshAttr, ShardingAttr, ShardingPerValueAttr],
)

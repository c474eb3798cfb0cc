"""
Divide the batch over devices: data parallelism.

    func @main(%x: tensor<8x16xf32>)   ->   %x sharded [{"data"}, {}]
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ...dialects.onnx.types import static_shape
from ...dialects.sdy import Sharding, annotate, sharding_of
from ..patterns import Declined, journal_of
from .layouts import add_axis, main_of


@dataclass(frozen=True)
class ShardDataPass(ModulePass):
    """
    Divide the first dimension of the inputs, where it is the batch, by `size`.

    The batch is the first dimension of the first input; inputs whose first dimension is
    another size stay whole.
    """

    name = "shard-data"

    size: int = 2
    axis: str = "data"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        symbol, _ = add_axis(op, self.axis, self.size)
        main = main_of(op)
        shapes = [static_shape(argument.type) for argument in main.body.block.args]
        batch = next((shape[0] for shape in shapes if shape), None)
        if batch is None or batch % self.size:
            found = "no dimension" if batch is None else f"a batch of {batch}"
            why = Declined(f"found {found}, wanted a multiple of {self.size}")
            journal_of(ctx).declined(self.name, main, why)
            return
        for argument, shape in zip(main.body.block.args, shapes, strict=True):
            if shape and shape[0] == batch and sharding_of(argument) is None:
                axes = ((self.axis,), *((),) * (len(shape) - 1))
                annotate(argument, Sharding.of(symbol, axes))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ShardDataPass, ...]:
        return tuple(cls(size) for size in (2, 4, 8))

"""
Set weights of products to 0 in a pattern.

    MatMul(x, w)  ->  MatMul(x, w')

The product stays as it is: `encode-sparse` stores the weight without its zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from ..quantize.products import ROOTS, Selection
from .importance import POWER, Judged, check_power, importance
from .patterns import Pattern, mask_of, pattern_of
from .solver import Solver
from .weights import Weighted, weighted


@dataclass(frozen=True)
class Chosen:
    """A product to prune, and the second moments of its inputs."""

    product: Weighted
    second: Array | None


@dataclass(frozen=True)
class PrunedProduct(OnnxPattern[Chosen]):
    """Prunes the weight of a product."""

    selection: Selection
    judged: Judged
    pattern: Pattern
    power: float
    damping: float

    name = "pruned-product"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Chosen | Declined:
        product = weighted(op, self.store, self.selection)
        if isinstance(product, Declined):
            return product
        reason = self.pattern.reason(product.shape)
        if reason is not None:
            return Declined(reason)
        second = self.judged.moments(product)
        if isinstance(second, Declined):
            return second
        return Chosen(product, second)

    def rewrite(
        self, op: OnnxOp, found: Chosen, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        product, second = found.product, found.second
        if second is not None and self.judged.method == "sparsegpt":
            solver = Solver(self.pattern, self.damping)
            solved = solver.solve(product.source(), second)
            return [product.again(lambda: solved, True, builder)]

        def pruned() -> Array:
            return masked(product.source(), second, self.pattern, self.power)

        return [product.again(pruned, False, builder)]


def masked(
    weight: Array, second: Array | None, pattern: Pattern, power: float
) -> Array:
    """`weight` with zeros where it matters least; without moments, by magnitude."""
    by_output = second is not None
    keep = mask_of(importance(weight, second, power), pattern, by_output)
    return np.where(keep, weight, weight.dtype.type(0))


@dataclass(frozen=True)
class PrunePass(ModulePass):
    """
    Set the part `sparsity` of the weights of products to 0.

    The `method` is ``magnitude``; ``wanda``, which looks at the inputs too; or
    ``sparsegpt``, which adjusts the weights that stay. Both take a `calibration` that
    ``sardonyx sparsify`` wrote of the model as it is here. Wanda's norm of the inputs
    counts to the `power`; as published it is 1. The `pattern` is ``unstructured``;
    ``N:M``, of M inputs each output keeps N, or ``N:M-shared``, all keep the same;
    ``block``, `run` inputs by `group` outputs; or ``group-shared``, `group` outputs
    keep the same inputs. `only` and `exclude` name ONNX nodes.
    """

    name = "prune"

    method: str = "magnitude"
    pattern: str = "unstructured"
    sparsity: float = 0.5
    group: int = 128
    run: int = 16
    calibration: str = ""
    power: float = POWER
    damping: float = 0.01
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def needs_calibration(self) -> bool:
        """Whether the method looks at what calibration measured."""
        return self.method != "magnitude"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        wanted = pattern_of(
            self.name, self.pattern, self.sparsity, self.group, self.run
        )
        check_power(self.name, self.power)
        judged = Judged.of(self.name, self.method, self.calibration, op)
        store = store_of(ctx)
        if store is None:
            return
        selection = Selection(self.only, self.exclude)
        journal, power = journal_of(ctx), self.power
        pattern = PrunedProduct(
            store, journal, selection, judged, wanted, power, self.damping
        )
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(cls, ctx: Context, module_op: ModuleOp) -> tuple[PrunePass, ...]:
        return tuple(
            cls(pattern=pattern, sparsity=part)
            for pattern in ("group-shared", "block")
            for part in (0.3, 0.5, 0.75)
        )

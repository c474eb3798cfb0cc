"""
Move what is hard to quantize from activations into weights.

    y = Norm(h, gain) W  ->  y = Norm(h, gain / s) (s W)
    s = max |x| ^ strength / max |W| ^ (1 - strength)      per channel

All products that take the value share `s` (Xiao et al., "SmoothQuant", 2022,
arXiv:2211.10438). What gives the value takes ``1 / s`` in: a normalization's gain, or
the columns of a product; elsewhere a Mul is written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ...dialects.onnx import WeightStore, store_of
from ...dialects.onnx.types import Array
from ..patterns import Declined, journal_of
from .calibration import required
from .maps import Diagonal, Edge, edges, insert, takes_in
from .names import value_names
from .products import Selection
from .statistics import Statistics

LEAST = 1e-5
"""No factor is smaller."""


def factors(activation: Array, weight: Array, strength: float) -> Array:
    """
    The `s` of channels whose largest magnitudes are given; 1 where one is 0.

    In float64, from `LEAST` on.
    """
    x, w = activation.astype(np.float64), weight.astype(np.float64)
    used = (x > 0) & (w > 0)
    x, w = np.where(used, x, 1), np.where(used, w, 1)
    found = np.maximum(x**strength / w ** (1 - strength), LEAST)
    return np.where(used, found, 1)


@dataclass(frozen=True)
class SmoothQuantPass(ModulePass):
    """
    Scale channels so that activations are as easy to quantize as weights (SmoothQuant).

    `calibration` is a file that ``sardonyx quantize`` wrote of the model as it is here;
    `strength` is how much of the spread goes into the weights. Without `written`, only
    values are smoothed whose producer takes the factors in. Calibrate again afterwards.
    """

    name = "smooth-quant"

    calibration: str = ""
    strength: float = 0.5
    written: bool = True
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        table, names = required(self.calibration, self.name), value_names(op)
        journal = journal_of(ctx)
        selection = Selection(self.only, self.exclude)
        called = [names.get(e.x, "") for e in edges(list(op.walk()), store, selection)]
        for place, name in enumerate(called):
            # A product that took a map in is another op than before.
            edge = edges(list(op.walk()), store, selection)[place]
            found = self.decide(edge, table.values.get(name), store)
            if isinstance(found, Declined):
                journal.declined("commuting-map", edge.products[0].op, found)
            elif journal.permits():
                insert(edge, found, store, journal)

    def decide(
        self, edge: Edge, known: Statistics | None, store: WeightStore
    ) -> Diagonal | Declined:
        """The map of an edge of which `known` was measured, or why there is none."""
        if known is None:
            return Declined("calibration did not measure its activation")
        if known.channels.shape != (edge.depth,):
            return Declined("calibration measured another number of channels")
        rows = [np.abs(product.source()).max(1) for product in edge.products]
        by = Diagonal(1 / factors(known.channels, np.max(rows, 0), self.strength))
        reason = takes_in(edge, by, store)
        return by if self.written or reason is None else reason

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SmoothQuantPass, ...]:
        # Without a calibration there is nothing to choose.
        return ()

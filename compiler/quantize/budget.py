"""
Which layers may be compressed: the most sensitive are left out until a budget holds.

Each layer is quantized, or pruned, alone and its drop measured; then the fewest of the
most sensitive ones are compressed less or, where that is not enough, stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...dialects.errors import SardonyxError
from ...dialects.onnx.provenance import node_names
from ...dialects.onnx.types import Array
from ...passes.quantize.products import products_in
from ..compression.plans import Applied
from ..driver import Executable, call_by_name, lower
from ..model import Model
from .calibrate import Told, unheard
from .data import Batches
from .metrics import LABELS, METRICS


class BudgetError(SardonyxError):
    """A budget that no choice of layers keeps."""

    exit_code = 1


@dataclass(frozen=True)
class Chosen:
    """A compressed model within its budget, and what that took."""

    applied: Applied
    drop: float
    """In percent, by the metric."""
    exclude: tuple[str, ...] = ()
    widen: tuple[str, ...] = ()
    sensitivity: tuple[tuple[str, float], ...] = ()
    """The drop that each layer alone causes, the largest first; empty if not asked."""


@dataclass(frozen=True)
class Judge:
    """Measures how much worse a model is than `model` on the same data."""

    model: Model
    batches: Batches
    metric: str
    wanted: tuple[tuple[Array, ...], ...]

    @classmethod
    def of(cls, model: Model, batches: Batches, metric: str) -> Judge:
        """The judge for which `model` is right."""
        if metric not in METRICS:
            raise SardonyxError(f"found metric {metric!r}, wanted {', '.join(METRICS)}")
        return cls(model, batches, metric, _outputs(model, batches))

    def drop(self, model: Model) -> float:
        """How much worse `model` is, in percent: the mean over batches."""
        measure = METRICS[self.metric]
        drops = [
            measure(found, wanted, batch.get(LABELS))
            for found, wanted, batch in zip(
                _outputs(model, self.batches), self.wanted, self.batches, strict=True
            )
        ]
        return sum(drops) / len(drops)


def _outputs(model: Model, batches: Batches) -> tuple[tuple[Array, ...], ...]:
    copy = model.clone()
    executable = Executable(copy, "numpy", "", lower(copy, "numpy"))
    names = [spec.name for spec in executable.inputs]
    return tuple(
        call_by_name(executable, {name: batch[name] for name in names})
        for batch in batches
    )


Compress = Callable[[tuple[str, ...], tuple[str, ...], tuple[str, ...]], Applied]
"""Compresses ``only``, without ``exclude``, and ``widen`` less."""


def layer_names(model: Model) -> tuple[str, ...]:
    """The nodes of the products of `model`, each by its first name."""
    products = products_in(model.module, model.context.store)
    names = [node_names(p.op)[0] for p in products if node_names(p.op)]
    return tuple(dict.fromkeys(names))


def sensitivity(
    layers: Sequence[str], compress: Compress, judge: Judge, told: Told = unheard
) -> tuple[tuple[str, float], ...]:
    """The drop of each layer compressed alone, the largest first."""
    drops: list[tuple[str, float]] = []
    for layer in layers:
        drops.append((layer, judge.drop(compress((layer,), (), ()).model)))
        told(1)
    return tuple(sorted(drops, key=lambda pair: (-pair[1], pair[0])))


def within_budget(
    layers: Sequence[str],
    compress: Compress,
    judge: Judge,
    max_drop: float,
    widens: bool,
    told: Told = unheard,
) -> Chosen:
    """
    The compressed model whose drop is at most `max_drop` percent.

    With `widens`, layers are compressed less before any is left out. Raises BudgetError
    if not even the model as it was is within the budget.
    """
    whole = compress((), (), ())
    drop = judge.drop(whole.model)
    if drop <= max_drop:
        return Chosen(whole, drop)
    ranked = sensitivity(layers, compress, judge, told)
    order = [layer for layer, _ in ranked]
    if widens:
        found = _fewest(order, lambda some: compress((), (), some), judge, max_drop)
        if found is not None:
            applied, drop, count = found
            return Chosen(applied, drop, (), tuple(order[:count]), ranked)
    rest = tuple(order) if widens else ()

    def leave_out(some: tuple[str, ...]) -> Applied:
        return compress((), some, tuple(one for one in rest if one not in some))

    found = _fewest(order, leave_out, judge, max_drop)
    if found is None:
        raise BudgetError(
            f"found a drop over {max_drop} % with every layer as it was, wanted a "
            "larger --max-drop"
        )
    applied, drop, count = found
    out = tuple(order[:count])
    kept = tuple(one for one in rest if one not in out)
    return Chosen(applied, drop, out, kept, ranked)


def _fewest(
    order: Sequence[str],
    compress: Callable[[tuple[str, ...]], Applied],
    judge: Judge,
    max_drop: float,
) -> tuple[Applied, float, int] | None:
    """The shortest beginning of `order` that is enough, by halving; None if none is."""
    low, high = 0, len(order)
    best: tuple[Applied, float, int] | None = None
    applied = compress(tuple(order))
    if (drop := judge.drop(applied.model)) > max_drop:
        return None
    best = (applied, drop, high)
    while high - low > 1:
        middle = (low + high) // 2
        applied = compress(tuple(order[:middle]))
        if (drop := judge.drop(applied.model)) <= max_drop:
            best, high = (applied, drop, middle), middle
        else:
            low = middle
    return best

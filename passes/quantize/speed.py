"""
Whether a product in fewer bits is faster than in float32: an estimate, no measurement.

By the roofline of a target, with what a backend's program of the quantized form moves
besides:

    float32    max(flops / peak, bytes / bandwidth)
    quantized  max(flops / peak of what multiplies, bytes / bandwidth)
               + (bytes per element of x, w and y that rounding and scaling move)
                 / bandwidth

NumPy multiplies integers as floats (METHODS: int32 products are 59 times slower), so
that nothing is faster there; XLA multiplies int8 by themselves, which pays where the
weight is used by many rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx import Dim, OnnxOp, WeightStore
from ...dialects.onnx.integers import IntegerValues
from ..analysis.cost import op_cost
from ..analysis.storage import elements_of, evaluated
from ..analysis.targets import Target, read_target


@dataclass(frozen=True)
class Moved:
    """What a form of a product does besides multiplying, and by what it multiplies."""

    multiplies: str
    """The element type of its product."""
    x: float = 0.0
    weight: float = 0.0
    y: float = 0.0
    """Bytes moved for each element."""


FORMS: dict[str, dict[str, Moved]] = {
    "numpy": {
        "rounded": Moved("float32", x=24),
        "integers": Moved("float32", x=24, weight=5, y=12),
        "few bits": Moved("float32", weight=20),
        "table": Moved("float32", weight=60),
    },
    "jax": {
        "rounded": Moved("float32", x=12),
        "integers": Moved("int8", x=8, weight=3, y=8),
        "few bits": Moved("float32", weight=8),
        "table": Moved("float32", weight=30),
    },
}
"""
By backend and form.

Rounded: quantized and dequantized before a float product; integers: a product of int8;
few bits: a weight of groups (MatMulNBits); table: a weight of places in one. The bytes
are fitted to measured products from 24 x 384 x 1536 to 2048 x 768 x 3072.
"""


@dataclass(frozen=True)
class Speed:
    """Tells of products whether a form is slower on a backend."""

    form: str
    backend: str
    target: Target

    @staticmethod
    def of(form: str, backend: str, target: str) -> Speed | None:
        """
        For a pass's options; None if `backend` is empty: speed is not what it is for.

        Raises SardonyxError for an unknown backend or target.
        """
        if not backend:
            return None
        if backend not in FORMS:
            wanted = " or ".join(FORMS)
            raise SardonyxError(f"only-faster: found {backend!r}, wanted {wanted}")
        return Speed(form, backend, read_target(target))

    def reason(self, op: OnnxOp, store: WeightStore) -> str | None:
        """Why the form of product `op` is not worth it, or None if it is faster."""
        cost = op_cost(op, IntegerValues(store))
        x, weight = (_count(value) for value in op.operands[:2])
        y = _count(op.results[0])
        known = [_size(amount) for amount in (cost.flops, cost.bytes_read)]
        flops, read = known
        if flops is None or read is None or x is None or weight is None or y is None:
            return f"its time on {self.backend} is not known: its sizes are free"
        engine, moved = self.target.engines[0], FORMS[self.backend][self.form]
        # XLA has no fast convolution of integers, nor has NumPy.
        conv = op.name == "onnx.Conv"
        multiplies = "float32" if conv else moved.multiplies
        touched = read + 4 * y
        plain = engine.seconds(flops, touched)
        extra = moved.x * x + moved.weight * weight + moved.y * y
        made = engine.seconds(flops, touched, multiplies) + extra / engine.bandwidth
        if made < plain:
            return None
        return (
            f"it would be slower on {self.backend}: an estimated {_time(made)}, in "
            f"float32 {_time(plain)}"
        )


def _count(value: SSAValue) -> int | None:
    return _size(elements_of(value.type))


def _size(amount: Dim | None) -> int | None:
    return None if amount is None else evaluated(amount, {})


def _time(seconds: float) -> str:
    if seconds >= 1e-3:
        return f"{1e3 * seconds:.3g} ms"
    return f"{1e6 * seconds:.3g} us"

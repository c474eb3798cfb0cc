"""
Name the products of a value and its gate: Gelu, Swish, HardSwish, Mish.

    x * (1 + erf(x / sqrt(2))) / 2                          ->   Gelu(x)
    x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2   ->   Gelu(x) {tanh}
    x * sigmoid(a * x),   x / (1 + exp(-a * x))             ->   Swish(x) {alpha = a}
    x * clip(x + 3, 0, 6) / 6                               ->   HardSwish(x)
    x * tanh(log(1 + exp(x)))                               ->   Mish(x)

What stands within is compared as a polynomial of x, so any factoring does; a sigmoid
may be a tanh of half its argument, and the other way round.

Hendrycks and Gimpel 2016 (arXiv:1606.08415); Ramachandran et al. 2017
(arXiv:1710.05941); Howard et al. 2019 (arXiv:1905.02244); Misra 2019
(arXiv:1908.08681).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import BFloat16Type, Float16Type, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.attributes import AttributeValue
from ...dialects.onnx.types import element_of, shape_of
from ..facts import given, is_float, setting, uniform
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .matching import Factor, near, producer, product_of, same_shape
from .polynomials import Polynomial, is_about, polynomial

_TANH_ARGUMENT = {
    1: math.sqrt(2 / math.pi),
    3: math.sqrt(2 / math.pi) * 0.044715,
}
_GATES = ("Erf", "HardSigmoid", "Sigmoid", "Tanh", "Clip")


@dataclass(frozen=True)
class Activation:
    """The operator `name` of `x`, times `others`."""

    name: str
    x: SSAValue
    attributes: dict[str, AttributeValue] = field(
        default_factory=dict[str, AttributeValue]
    )
    others: tuple[SSAValue, ...] = ()
    ops: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class Gate:
    """``offset + slope * function(argument)``, with `power` 1 or -1."""

    offset: float
    slope: float
    function: OnnxOp
    power: float


def gate_of(factor: Factor, store: WeightStore) -> Gate | None:
    """The gate that a factor is, if its form is one's."""
    value, power = factor.value, factor.power
    if producer(value, *_GATES):
        assert isinstance(value.owner, OnnxOp), "the producer"
        return Gate(0, 1, value.owner, power)
    total = producer(value, "Add", "Sub")
    if total is None:
        return None
    for place in (0, 1):
        offset = uniform(total.operands[1 - place], store)
        signs = (1, -1) if total.name == "onnx.Sub" else (1, 1)
        inner = product_of(total.operands[place], store)
        only = inner.only()
        if offset is None or only is None:
            continue
        function = producer(only, *_GATES, "Exp")
        if function is not None:
            slope = signs[place] * inner.number
            return Gate(float(signs[1 - place] * offset), slope, function, power)
    return None


def activation_of(op: OnnxOp, store: WeightStore) -> Activation | Declined:
    """The activation that `op` ends, or why there is none."""
    found = _activation(op, store, shared=False)
    if isinstance(found, Activation):
        return found
    # A part of the gate's argument may be a part of the product, too.
    again = _activation(op, store, shared=True)
    whole = isinstance(again, Activation) and not again.others
    return again if whole else found


def _activation(op: OnnxOp, store: WeightStore, shared: bool) -> Activation | Declined:
    product = product_of(op.results[0], store, shared)
    for factor in product.factors:
        gate = gate_of(factor, store)
        if gate is None or abs(factor.power) != 1:
            continue
        rest = [f for f in product.factors if f is not factor]
        for x in rest:
            if x.power != 1 or not _reaches(gate.function, x.value):
                continue
            others = [f for f in rest if f is not x]
            if any(f.power != 1 for f in others) or len(others) > 1:
                return Declined("it is divided by more than its gate")
            named = _named(gate, x.value, product.number, store)
            if named is None:
                what = gate.function.name.removeprefix("onnx.")
                return Declined(
                    f"the argument or the scale of its {what} is that of no activation"
                )
            name, attributes = named
            ops = (*product.ops[:-1], gate.function)
            values = tuple(f.value for f in others)
            found = Activation(name, x.value, attributes, values, ops)
            return _fitting(op, found)
    return Declined("no factor is a gate of another", near=False)


def _reaches(function: OnnxOp, x: SSAValue) -> bool:
    """Whether `x` is among what `function` is computed from, a few ops behind."""
    seen: list[SSAValue] = list(function.operands[:1])
    for _ in range(8):
        if x in seen:
            return True
        owners = [v.owner for v in seen if isinstance(v.owner, OnnxOp)]
        seen = list(dict.fromkeys(v for op in owners for v in op.operands))[:16]
    return False


def _fitting(op: OnnxOp, found: Activation) -> Activation | Declined:
    if not is_float(found.x):
        return Declined("its elements are no floats")
    shape = shape_of(found.x.type)
    if not found.others and not same_shape(shape, shape_of(op.results[0].type)):
        return Declined("a constant in it stretches it")
    return found


Named = tuple[str, dict[str, AttributeValue]]


def tolerance_of(x: SSAValue) -> float:
    """How far a constant of the type of `x` may be from what was meant."""
    narrow = isinstance(element_of(x.type), Float16Type | BFloat16Type)
    return 4e-3 if narrow else 1e-5


def _named(gate: Gate, x: SSAValue, number: float, store: WeightStore) -> Named | None:
    tolerance = tolerance_of(x)
    offset, slope = number * gate.offset, number * gate.slope
    kind = gate.function.name.removeprefix("onnx.")
    if kind == "Clip":
        return _clipped(gate, x, slope, store)
    argument = gate.function.operands[0]
    inner = polynomial(argument, x, store)
    if kind == "Exp":
        return _of_exp(gate, number, inner)
    if gate.power != 1:
        return None
    if kind == "Tanh" and _is_softplus(argument, x, store):
        return ("Mish", {}) if _are(offset, slope, 0, 1) else None
    if kind == "HardSigmoid":
        parts = (setting(gate.function, "alpha"), setting(gate.function, "beta"))
        fits = inner == {1: 1.0} and _are(offset, slope, 0, 1)
        return ("HardSwish", {}) if fits and _are(*parts, 1 / 6, 0.5) else None
    return None if inner is None else _of_sigmoid(kind, offset, slope, inner, tolerance)


def _of_sigmoid(
    kind: str, offset: float, slope: float, inner: Polynomial, tolerance: float
) -> Named | None:
    """x times ``offset + slope * function(inner)``, function one with a step."""
    if kind == "Sigmoid":
        # sigmoid(2 u) is (1 + tanh(u)) / 2.
        if not _are(offset, slope, 0, 1):
            return None
        inner, offset, slope = {n: c / 2 for n, c in inner.items()}, 0.5, 0.5
        kind = "Tanh"
    if slope < 0:
        # Both functions are odd.
        slope, inner = -slope, {n: -c for n, c in inner.items()}
    if not _are(offset, slope, 0.5, 0.5):
        return None
    if kind == "Erf":
        root = {1: math.sqrt(0.5)}
        return ("Gelu", {}) if is_about(inner, root, tolerance) else None
    if is_about(inner, _TANH_ARGUMENT, tolerance):
        return "Gelu", {"approximate": "tanh"}
    return _swish(2 * inner[1]) if inner.keys() == {1} else None


def _of_exp(gate: Gate, number: float, inner: Polynomial | None) -> Named | None:
    fits = inner is not None and inner.keys() == {1} and gate.power == -1
    if not fits or not _are(gate.offset, gate.slope, 1, 1) or not near(number, 1):
        return None
    assert inner is not None, "it fits"
    return _swish(-inner[1])


def _swish(alpha: float) -> Named:
    return ("Swish", {} if alpha == 1 else {"alpha": alpha})


def _clipped(gate: Gate, x: SSAValue, slope: float, store: WeightStore) -> Named | None:
    clip = gate.function
    bounds = [uniform(v, store) if given(v) else None for v in clip.operands[1:]]
    low, high = (*bounds, None, None)[:2]
    inner = polynomial(clip.operands[0], x, store)
    if low != 0 or not high or inner is None or gate.offset or gate.power != 1:
        return None
    # Divided by its height, the step is from 0 to 1.
    scaled = {n: c / high for n, c in inner.items()}
    fits = is_about(scaled, {0: 0.5, 1: 1 / 6}, tolerance_of(x)) and near(
        slope * high, 1
    )
    return ("HardSwish", {}) if fits else None


def _is_softplus(value: SSAValue, x: SSAValue, store: WeightStore) -> bool:
    if op := producer(value, "Softplus"):
        return op.operands[0] == x
    if log := producer(value, "Log"):
        gate = gate_of(Factor(log.operands[0], 1), store)
        return (
            gate is not None
            and gate.function.name == "onnx.Exp"
            and gate.function.operands[0] == x
            and _are(gate.offset, gate.slope, 1, 1)
        )
    return False


def _are(a: float, b: float, wanted_a: float, wanted_b: float) -> bool:
    return all(
        near(found, wanted) or abs(found - wanted) < 1e-6
        for found, wanted in ((a, wanted_a), (b, wanted_b))
    )


@dataclass(frozen=True)
class NameActivation(OnnxPattern[Activation]):
    """Writes the product of a value and its gate as the operator that it is."""

    name = "gate-into-activation"
    roots = frozenset(["onnx.Mul", "onnx.Div"])

    def decide(self, op: OnnxOp) -> Activation | Declined:
        return activation_of(op, self.store)

    def covers(self, op: OnnxOp, found: Activation) -> Sequence[Operation]:
        return [*found.ops, op]

    def rewrite(
        self, op: OnnxOp, found: Activation, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        value = builder.value(f"onnx.{found.name}", found.x, **found.attributes)
        for other in found.others:
            value = builder.value("onnx.Mul", value, other)
        return [value]


@dataclass(frozen=True)
class GatedSwish(OnnxPattern[tuple[OnnxOp, SSAValue]]):
    """``Swish(gate) * x -> SwiGLU(gate, x)`` (Shazeer 2020, arXiv:2002.05202)."""

    name = "swish-into-swiglu"
    roots = frozenset(["onnx.Mul"])

    def decide(self, op: OnnxOp) -> tuple[OnnxOp, SSAValue] | Declined:
        for place in (0, 1):
            swish = producer(op.operands[place], "Swish")
            if swish is None:
                continue
            other = op.operands[1 - place]
            if not same_shape(shape_of(swish.operands[0].type), shape_of(other.type)):
                return Declined("gate and value differ in shape")
            if not swish.results[0].has_one_use():
                return Declined("the gate has other uses")
            return swish, other
        return Declined("no factor is a Swish", near=False)

    def covers(self, op: OnnxOp, found: tuple[OnnxOp, SSAValue]) -> Sequence[Operation]:
        return [found[0], op]

    def rewrite(
        self, op: OnnxOp, found: tuple[OnnxOp, SSAValue], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        swish, other = found
        operands = [swish.operands[0], other]
        made = builder.create("onnx.SwiGLU", operands, dict(swish.properties))
        return [made.results[0]]


@dataclass(frozen=True)
class FuseGeluPass(ModulePass):
    """
    Name the products of a value and its gate: Gelu, Swish, HardSwish, Mish.

    With `swiglu`, Swish times a value becomes SwiGLU, an operator of opset 28 that ONNX
    Runtime does not have.
    """

    name = "fuse-gelu"

    swiglu: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(op, NameActivation(store, journal))
        if self.swiglu:
            rewrite_module(op, GatedSwish(store, journal))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseGeluPass, ...]:
        return (cls(), cls(swiglu=True))

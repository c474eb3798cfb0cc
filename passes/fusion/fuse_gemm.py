"""
Write matrix products with a bias, a transpose or a scale as one Gemm.

    Add(MatMul(a, b), c)              ->   Gemm(a, b, c)            of matrices
    Gemm(Transpose(a), b, c)          ->   Gemm(a, b, c) {transA}
    Add(Gemm(a, b), c)                ->   Gemm(a, b, c)
    Mul(Gemm(a, b, c), s)             ->   Gemm(a, b, c) {alpha, beta}   of one number s
    Reshape(Gemm(Reshape(x), w, c))   ->   Add(MatMul(x, w), c)   if only rows are split
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.types import shape_of
from ..facts import (
    constant_shape,
    derived,
    given,
    is_float,
    name_of,
    rank_of,
    setting,
    uniform,
)
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module


@dataclass(frozen=True)
class Biased:
    """A product and the bias that is added to it."""

    product: OnnxOp
    bias: SSAValue


@dataclass(frozen=True)
class BiasIntoGemm(OnnxPattern[Biased]):
    """Makes the addition to a product of matrices its bias."""

    name = "bias-into-gemm"
    roots = frozenset(["onnx.Add"])

    def decide(self, op: OnnxOp) -> Biased | Declined:
        for place in (0, 1):
            product, bias = op.operands[place].owner, op.operands[1 - place]
            if not isinstance(product, OnnxOp) or product.name not in _PRODUCTS:
                continue
            reason = _unfit(op, product, bias)
            return Biased(product, bias) if reason is None else Declined(reason)
        return Declined("nothing is added to a product of matrices", near=False)

    def covers(self, op: OnnxOp, found: Biased) -> list[Operation]:
        return [found.product, op]

    def rewrite(
        self, op: OnnxOp, found: Biased, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        a, b = found.product.operands[:2]
        properties = {
            name: value
            for name, value in found.product.properties.items()
            if name != "beta"
        }
        kinds = [op.results[0].type]
        made = builder.create("onnx.Gemm", [a, b, found.bias], properties, types=kinds)
        return [made.results[0]]


_PRODUCTS = ("onnx.Gemm", "onnx.MatMul")


def _unfit(op: OnnxOp, product: OnnxOp, bias: SSAValue) -> str | None:
    result = product.results[0]
    if not is_float(result):
        return "Gemm is for floats here"
    if not result.has_one_use():
        return "the product has other uses"
    if rank_of(product.operands[0]) != 2 or rank_of(product.operands[1]) != 2:
        return "the operands are not matrices"
    if product.name == "onnx.Gemm" and given(product.operands[2]):
        return "the Gemm has a bias"
    if result.type != op.results[0].type:
        return "the addition broadcasts the product, or its type says more"
    return None if _fits(bias, result) else "the bias may not broadcast to the product"


def _fits(bias: SSAValue, result: SSAValue) -> bool:
    """Whether `bias` broadcasts to `result`, in one direction."""
    small, whole = shape_of(bias.type), shape_of(result.type)
    if small is None or whole is None or len(small) > len(whole):
        return False
    pairs = zip(reversed(small), reversed(whole), strict=False)
    return all(a == Dim.of(1) or (a is not None and a == b) for a, b in pairs)


@dataclass(frozen=True)
class TransposeIntoGemm(OnnxPattern[int]):
    """Has Gemm read an operand transposed."""

    name = "transpose-into-gemm"
    roots = frozenset(["onnx.Gemm"])

    def decide(self, op: OnnxOp) -> int | Declined:
        for place in (0, 1):
            if name_of(op.operands[place]) == "onnx.Transpose":
                return place
        return Declined("no operand is transposed", near=False)

    def covers(self, op: OnnxOp, found: int) -> list[Operation]:
        transpose = op.operands[found].owner
        assert isinstance(transpose, Operation), "checked by `decide`"
        return [transpose, op]

    def rewrite(
        self, op: OnnxOp, found: int, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        transpose = op.operands[found].owner
        assert isinstance(transpose, Operation), "checked by `decide`"
        operands = list(op.operands)
        operands[found] = transpose.operands[0]
        flag = ("transA", "transB")[found]
        properties = dict(op.properties)
        turned = int(not setting(op, flag))
        properties[flag] = attribute(op.schema(), flag, turned)
        kinds = [op.results[0].type]
        return [builder.create(op.name, operands, properties, types=kinds).results[0]]


@dataclass(frozen=True)
class ScaleIntoGemm(OnnxPattern[tuple[OnnxOp, float]]):
    """Makes a number that multiplies a Gemm its alpha and beta."""

    name = "scale-into-gemm"
    roots = frozenset(["onnx.Mul"])

    def decide(self, op: OnnxOp) -> tuple[OnnxOp, float] | Declined:
        for place in (0, 1):
            product = op.operands[place].owner
            if not isinstance(product, OnnxOp) or product.name != "onnx.Gemm":
                continue
            number = uniform(op.operands[1 - place], self.store)
            if number is None:
                return Declined("the scale is not one number")
            if not product.results[0].has_one_use():
                return Declined("the product has other uses")
            if product.results[0].type != op.results[0].type:
                return Declined("the scale broadcasts the product")
            factors = [setting(product, name) for name in ("alpha", "beta")]
            if not all(_is_float32(factor * number) for factor in factors):
                return Declined("alpha and beta are float32, which the scale is not")
            return product, float(number)
        return Declined("it does not scale a Gemm", near=False)

    def covers(self, op: OnnxOp, found: tuple[OnnxOp, float]) -> list[Operation]:
        return [found[0], op]

    def rewrite(
        self, op: OnnxOp, found: tuple[OnnxOp, float], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        product, number = found
        properties: dict[str, Attribute] = dict(product.properties)
        for name in ("alpha", "beta"):
            value = setting(product, name) * number
            properties[name] = attribute(product.schema(), name, value)
        kinds = [op.results[0].type]
        operands = list(product.operands)
        made = builder.create(product.name, operands, properties, types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class GemmOfRows(OnnxPattern[OnnxOp]):
    """Multiplies a stack of matrices without making it one and again a stack."""

    name = "gemm-of-rows"
    roots = frozenset(["onnx.Reshape"])

    def decide(self, op: OnnxOp) -> OnnxOp | Declined:
        gemm = op.operands[0].owner
        if not isinstance(gemm, OnnxOp) or gemm.name != "onnx.Gemm":
            return Declined("it does not reshape a Gemm", near=False)
        rows = gemm.operands[0].owner
        if not isinstance(rows, OnnxOp) or rows.name not in ROWS:
            return Declined("the Gemm's rows are not reshaped", near=False)
        if not (gemm.results[0].has_one_use() and rows.results[0].has_one_use()):
            return Declined("the matrix has other uses")
        factors = [setting(gemm, name) for name in ("alpha", "beta")]
        if setting(gemm, "transA") or factors != [1, 1]:
            return Declined("the Gemm scales or transposes its rows")
        if (
            setting(gemm, "transB")
            and constant_of(gemm.operands[1], self.store) is None
        ):
            return Declined("the transposed weight is not constant")
        if not _only_rows(rows, gemm, op):
            return Declined("more than the rows is split")
        bias = gemm.operands[2]
        if given(bias) and rank_of(bias) not in (0, 1):
            return Declined("the bias may differ from row to row")
        return gemm

    def covers(self, op: OnnxOp, found: OnnxOp) -> list[Operation]:
        rows = found.operands[0].owner
        assert isinstance(rows, Operation), "checked by `decide`"
        return [rows, found, op]

    def rewrite(
        self, op: OnnxOp, found: OnnxOp, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        rows, weight, bias = found.operands
        assert isinstance(rows.owner, Operation), "checked by `decide`"
        source = rows.owner.operands[0]
        if setting(found, "transB"):
            weight = _transposed(weight, builder)
        kinds = [op.results[0].type]
        product = builder.create("onnx.MatMul", [source, weight], {}, types=kinds)
        if not given(bias):
            return [product.results[0]]
        operands = [product.results[0], bias]
        return [builder.create("onnx.Add", operands, {}, types=kinds).results[0]]


ROWS = ("onnx.Flatten", "onnx.Reshape")


def _only_rows(rows: OnnxOp, gemm: OnnxOp, stacked: OnnxOp) -> bool:
    """Whether the rows are stacked in the end as they were in the beginning."""
    before, after = shape_of(rows.operands[0].type), shape_of(stacked.results[0].type)
    inner, outer = shape_of(rows.results[0].type), shape_of(gemm.results[0].type)
    if before is None or after is None or inner is None or outer is None:
        return False
    if len(before) != len(after) or len(before) < 3 or None in before[:-1]:
        return False
    same = before[-1] is not None and before[-1] == inner[-1]
    return same and after[-1] == outer[-1] and before[:-1] == after[:-1]


def _transposed(weight: SSAValue, builder: OnnxBuilder) -> SSAValue:
    shape = constant_shape(weight)[::-1]
    made = derived(weight, "transposed", shape, lambda array: array.T, builder)
    made.name_hint = weight.name_hint
    return made


def _is_float32(number: float) -> bool:
    # Beyond the largest float32 numpy warns, and gives an infinity.
    return abs(number) < 1e38 and float(np.float32(number)) == number


@dataclass(frozen=True)
class FuseGemmPass(ModulePass):
    """Write products of matrices with what is done to them as Gemm."""

    name = "fuse-gemm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            BiasIntoGemm(store, journal),
            TransposeIntoGemm(store, journal),
            ScaleIntoGemm(store, journal),
            GemmOfRows(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseGemmPass, ...]:
        return (cls(),)

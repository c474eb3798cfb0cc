"""
Regions of ONNX ops that a backend runs as one kernel.

    %y = fusion.region(%x, %w) ({
    ^bb0(%0: tensor<1x3x8x8xf32>, %1: tensor<4x3x3x3xf32>):
      %2 = onnx.none : none
      %3 = onnx.Conv(%0, %1, %2) : …
      %4 = onnx.Relu(%3) : …
      fusion.yield(%4) : (tensor<1x4x6x6xf32>) -> ()
    }) : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32>

A region means what its ops mean; they keep the names of the nodes that they came from,
and it has all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, LocationAttr
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import IsolatedFromAbove, IsTerminator, Pure, is_side_effect_free
from xdsl.utils.exceptions import VerifyException

from .onnx.base import NoneOp, OnnxOp
from .onnx.types import is_none, static_shape

_PRODUCTS = """
    fourier.Conv nhwc.Conv onnx.Conv onnx.ConvTranspose onnx.Gemm onnx.MatMul
    sparse.BitmapMatMul sparse.MatMul
"""
PRODUCTS = frozenset(_PRODUCTS.split())
"""Operators whose result is an array of its own: what follows may be written there."""

_ELEMENTWISE = """
    Abs Add BatchNormalization Ceil Celu Clip Cos Div Elu Erf Exp Floor Gelu HardSigmoid
    HardSwish LeakyRelu Log Max Mean Min Mish Mul Neg PRelu Pow Reciprocal Relu Round
    Selu Shrink Sigmoid Sign Sin Softplus Softsign Sqrt Sub Sum Swish Tanh
    ThresholdedRelu Where
"""
ELEMENTWISE = frozenset(
    ["nhwc.BatchNormalization", *(f"onnx.{name}" for name in _ELEMENTWISE.split())]
)
"""
Operators of which each element of the result needs one element of each operand.

BatchNormalization is one as long as its statistics are given.
"""

VIEWS = frozenset(
    f"onnx.{name}"
    for name in ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
)
"""Operators that give an array another shape: a product reads it so at no cost."""

EITHER_IN_PLACE = frozenset(
    f"onnx.{name}" for name in ("Add", "Div", "Max", "Min", "Mul", "Sub", "Sum")
)
"""Elementwise operators that may be written over the second of two operands, too."""

IMAGE_CONV = "nhwc.Conv"
"""The product that a region by rows is a chain of: its image is ``[n, h, w, c]``."""

_FOLDED = frozenset(f"onnx.{name}" for name in ("Max", "Mean", "Min", "Sum"))

LEAVES = frozenset(["onnx.Constant", "onnx.none"])
"""What a region holds besides the ops that compute."""


ROWS = "fusion.rows"
"""How many rows of its result a region of images computes at a time."""


def gives_operand(op: Operation) -> bool:
    """Whether what an elementwise op gives may be its operand, not new memory."""
    if op.name == "onnx.Clip":
        return all(is_none(value.type) for value in op.operands[1:])
    return op.name in _FOLDED and len(op.operands) == 1


def unfit_by_rows(op: OnnxOp, image: SSAValue) -> str | None:
    """
    Why an op cannot be written over its operand `image`, ``[n, h, w, c]``, by rows.

    None if it can: it is elementwise, and which part of its other operands some rows
    of the image need is known.
    """
    # The channels of ONNX's BatchNormalization are the rows of such an image.
    if op.name not in ELEMENTWISE or op.name == "onnx.BatchNormalization":
        return f"{op.op_type()} is not elementwise"
    for other in op.operands:
        if other is image or is_none(other.type):
            continue
        shape = static_shape(other.type)
        if shape is None:
            return "the sizes of an operand are not known"
        if len(shape) > 4 or (len(shape) == 3 and shape[0] != 1):
            return f"the rows of an operand {list(shape)} are not its second axis"
    either = op.name in EITHER_IN_PLACE and len(op.operands) == 2
    first = op.operands[0] is image
    if not (first or either) or op.results[0].type != image.type:
        return f"{op.op_type()} cannot be written over its result"
    return None


def blocks_outside_regions(module: Operation) -> list[Block]:
    """The blocks in `module` whose ops are in no region yet."""
    return [
        block
        for op in module.walk()
        if not isinstance(op, RegionOp)
        for region in op.regions
        for block in region.blocks
    ]


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a region with its results: ``fusion.yield(%a) : (...) -> ()``."""

    name = "fusion.yield"
    arguments = var_operand_def()
    traits = traits_def(IsTerminator(), Pure())
    assembly_format = (
        "`(` $arguments `)` attr-dict `:` `(` type($arguments) `)` `->` `(` `)`"
    )

    def __init__(self, *operands: SSAValue) -> None:
        super().__init__(operands=[operands])


@irdl_op_definition
class RegionOp(IRDLOperation):
    """
    ONNX ops that run as one kernel: its operands are the block's arguments.

    They are pure, hold no subgraphs, and see no value from around the region.
    """

    name = "fusion.region"
    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")
    traits = traits_def(Pure(), IsolatedFromAbove())

    def __init__(
        self,
        operands: Sequence[SSAValue],
        body: Block,
        location: LocationAttr | None = None,
    ) -> None:
        """The region of a block that ends with `fusion.yield`."""
        last = body.last_op
        kinds = last.operand_types if isinstance(last, YieldOp) else ()
        super().__init__(
            operands=[operands], result_types=[[*kinds]], regions=[Region(body)]
        )
        if location is not None:
            self.location = location

    @property
    def block(self) -> Block:
        """The body."""
        return self.body.block

    @property
    def ops(self) -> tuple[OnnxOp, ...]:
        """The ops that compute, in their order."""
        found = (op for op in self.block.ops if isinstance(op, OnnxOp))
        return tuple(op for op in found if op.name not in LEAVES)

    @property
    def yielded(self) -> Sequence[SSAValue]:
        """The values of the body that are the results."""
        last = self.block.last_op
        assert isinstance(last, YieldOp), "a region ends with fusion.yield"
        return last.operands

    @property
    def rows(self) -> int | None:
        """How many rows of its result are computed at a time; None if all are."""
        found = self.attributes.get(ROWS)
        return found.value.data if isinstance(found, IntegerAttr) else None

    @property
    def label(self) -> str:
        """What it computes, in a word: ``Conv+Add+Relu``."""
        return "+".join(op.op_type() for op in self.ops)

    def inline(self) -> None:
        """Put the ops of the body in the region's place; they are what they were."""
        for argument, value in zip(self.block.args, self.inputs, strict=True):
            argument.replace_all_uses_with(value)
        results = list(self.yielded)
        for op in list(self.block.ops):
            op.detach()
            if isinstance(op, YieldOp):
                op.erase()
            else:
                Rewriter.insert_op(op, InsertPoint.before(self))
        for old, new in zip(self.outputs, results, strict=True):
            old.replace_all_uses_with(new)
        # The body is empty now, and so no single block that ends.
        Rewriter.erase_op(self)

    def verify_(self) -> None:
        block = self.block
        if not isinstance(block.last_op, YieldOp):
            raise VerifyException("a region ends with fusion.yield")
        taken = tuple(argument.type for argument in block.args)
        _same_types("argument", taken, tuple(self.operand_types))
        given = tuple(value.type for value in self.yielded)
        _same_types("result", given, tuple(self.result_types))
        if not self.ops:
            raise VerifyException("a region holds one op at least")
        if ROWS in self.attributes and (self.rows is None or self.rows < 1):
            found = self.attributes[ROWS]
            raise VerifyException(f"found {ROWS} {found}, wanted a number from 1 on")
        for op in block.ops:
            _check_inner(op)

    def print(self, printer: Printer) -> None:
        printer.print_operands(self.operands)
        printer.print_op_attributes(self.attributes)
        printer.print_regions(self.regions)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> RegionOp:
        arguments = parser.parse_op_args_list()
        attributes = parser.parse_optional_attr_dict()
        regions = parser.parse_region_list()
        parser.parse_punctuation(":")
        position = parser.pos
        kind = parser.parse_function_type()
        operands = parser.resolve_operands(arguments, kind.inputs.data, position)
        return cls.create(
            operands=operands,
            result_types=kind.outputs.data,
            attributes=attributes,
            regions=regions,
        )


def _same_types(
    word: str, found: Sequence[Attribute], wanted: Sequence[Attribute]
) -> None:
    if len(found) != len(wanted):
        raise VerifyException(
            f"a region with {len(wanted)} {word}s: found {len(found)} in its body"
        )
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if one != other:
            raise VerifyException(
                f"{word} {place} of a region is {other}, in its body {one}"
            )


def _check_inner(op: Operation) -> None:
    if isinstance(op, YieldOp | NoneOp):
        return
    if not isinstance(op, OnnxOp):
        raise VerifyException(f"found {op.name} in a region, wanted ops of ONNX")
    if op.has_body:
        raise VerifyException(f"found {op.name} in a region: it has a subgraph")
    if not is_side_effect_free(op):
        raise VerifyException(
            f"found {op.name} in a region: it is no pure function of its operands"
        )


def inline_regions(module: Operation) -> int:
    """Inline all regions in `module`; how many there were."""
    regions = [op for op in module.walk() if isinstance(op, RegionOp)]
    for region in regions:
        region.inline()
    return len(regions)


Fusion = Dialect("fusion", [RegionOp, YieldOp])

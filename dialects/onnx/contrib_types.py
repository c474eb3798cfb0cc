"""
The types of the results of ONNX Runtime's operators, which onnx does not infer.

An element type follows from the schema: a result has its type variable's, or the one
type it may have. Where the schema leaves it open, `_ELEMENTS` tells. Shapes are
`contrib_shapes`' rules; a result whose shape nothing tells is unranked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnx.defs import OpSchema
from xdsl.dialects.builtin import bf16, f16, f32
from xdsl.ir import Attribute

from .base import element_string
from .contrib_shapes import SHAPES
from .dims import DimError
from .facts import Facts, InferenceError
from .proto import ELEMENT_NAMES
from .types import DTYPE_NAMES, ELEMENT_TYPES, Shape, element_of, tensor

_FEW_BITS = {8: "tensor(int8)", 4: "tensor(uint8)"}
_BY_STRING = {f"tensor({element_string(e)})": e for e in DTYPE_NAMES}


def contrib_types(
    schema: OpSchema, facts: Facts, outputs: Sequence[bool]
) -> list[Attribute | None]:
    """
    The type of each result of an operator of the table; None where it is unwanted.

    Raises InferenceError if the operands do not fit together.
    """
    shapes = _shapes(facts)
    types: list[Attribute | None] = []
    for index, wanted in enumerate(outputs):
        declared = schema.outputs[min(index, len(schema.outputs) - 1)]
        element = _element(schema, declared.type_str, index, facts) if wanted else None
        shape = shapes[index] if index < len(shapes) else None
        types.append(None if element is None else tensor(element, shape))
    return types


def _shapes(facts: Facts) -> Sequence[Shape | None]:
    rule = SHAPES.get(facts.name)
    if rule is None:
        return ()
    try:
        return [_checked(shape) for shape in rule(facts)]
    except DimError:
        return ()


def _checked(shape: Shape | None) -> Shape | None:
    for dim in shape or ():
        if dim is not None and dim.constant is not None and dim.constant < 0:
            raise InferenceError(f"found a size of {dim.constant} for a result")
    return shape


def _element(
    schema: OpSchema, variable: str, index: int, facts: Facts
) -> Attribute | None:
    special = _ELEMENTS.get((facts.name, index))
    if special is not None:
        return special(facts)
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    names = allowed.get(variable, [variable])
    for place, parameter in enumerate(schema.inputs):
        if parameter.type_str == variable and facts.present(place):
            return element_of(facts.operands[place].type)
    return _BY_STRING[names[0]] if len(names) == 1 else None


def _of(*places: int) -> Callable[[Facts], Attribute | None]:
    """The element type of the first of these operands that is there."""

    def element(facts: Facts) -> Attribute | None:
        present = [place for place in places if facts.present(place)]
        return element_of(facts.operands[present[0]].type) if present else None

    return element


def _cached(past: int, kind: str) -> Callable[[Facts], Attribute | None]:
    """The element type of `past`; without it that of the query, or of few bits."""

    def element(facts: Facts) -> Attribute | None:
        if facts.present(past) or facts.attribute(kind, "NONE") == "NONE":
            return _of(past, 0)(facts)
        return _BY_STRING[_FEW_BITS[facts.attribute("kv_cache_bit_width", 8)]]

    return element


def _stashed(facts: Facts) -> Attribute:
    number = facts.attribute("stash_type", 1)
    return ELEMENT_TYPES[ELEMENT_NAMES[number]]


def _real(facts: Facts) -> Attribute:
    return f32


def _numbered(facts: Facts) -> Attribute:
    return {1: f32, 10: f16, 16: bf16}[facts.attribute("dtype", 1)]


def _output_type(facts: Facts) -> Attribute | None:
    """What the attribute `output_dtype` says, bfloat16 by default."""
    return ELEMENT_TYPES.get(ELEMENT_NAMES.get(facts.attribute("output_dtype", 16), ""))


def _narrow(facts: Facts) -> Attribute:
    return f16 if facts.attribute("output_fp16", 0) else bf16


def _attended(facts: Facts) -> Attribute | None:
    return bf16 if facts.attribute("output_bf16", 0) else _of(0)(facts)


def _gemm(facts: Facts) -> Attribute | None:
    return f32 if not facts.present(7) else _of(8, 0)(facts)


def _quantized(facts: Facts) -> Attribute | None:
    return _of(2)(facts) or ELEMENT_TYPES["uint8"]


def _integers(facts: Facts) -> Attribute:
    """int32, or uint32 where the first operand is unsigned."""
    first = element_of(facts.operands[0].type)
    unsigned = first is not None and DTYPE_NAMES[first].startswith("u")
    return ELEMENT_TYPES["uint32" if unsigned else "int32"]


def _hashed(facts: Facts) -> Attribute:
    return ELEMENT_TYPES["uint32" if facts.attribute("positive", 1) else "int32"]


_ELEMENTS: Mapping[tuple[str, int], Callable[[Facts], Attribute | None]] = {
    ("onnx.SimplifiedLayerNormalization", 1): _stashed,
    ("microsoft.DecoderMaskedMultiHeadAttention", 3): _real,
    ("microsoft.DequantizeBFP", 0): _numbered,
    ("microsoft.DequantizeWithOrder", 0): _of(1),
    ("microsoft.DynamicSparseAttention", 0): _attended,
    ("microsoft.DynamicSparseAttention", 1): _of(3, 0),
    ("microsoft.DynamicSparseAttention", 2): _of(4, 0),
    ("microsoft.GatherPacked", 0): _output_type,
    ("microsoft.GemmFloat8", 0): _numbered,
    ("microsoft.GridSample", 0): _of(0),
    ("microsoft.GroupQueryAttention", 1): _cached(3, "k_quant_type"),
    ("microsoft.GroupQueryAttention", 2): _cached(4, "v_quant_type"),
    ("microsoft.LinearAttention", 1): _of(3, 0),
    ("microsoft.MatMulInteger16", 0): _integers,
    ("microsoft.MultiHeadAttention", 3): _of(0),
    ("microsoft.MurmurHash3", 0): _hashed,
    ("microsoft.QGemm", 0): _gemm,
    ("microsoft.QuantizeLinear", 0): _quantized,
    ("microsoft.RMSNormRotary", 0): _narrow,
    ("microsoft.ReduceSumInteger", 0): _integers,
}

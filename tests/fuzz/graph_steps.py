"""What a drawn graph can do next: each step adds a node or two to a case."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from graph_drawing import (
    EVERY,
    FLOATS,
    INTEGERS,
    MAX_ELEMENTS,
    NUMBERS,
    SIGNED,
    TYPES,
    Agreement,
    Case,
    Value,
    broadcast,
)
from hypothesis import strategies as st

BITS, VALUES, NEARLY = Agreement.bits, Agreement.values, Agreement.nearly

# --- element by element ---

_SMOOTH = (
    "Tanh", "Sigmoid", "Erf", "Softsign", "Atan",
    "Softplus", "HardSigmoid", "HardSwish", "Mish",
)  # fmt: skip
_STEEP = (
    "Exp", "Log", "Sqrt", "Reciprocal", "Sin",
    "Cos", "Cosh", "Sinh", "Asin", "Acos", "Atanh", "Asinh", "Tan",
)  # fmt: skip
_STEPS = ["Floor", "Ceil", "Round", "Sign"]


# Of doubles neither oracle computes these to more than what float32 holds.
_SINGLE = ("float32", "float16")


def smooth(case: Case) -> None:
    x = case.pick(_SINGLE)
    case.node(case.one_of(_SMOOTH), [x], (x.dtype, x.shape, NEARLY))


def steep(case: Case) -> None:
    x = case.pick(FLOATS, agreement=BITS)
    case.node(case.one_of(_STEEP), [x], (x.dtype, x.shape, NEARLY))


def stepped(case: Case) -> None:
    x = case.pick(FLOATS, agreement=VALUES)
    case.node(case.one_of(_STEPS), [x], (x.dtype, x.shape, VALUES))


def bent(case: Case) -> None:
    name = case.one_of(("LeakyRelu", "Elu", "Selu", "ThresholdedRelu"))
    x = case.pick(_SINGLE, agreement=VALUES)
    case.node(name, [x], (x.dtype, x.shape, NEARLY))


def negated(case: Case) -> None:
    x = case.pick((*FLOATS, *SIGNED))
    case.node(case.one_of(("Neg", "Abs")), [x], (x.dtype, x.shape, x.agreement))


def rectified(case: Case) -> None:
    x = case.pick(("float32", "float64", "float16", "int32", "int8"))
    case.node("Relu", [x], (x.dtype, x.shape, max(VALUES, x.agreement)))


def arithmetic(case: Case) -> None:
    x = case.pick(NUMBERS)
    y = case.partner(x)
    shape = broadcast(x.shape, y.shape)
    if shape is None:
        return
    agreement = NEARLY if x.dtype in FLOATS else BITS
    operands = [x, y] if case.flag() else [y, x]
    case.node(case.one_of(("Add", "Sub", "Mul")), operands, (x.dtype, shape, agreement))


def division(case: Case) -> None:
    x = case.pick(FLOATS)
    y = case.partner(x, BITS)
    shape = broadcast(x.shape, y.shape)
    if shape is not None:
        case.node("Div", [x, y], (x.dtype, shape, NEARLY))


def whole_division(case: Case) -> None:
    x = case.pick(INTEGERS)
    wide = [n for n in x.shape if case.flag()] and x.shape[-1:]
    # What a division by 0 gives, and the least number by -1, is nobody's promise.
    divisors = case.array(x.dtype, wide)
    divisors = np.where(divisors <= 0, 3, divisors).astype(x.dtype)
    name = case.constant(divisors)
    case.node(case.one_of(("Div", "Mod")), [x, name], (x.dtype, x.shape, BITS))


def extremes(case: Case) -> None:
    x = case.pick(NUMBERS)
    y = case.partner(x)
    shape = broadcast(x.shape, y.shape)
    if shape is not None:
        agreement = max(VALUES, x.agreement, y.agreement)
        case.node(case.one_of(("Min", "Max")), [x, y], (x.dtype, shape, agreement))


def clipped(case: Case) -> None:
    x = case.pick(NUMBERS)
    low, high = (case.constant(np.array(n, x.dtype)) for n in (1, 5))
    given = case.one_of(([low, high], [low], ["", high]))
    case.node("Clip", [x, *given], (x.dtype, x.shape, max(VALUES, x.agreement)))


def compared(case: Case) -> None:
    name = case.one_of(("Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual"))
    x = case.pick(EVERY if name == "Equal" else NUMBERS, agreement=VALUES)
    y = case.partner(x, VALUES)
    shape = broadcast(x.shape, y.shape)
    if shape is not None:
        case.node(name, [x, y], ("bool", shape, BITS))


def logical(case: Case) -> None:
    x = case.pick(("bool",))
    y = case.partner(x)
    shape = broadcast(x.shape, y.shape)
    if shape is None:
        return
    name = case.one_of(("And", "Or", "Xor", "Not"))
    operands = [x] if name == "Not" else [x, y]
    case.node(name, operands, ("bool", x.shape if name == "Not" else shape, BITS))


def bitwise(case: Case) -> None:
    x = case.pick(INTEGERS)
    y = case.partner(x)
    shape = broadcast(x.shape, y.shape)
    if shape is not None:
        name = case.one_of(("BitwiseAnd", "BitwiseOr", "BitwiseXor"))
        case.node(name, [x, y], (x.dtype, shape, BITS))


def chosen(case: Case) -> None:
    condition, x = case.pick(("bool",)), case.pick(EVERY)
    y = case.partner(x)
    shape = broadcast(condition.shape, x.shape, y.shape)
    if shape is not None:
        agreement = max(x.agreement, y.agreement)
        case.node("Where", [condition, x, y], (x.dtype, shape, agreement))


def questions(case: Case) -> None:
    x = case.pick(("float32", "float64"), agreement=VALUES)
    case.node(case.one_of(("IsNaN", "IsInf")), [x], ("bool", x.shape, BITS))


def cast(case: Case) -> None:
    # What of a float no integer holds, or of one integer no other, is not promised.
    x = case.pick(EVERY)
    floats = x.dtype in FLOATS
    # A narrower float may round what is nearly the same to infinity or not.
    targets = [d for d in FLOATS if not floats or d != "float16"]
    if x.dtype == "bool":
        targets = list(EVERY)
    elif not floats:
        targets += ["int64", "int32"]
    elif x.agreement <= VALUES:
        targets += ["bool", "float16"]
    target = case.one_of(targets)
    if x.dtype == "int64" and target == "int32":
        return
    exact = x.dtype == "bool" or target not in ("float16", "float32")
    agreement = x.agreement if exact else max(NEARLY, x.agreement)
    if target == "bool":
        agreement = BITS
    case.node("Cast", [x], (target, x.shape, agreement), to=TYPES[target])


# --- moving ---


def transposed(case: Case) -> None:
    x = case.pick(EVERY, least=1)
    order = case.draw(st.permutations(range(x.rank)))
    shape = [x.shape[axis] for axis in order]
    case.node("Transpose", [x], (x.dtype, shape, x.agreement), perm=order)


def reshaped(case: Case) -> None:
    x = case.pick(EVERY)
    factors = [n for n in x.shape if n != 1]
    merged = [int(np.prod(factors[:2])), *factors[2:]] if len(factors) > 1 else factors
    shape = case.one_of((factors, merged, [1, *factors], [*factors, 1], merged[::-1]))
    if int(np.prod(shape)) != int(np.prod(x.shape)) or len(shape) > 4:
        return
    target = list(shape)
    if shape and 0 not in shape and case.flag():
        target[case.number(0, len(shape) - 1)] = -1
    name = case.constant(np.array(target, np.int64))
    case.node("Reshape", [x, name], (x.dtype, shape, x.agreement), allowzero=1)


def unsqueezed(case: Case) -> None:
    x = case.pick(EVERY, most=3)
    axis = case.number(-x.rank - 1, x.rank)
    shape = np.expand_dims(np.zeros(x.shape), axis).shape
    name = case.constant(np.array([axis], np.int64))
    case.node("Unsqueeze", [x, name], (x.dtype, shape, x.agreement))


def squeezed(case: Case) -> None:
    x = case.pick(EVERY)
    axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    if not axes:
        return
    axis = case.one_of(axes)
    shape = [*x.shape[:axis], *x.shape[axis + 1 :]]
    name = case.constant(np.array([axis - case.one_of((0, x.rank))], np.int64))
    case.node("Squeeze", [x, name], (x.dtype, shape, x.agreement))


def flattened(case: Case) -> None:
    # The evaluator fails on empty ones, and then nobody but ONNX Runtime is left.
    x = case.pick(EVERY, least=1, nonempty=True)
    axis = case.number(0, x.rank)
    shape = [np.prod(x.shape[:axis]), np.prod(x.shape[axis:])]
    case.node("Flatten", [x], (x.dtype, shape, x.agreement), axis=axis)


def joined(case: Case) -> None:
    x = case.pick(EVERY, least=1)
    axis = case.number(-x.rank, x.rank - 1)
    shape = [*x.shape]
    shape[axis] = case.number(0, 2)
    y = case.input(x.dtype, shape)
    shape[axis] += x.shape[axis]
    case.node("Concat", [x, y], (x.dtype, shape, x.agreement), axis=axis)


def parted(case: Case) -> None:
    x = case.pick(EVERY, least=1)
    axis = case.number(-x.rank, x.rank - 1)
    first = case.number(0, x.shape[axis])
    shapes = []
    for size in (first, x.shape[axis] - first):
        shapes.append([*x.shape])
        shapes[-1][axis] = size
    sizes = case.constant(np.array([first, x.shape[axis] - first], np.int64))
    results = [(x.dtype, shape, x.agreement) for shape in shapes]
    case.node("Split", [x, sizes], *results, axis=axis)


def sliced(case: Case) -> None:
    x = case.pick(EVERY, least=1)
    axis = case.number(0, x.rank - 1)
    start, end = case.number(-6, 6), case.number(-6, 6)
    step = case.one_of((1, 2, -1, -2))
    least = -(2**63) if step < 0 else end
    end = case.one_of((end, least, 2**63 - 1 if step > 0 else end))
    if step < 0:
        # A start before the first is the first to ONNX, but not to the evaluator.
        start = max(start, -x.shape[axis])
    taken = np.zeros(x.shape)[(slice(None),) * axis + (slice(start, end, step),)]
    names = [case.constant(np.array([n], np.int64)) for n in (start, end, axis, step)]
    case.node("Slice", [x, *names], (x.dtype, taken.shape, x.agreement))


def expanded(case: Case) -> None:
    x = case.pick(EVERY)
    target = [case.one_of((1, size, 2 if size == 1 else 1)) for size in x.shape]
    if len(target) < 4 and case.flag():
        target.insert(0, 2)
    shape = broadcast(x.shape, tuple(target))
    if shape is not None:
        name = case.constant(np.array(target, np.int64))
        case.node("Expand", [x, name], (x.dtype, shape, x.agreement))


def tiled(case: Case) -> None:
    x = case.pick(EVERY, least=1)
    repeats = [case.one_of((1, 2, 0)) for _ in x.shape]
    shape = [a * b for a, b in zip(x.shape, repeats, strict=True)]
    if np.prod(shape) <= MAX_ELEMENTS:
        name = case.constant(np.array(repeats, np.int64))
        case.node("Tile", [x, name], (x.dtype, shape, x.agreement))


def padded(case: Case) -> None:
    x = case.pick(("float32", "float64", "int32", "int64"), least=1)
    mode = case.one_of(("constant", "edge", "reflect", "wrap"))
    if mode != "constant" and min(x.shape) < 3:
        return
    pads = [case.number(0, 2) for _ in range(2 * x.rank)]
    shape = [n + a + b for n, a, b in zip(x.shape, pads, pads[x.rank :], strict=False)]
    if np.prod(shape) <= MAX_ELEMENTS:
        name = case.constant(np.array(pads, np.int64))
        case.node("Pad", [x, name], (x.dtype, shape, x.agreement), mode=mode)


def lower_part(case: Case) -> None:
    x = case.pick(("float32", "int64", "float64"), least=2)
    k = case.constant(np.array(case.number(-3, 3), np.int64))
    upper = int(case.flag())
    case.node("Trilu", [x, k], (x.dtype, x.shape, x.agreement), upper=upper)


# --- picking ---


def gathered(case: Case) -> None:
    x = case.pick(EVERY, least=1, nonempty=True)
    axis = case.number(-x.rank, x.rank - 1)
    size, wanted = x.shape[axis], case.shape(case.number(0, 2))
    rng = np.random.default_rng(case.number(0, 99))
    name = case.constant(rng.integers(-size, size, wanted))
    shape = [*x.shape[: axis % x.rank], *wanted, *x.shape[axis % x.rank + 1 :]]
    if len(shape) <= 4 and np.prod(shape) <= MAX_ELEMENTS:
        case.node("Gather", [x, name], (x.dtype, shape, x.agreement), axis=axis)


def gathered_each(case: Case) -> None:
    x = case.pick(EVERY, least=1, nonempty=True)
    axis = case.number(-x.rank, x.rank - 1)
    rng = np.random.default_rng(case.number(0, 99))
    places = rng.integers(-x.shape[axis], x.shape[axis], x.shape)
    name = case.constant(places)
    case.node("GatherElements", [x, name], (x.dtype, x.shape, x.agreement), axis=axis)


def scattered(case: Case) -> None:
    x = case.pick(("float32", "int64", "float64", "int32"), least=1, nonempty=True)
    axis = case.number(-x.rank, x.rank - 1)
    rng = np.random.default_rng(case.number(0, 99))
    # No place twice: which of two writes wins is not said.
    order = np.argsort(rng.random(x.shape), axis)
    update = case.input(x.dtype, x.shape)
    name = case.constant(order)
    case.node(
        "ScatterElements",
        [x, name, update],
        (x.dtype, x.shape, x.agreement),
        axis=axis,
    )


def sizes(case: Case) -> None:
    x = case.pick(EVERY)
    if case.flag():
        case.node("Size", [x], ("int64", (), BITS))
    else:
        case.node("Shape", [x], ("int64", (x.rank,), BITS))


def found_places(case: Case) -> None:
    x = case.pick(("float32", "int64", "bool"), least=1, agreement=VALUES)
    # Its size depends on data: only what has one size comes after it.
    case.node("NonZero", [x], ("int64", (x.rank, -1), BITS))
    indices = case.values.pop()
    case.node("Shape", [indices], ("int64", (2,), BITS))


# --- over axes ---

_SUMS = (
    "ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2",
    "ReduceLogSumExp",
)  # fmt: skip
_EXTREMES = ("ReduceMax", "ReduceMin")


def axes_of(case: Case, x: Value) -> list[int]:
    axes = [axis for axis in range(x.rank) if case.flag()]
    return [axis - case.one_of((0, x.rank)) for axis in axes]


def reduced(case: Case) -> None:
    name = case.one_of((*_SUMS, *_EXTREMES, "ReduceProd"))
    x = case.pick(("float32", "float64", "int32", "int64"))
    inexact = name not in _EXTREMES
    if x.dtype in INTEGERS and name not in ("ReduceSum", "ReduceProd", *_EXTREMES):
        return
    axes, keep = axes_of(case, x), int(case.flag())
    over = {axis % x.rank for axis in axes} or set(range(x.rank))
    if not inexact and any(x.shape[axis] == 0 for axis in over):
        return
    if name in ("ReduceMean",) and any(x.shape[axis] == 0 for axis in over):
        return
    left = [
        1 if a in over else n for a, n in enumerate(x.shape) if keep or a not in over
    ]
    agreement = max(x.agreement, VALUES)
    if x.dtype in FLOATS and inexact:
        agreement = NEARLY
    operands = [x, case.constant(np.array(axes, np.int64))] if axes else [x]
    case.node(name, operands, (x.dtype, left, agreement), keepdims=keep)


def place_of_extreme(case: Case) -> None:
    x = case.pick(("float32", "int32"), least=1, agreement=VALUES, nonempty=True)
    # Where nan is, is not said.
    if x.dtype == "float32":
        x = case.node("Sign", [x], (x.dtype, x.shape, VALUES))[0]
        zero = case.constant(np.array(-2, np.float32))
        x = case.node("Max", [x, zero], (x.dtype, x.shape, VALUES))[0]
        nan = case.node("IsNaN", [x], ("bool", x.shape, BITS))[0]
        x = case.node("Where", [nan, zero, x], (x.dtype, x.shape, VALUES))[0]
    axis, keep = case.number(-x.rank, x.rank - 1), int(case.flag())
    shape = [*x.shape]
    shape[axis] = 1
    if not keep:
        del shape[axis]
    name = case.one_of(("ArgMax", "ArgMin"))
    last = int(case.flag())
    case.node(
        name,
        [x],
        ("int64", shape, BITS),
        axis=axis,
        keepdims=keep,
        select_last_index=last,
    )


def normalized(case: Case) -> None:
    x = case.pick(("float32", "float64"), least=1, nonempty=True)
    axis = case.number(-x.rank, x.rank - 1)
    name = case.one_of(("Softmax", "LogSoftmax"))
    case.node(name, [x], (x.dtype, x.shape, NEARLY), axis=axis)


def accumulated(case: Case) -> None:
    x = case.pick(("float32", "float64", "int32", "int64"), least=1)
    axis = case.constant(np.array(case.number(-x.rank, x.rank - 1), np.int64))
    agreement = NEARLY if x.dtype in FLOATS else BITS
    flags = {"exclusive": int(case.flag()), "reverse": int(case.flag())}
    case.node("CumSum", [x, axis], (x.dtype, x.shape, agreement), **flags)


def multiplied(case: Case) -> None:
    x = case.pick(("float32", "float64", "int32"), least=1)
    width = case.number(0, 3)
    shape = case.one_of(([x.shape[-1], width], [x.shape[-1]]))
    y = case.input(x.dtype, shape)
    result = [*x.shape[:-1], *shape[1:]]
    agreement = NEARLY if x.dtype in FLOATS else BITS
    case.node("MatMul", [x, y], (x.dtype, result, agreement))


def affine(case: Case) -> None:
    x = case.pick(("float32",), least=2, most=2)
    flip_x, flip_y = case.flag(), case.flag()
    rows, depth = x.shape[::-1] if flip_x else x.shape
    width = case.number(0, 3)
    y = case.input(x.dtype, (width, depth) if flip_y else (depth, width))
    z = case.input(x.dtype, case.one_of(((), (width,), (rows, 1), (rows, width))))
    settings = {"transA": int(flip_x), "transB": int(flip_y), "alpha": 0.5}
    case.node("Gemm", [x, y, z], (x.dtype, (rows, width), NEARLY), **settings)


STEPS: tuple[Callable[[Case], None], ...] = (
    arithmetic, smooth, steep, stepped, bent, negated, rectified, division,
    whole_division, extremes, clipped, compared, logical, bitwise, chosen, questions,
    cast, transposed, reshaped, unsqueezed, squeezed, flattened, joined, parted, sliced,
    expanded, tiled, padded, lower_part, gathered, gathered_each, scattered, sizes,
    found_places, reduced, place_of_extreme, normalized, accumulated, multiplied,
    affine,
)  # fmt: skip
"""Every step that a graph can take."""

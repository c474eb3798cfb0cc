"""Integers known before the program runs, against the reference evaluator."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sardonyx.dialects.onnx.dims import Dim
from sardonyx.dialects.onnx.types import shape_of

SIZES = {"n": 2, "m": 5}


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def shape_text(graph: Any, name: str) -> list[str]:
    shape = shape_of(graph.values[name].type)
    return ["?"] if shape is None else [str(d) for d in shape]


def items_text(graph: Any, name: str) -> Any:
    items = graph.bench.integers.of(graph.values[name])
    return None if items is None else [str(item) for item in items.flat]


@pytest.fixture(name="graph")
def graph_fixture(twin: Any) -> Any:
    """A graph with a tensor of n x m x 6."""
    return twin(SIZES, x=("float32", ["n", "m", 6]))


def size(graph: Any, axis: int) -> str:
    """One size of `x`, as exporters write it."""
    shape = graph.op("Shape", "x")
    return graph.op("Gather", shape, graph.constant(np.array(axis)), axis=0)


def vector(graph: Any, *sizes: str) -> str:
    axes = graph.constant(ints(0))
    parts = [graph.op("Unsqueeze", scalar, axes) for scalar in sizes]
    return graph.op("Concat", *parts, axis=0)


def test_reshape_by_computed_sizes(graph: Any) -> None:
    n, m = size(graph, 0), size(graph, 1)
    heads, width = (graph.constant(np.array(k)) for k in (2, 3))
    target = vector(graph, n, m, heads, width)
    assert items_text(graph, target) == ["n", "m", "2", "3"]
    y = graph.op("Reshape", "x", target)
    assert shape_text(graph, y) == ["n", "m", "2", "3"]


def test_gather_of_no_index(graph: Any) -> None:
    shape = graph.op("Shape", "x")
    none = graph.op("Gather", shape, graph.constant(ints()), axis=0)
    assert items_text(graph, none) == []


def test_reshape_to_what_remains(graph: Any) -> None:
    n, rest = size(graph, 0), graph.constant(np.array(-1))
    y = graph.op("Reshape", "x", vector(graph, n, rest))
    assert shape_text(graph, y) == ["n", "6*m"]
    flat = graph.op("Reshape", "x", graph.constant(ints(-1, 6)))
    assert shape_text(graph, flat) == ["m*n", "6"]
    kept = graph.op("Reshape", "x", graph.constant(ints(0, 0, 2, 3)))
    assert shape_text(graph, kept) == ["n", "m", "2", "3"]


def test_a_target_of_unknown_sign_tells_nothing(graph: Any) -> None:
    n, m = size(graph, 0), size(graph, 1)
    difference = graph.op("Sub", n, m)
    target = vector(graph, graph.op("Abs", difference), graph.constant(np.array(-1)))
    assert items_text(graph, target) is None
    # n - m is -3 here, which no reshape takes, so only the value is looked at.
    assert items_text(graph, difference) == ["-m + n"]


def test_slice_of_the_shape(graph: Any) -> None:
    shape = graph.op("Shape", "x")
    tail = graph.op(
        "Slice", shape, graph.constant(ints(1)), graph.constant(ints(2**62))
    )
    assert items_text(graph, tail) == ["m", "6"]
    back = graph.op(
        "Slice",
        shape,
        graph.constant(ints(-1)),
        graph.constant(ints(-(2**62))),
        graph.constant(ints(0)),
        graph.constant(ints(-1)),
    )
    assert items_text(graph, back) == ["6", "m", "n"]
    assert items_text(graph, graph.op("Shape", "x", start=-2, end=-1)) == ["m"]


def test_slice_by_sizes(graph: Any) -> None:
    m = size(graph, 1)
    half = graph.op("Div", m, graph.constant(np.array(2)))
    assert items_text(graph, half) == ["floordiv(m, 2)"]
    axes = graph.constant(ints(1))
    ends = vector(graph, half)
    first = graph.op("Slice", "x", graph.constant(ints(0)), ends, axes)
    assert shape_text(graph, first) == ["n", "min(floordiv(m, 2), m)", "6"]
    rest = graph.op("Slice", "x", graph.constant(ints(-2)), graph.constant(ints(99)))
    assert shape_text(graph, rest)[1:] == ["m", "6"]


def test_range_and_arithmetic(graph: Any) -> None:
    n, m = size(graph, 0), size(graph, 1)
    total = graph.op("Add", n, graph.op("Mul", m, graph.constant(np.array(3))))
    assert items_text(graph, total) == ["3*m + n"]
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    positions = graph.op("Range", zero, total, one)
    assert shape_text(graph, positions) == ["3*m + n"]
    later = graph.op("Range", n, total, one)
    assert shape_text(graph, later) == ["3*m"]


def test_the_mask_of_an_exporter(graph: Any) -> None:
    # Expand(x, Where(shape == -1, ones, shape)): what torch writes for expand.
    target = vector(
        graph, graph.constant(np.array(-1)), size(graph, 1), graph.constant(np.array(6))
    )
    minus = graph.op("Mul", graph.constant(ints(1, 1, 1)), graph.constant(ints(-1)))
    same = graph.op("Equal", target, minus)
    assert items_text(graph, same) == ["1", "0", "0"]
    chosen = graph.op("Where", same, graph.constant(ints(1, 1, 1)), target)
    assert items_text(graph, chosen) == ["1", "m", "6"]
    one_row = graph.constant(np.zeros((1, 1, 6), np.float32))
    assert shape_text(graph, graph.op("Expand", one_row, chosen)) == ["1", "m", "6"]


def test_products_sums_and_size(graph: Any) -> None:
    shape = graph.op("Shape", "x")
    assert items_text(graph, graph.op("Size", "x")) == ["6*m*n"]
    product = graph.op("ReduceProd", shape, keepdims=0)
    assert items_text(graph, product) == ["6*m*n"]
    total = graph.op("ReduceSum", shape, keepdims=1)
    assert items_text(graph, total) == ["m + n + 6"]
    fill = graph.op("ConstantOfShape", shape)
    assert shape_text(graph, fill) == ["n", "m", "6"]


def test_casts(graph: Any) -> None:
    n = size(graph, 0)
    assert items_text(graph, graph.op("Cast", n, to=1)) == ["n"]
    # A bool or a byte does not hold every size.
    assert items_text(graph, graph.op("Cast", n, to=9)) is None
    assert items_text(graph, graph.op("Cast", n, to=3)) is None


def test_unknown_sizes_stay_unknown(twin: Any) -> None:
    graph = twin({}, x=("float32", [2, 3]))
    graph.values["x"] = graph.bench.block.insert_arg(
        shape_type(None, 3), len(graph.bench.block.args)
    )
    shape = graph.op("Shape", "x")
    items = graph.bench.integers.of(graph.values[shape])
    assert list(items) == [None, Dim.of(3)]
    first = graph.op("Gather", shape, graph.constant(np.array(0)), axis=0)
    assert graph.bench.integers.of(graph.values[first]).item() is None


def shape_type(*shape: Any) -> Any:
    from sardonyx.dialects.onnx.types import ELEMENT_TYPES, tensor

    return tensor(ELEMENT_TYPES["float32"], shape)


def test_random_graphs_are_sound(twin: Any) -> None:
    random_graph(twin)


UNARY = ("Neg", "Identity", "Abs")
BINARY = ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Equal", "Less", "Greater")


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def random_graph(twin: Any, data: Any) -> None:
    sizes = {name: data.draw(st.integers(0, 4), name) for name in ("n", "m")}
    shape = data.draw(
        st.lists(st.sampled_from(["n", "m", 1, 2, 3]), min_size=1, max_size=3)
    )
    graph = twin(sizes, x=("float32", shape), y=("float32", ["m", "n"]))
    tensors, vectors = ["x", "y"], [graph.op("Shape", "x"), graph.op("Shape", "y")]
    for _ in range(data.draw(st.integers(3, 9))):
        step(graph, data, tensors, vectors)


NUMBERS = st.integers(-3, 4)


def step(graph: Any, data: Any, tensors: list[str], vectors: list[str]) -> None:
    """One more node, chosen by `data`; what it gives joins one of the lists."""
    a, b = (data.draw(st.sampled_from(vectors)) for _ in range(2))
    t, u = (data.draw(st.sampled_from(tensors)) for _ in range(2))
    kind = data.draw(st.sampled_from(["vector", "vector", "tensor", "Slice", "Shape"]))
    if kind == "vector":
        keep(vectors, next_vector(graph, data, a, b), graph)
    elif kind == "tensor":
        keep(tensors, next_tensor(graph, data, t, u, a), graph)
    elif kind == "Slice":
        source, goal = data.draw(st.sampled_from([(a, vectors), (t, tensors)]))
        keep(goal, next_slice(graph, data, source), graph)
    else:
        keep(vectors, graph.op("Shape", t), graph)


def next_vector(graph: Any, data: Any, a: str, b: str) -> str | None:
    op_type = data.draw(
        st.sampled_from([*UNARY, *BINARY, "Gather", "Concat", "Where", "constant"])
    )
    # What division by zero gives is nobody's promise.
    if op_type in ("Div", "Mod") and (graph.arrays[b] == 0).any():
        return None
    if op_type in UNARY:
        return graph.op(op_type, a)
    if op_type == "Gather":
        index = data.draw(st.lists(NUMBERS, min_size=1, max_size=2))
        return graph.op("Gather", a, graph.constant(ints(*index)))
    if op_type == "Concat":
        return graph.op("Concat", a, b, axis=0)
    if op_type == "Where":
        same = graph.op("Equal", a, b)
        return None if same is None else graph.op("Where", same, a, b)
    if op_type == "constant":
        return graph.constant(ints(*data.draw(st.lists(NUMBERS, max_size=3))))
    return graph.op(op_type, a, b)


def next_tensor(graph: Any, data: Any, t: str, u: str, shape: str) -> str | None:
    choices = ["Reshape", "Expand", "ConstantOfShape", "Flatten", "Transpose"]
    op_type = data.draw(st.sampled_from([*choices, "Add", "MatMul", "Concat"]))
    sizes = graph.arrays[shape]
    # A size that is 0 when the program runs would keep the data's own.
    if op_type == "Reshape" and not sizes.all():
        return None
    if op_type in ("Expand", "ConstantOfShape") and (sizes > 8).any():
        return None
    if op_type in ("Reshape", "Expand"):
        return graph.op(op_type, t, shape)
    if op_type == "ConstantOfShape":
        return graph.op(op_type, shape)
    if op_type in ("Flatten", "Transpose"):
        return graph.op(op_type, t)
    return graph.op(op_type, t, u, **({"axis": 0} if op_type == "Concat" else {}))


def next_slice(graph: Any, data: Any, source: str) -> str | None:
    pace = data.draw(st.sampled_from([1, 1, 2, -1]))
    # Of a negative step from before the start, ONNX's text and evaluator differ.
    start = data.draw(NUMBERS) if pace > 0 else -1
    numbers = (start, data.draw(NUMBERS), data.draw(st.integers(0, 1)), pace)
    return graph.op("Slice", source, *(graph.constant(ints(n)) for n in numbers))


def keep(names: list[str], name: str | None, graph: Any) -> None:
    if name is None:
        return
    array = graph.arrays[name]
    # Of scalars the evaluator takes more than ONNX allows.
    if array.ndim and array.size <= 4096 and array.dtype != bool:
        names.append(name)


def test_a_wrong_size_is_caught(graph: Any) -> None:
    shape = graph.op("Shape", "x")
    graph.arrays[shape] = graph.arrays[shape] + 1
    with pytest.raises(AssertionError, match="n is 2 at"):
        graph.check(shape)

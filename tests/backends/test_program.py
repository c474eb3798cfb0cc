"""Programs as text: names, literals, comments, and two whole ones as golden files."""

import ast
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from sardonyx.backends.numpy.emitter import NumpyEmitter
from sardonyx.backends.program import LoweringError, array_literal
from sardonyx.compiler.driver import compile_model
from sardonyx.dialects.onnx import WeightStore
from sardonyx.dialects.onnx.types import DTYPE_NAMES

GOLDEN = Path(__file__).parent / "golden"
NUMBERS = sorted(set(DTYPE_NAMES.values()) - {"string"})
SPACE = {"np": np, "ml_dtypes": ml_dtypes}


def evaluated(text: str) -> Any:
    assert text.isascii()
    assert "\n" not in text
    ast.parse(text, mode="eval")
    return eval(text, dict(SPACE))


def same_bits(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert found.tobytes() == wanted.tobytes()


def emitter() -> NumpyEmitter:
    return NumpyEmitter({}, WeightStore())


# --- literals ---


def every_pattern(name: str) -> Any:
    """An array of the type that has seen every byte."""
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    if name == "bool":
        return np.array([True, False])
    if dtype.itemsize == 1:
        if name.startswith(("int", "uint")) and name not in ("int8", "uint8"):
            info = ml_dtypes.iinfo(dtype)
            return np.arange(int(info.min), int(info.max) + 1).astype(dtype)
        codes = np.arange(256, dtype=np.uint8)
        if "float6" in name:
            codes = codes[:64]
        if "float4" in name:
            codes = codes[:16]
        return codes.view(dtype)
    raw = np.random.default_rng(0).bytes(dtype.itemsize * 64)
    return np.frombuffer(raw, dtype)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", NUMBERS)
def test_literals_are_exact_in_every_bit(name: str) -> None:
    array = every_pattern(name)
    same_bits(evaluated(array_literal(array)), array)
    for shape in ((), (1,), (0,), (2, 0, 3), (1, 1)):
        part = np.resize(array, shape).astype(array.dtype)
        same_bits(evaluated(array_literal(part)), part)


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize(
    "value", [0.0, -0.0, math.inf, -math.inf, math.nan, 0.1, 1e-45]
)
def test_special_values_are_exact(name: str, value: float) -> None:
    array = np.array([value, 1 / 3], getattr(ml_dtypes, name, name))
    same_bits(evaluated(array_literal(array)), array)


@given(st.lists(st.floats(width=32), max_size=5), st.lists(st.floats(), max_size=5))
def test_any_float_is_exact(narrow: list[float], wide: list[float]) -> None:
    for values, dtype in ((narrow, np.float32), (wide, np.float64)):
        array = np.array(values, dtype)
        same_bits(evaluated(array_literal(array)), array)


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_the_largest_integers_are_exact(value: int) -> None:
    same_bits(evaluated(array_literal(np.array(value))), np.array(value))


def test_large_unsigned_integers_are_exact() -> None:
    array = np.array([2**64 - 1], np.uint64)
    same_bits(evaluated(array_literal(array)), array)


@given(st.lists(st.text(), max_size=4))
def test_any_text_is_exact(items: list[str]) -> None:
    array = np.array(items, object)
    found = evaluated(array_literal(array))
    assert found.dtype == object
    assert found.tolist() == items


def test_literals_of_nested_arrays() -> None:
    for array in (np.arange(6).reshape(2, 3), np.array([["a"], ["\n"]], object)):
        found = evaluated(array_literal(array))
        assert found.shape == array.shape
        assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    "value",
    [
        1,
        -1,
        2**70,
        0.1,
        -0.0,
        1e300,
        "a\n'\"\\é\u2028",
        None,
        True,
        (),
        (1,),
        (1.5, "b"),
    ],
)
def test_attributes_are_exact(value: Any) -> None:
    found = evaluated(emitter().literal(value))
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, float):
        assert math.copysign(1, found) == math.copysign(1, value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, (math.inf, 1.0)])
def test_attributes_that_are_not_finite(value: Any) -> None:
    assert str(evaluated(emitter().literal(value))) == str(value)


def test_an_attribute_that_is_no_value_is_refused() -> None:
    with pytest.raises(LoweringError, match="wanted a number, string or list"):
        emitter().literal(object())


# --- names ---


@pytest.mark.parametrize(
    ("wanted", "given_name"),
    [
        ("x", "x"),
        ("a.b/c", "a_b_c"),
        ("", "v"),
        ("1x", "v1x"),
        ("é", "__1"),
        ("lambda", "lambda_1"),
        ("match", "match_1"),
        ("open", "open_1"),
        ("__import__", "__import___1"),
        ("None", "None_1"),
    ],
)
def test_names_are_python_s(wanted: str, given_name: str) -> None:
    assert emitter().fresh(wanted) == given_name


@given(st.lists(st.text(max_size=6), max_size=30))
def test_fresh_names_differ_and_can_be_assigned(wanted: list[str]) -> None:
    one = emitter()
    one.reserve("x", "np")
    names = [one.fresh(text) for text in [*wanted, "x", "np"]]
    assert len(set(names) | {"x", "np"}) == len(names) + 2
    for name in names:
        compile(f"{name} = 1", "name", "exec")


# --- whole programs ---


def small() -> onnx.ModelProto:
    """A model with a weight, a small constant, a name to escape and two outputs."""
    rng = np.random.default_rng(0)
    table = rng.integers(-9, 9, (5, 6)).astype(np.float32)
    weights = [
        onnx.numpy_helper.from_array(table, "layer.weight"),
        onnx.numpy_helper.from_array(np.array([1, -2], np.float32), "shift"),
    ]
    nodes = [
        helper.make_node("Gather", ["layer.weight", "ids"], ["rows"], name="look/up"),
        helper.make_node(
            "Slice", ["rows", "start", "end", "axis"], ["two"], name="cut"
        ),
        helper.make_node("Add", ["two", "shift"], ["sum"], name='add "it"\nup'),
        helper.make_node("Relu", ["sum"], ["y"], name="gate"),
        helper.make_node("Neg", ["y"], ["lambda"], name="flip"),
    ]
    for name, number in (("start", 1), ("end", 3), ("axis", 1)):
        array = np.array([number], np.int64)
        weights.append(onnx.numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n"])],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2])
            for name in ("y", "lambda")
        ],
        weights,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_golden_program(backend: str, golden: Any) -> None:
    executable = compile_model(small(), backend, "O0")
    ids = np.array([4, 0])
    table = onnx.numpy_helper.to_array(small().graph.initializer[0])
    wanted = np.maximum(table[ids][:, 1:3] + np.array([1, -2], "f"), 0)
    found = executable(ids)
    assert np.array_equal(found[0], wanted)
    assert np.array_equal(found[1], -wanted)
    golden(GOLDEN / f"small_{backend}.txt", executable.source)


def forward_of(executable: Any) -> list[str]:
    lines = executable.source.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("def forward("))
    end = next(n for n in range(start, len(lines)) if "return (" in lines[n])
    return lines[start : end + 1]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_one_line_per_op_with_its_node(backend: str) -> None:
    lines = forward_of(compile_model(small(), backend, "O0"))
    assert len(lines) == 2 + len(small().graph.node)
    assert lines[0] == "def forward(w, ids):"
    origins = [line.partition("  # ")[2] for line in lines[1:-1]]
    assert origins == [
        "Gather look/up",
        "Slice cut",
        'Add add "it"\\nup',
        "Relu gate",
        "Neg flip",
    ]


def test_weights_are_read_by_name_and_small_constants_stand_in_the_line() -> None:
    executable = compile_model(small(), "numpy", "O0")
    text = "\n".join(forward_of(executable))
    assert "w['layer.weight']" in text
    assert "np.array([1.0, -2.0], 'float32')" in text
    assert executable.program.weights == ("layer.weight",)


def test_a_changed_program_is_told_from_its_golden_file(
    golden: Any, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    source = compile_model(small(), "numpy", "O0").source
    path = tmp_path / "golden.txt"
    path.write_text(source.replace("relu", "abs"))
    if not pytestconfig.getoption("--update-golden"):
        with pytest.raises(AssertionError, match="differs: look, then"):
            golden(path, source)
        path.write_text(source)
    golden(path, source)
    assert path.read_text() == source

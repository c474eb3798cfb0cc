"""Integer weights that a NumPy program makes floats of once, when it is loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.backends.numpy import prepared
from sardonyx.compiler import compile_model, load_artifact
from sardonyx.compiler.debug.measure import profile_executable

DEEP = 1100
"""So deep that the products of extremes are cut into pieces."""


def draws(dtype: str, *shape: int, seed: int = 0) -> Any:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def scalar(value: float, dtype: str = "float32") -> Any:
    return np.array(value, dtype)


MATRIX, RIGHT = draws("int8", DEEP, 24), scalar(-3, "int8")
IMAGE, FILTERS = draws("uint8", 2, 130, 5, 6), draws("int8", 8, 130, 3, 3)
LEFT, SCALE = scalar(131, "uint8"), scalar(0.02)
ROWS, FLOATS = draws("uint8", 4, DEEP), draws("int8", 4, DEEP).astype(np.float32)

Case = tuple[str, str, list[Any], set[int], dict[str, Any]]
"""Operator, domain, its operands, the places of those that are inputs, attributes."""

CASES: list[Case] = [
    ("MatMulInteger", "", [ROWS, MATRIX, LEFT, RIGHT], {0, 2}, {}),
    ("MatMulInteger", "", [ROWS[None], MATRIX], {0}, {}),
    ("MatMulInteger", "", [ROWS, MATRIX, None, draws("int8", 24)], {0}, {}),
    (
        "QLinearMatMul",
        "",
        [ROWS, SCALE, LEFT, MATRIX, SCALE, RIGHT, scalar(9), LEFT],
        {0},
        {},
    ),
    ("ConvInteger", "", [IMAGE, FILTERS, LEFT, RIGHT], {0}, {"pads": [1, 1, 1, 1]}),
    ("ConvInteger", "", [IMAGE, FILTERS[:, :65]], {0}, {"group": 2}),
    (
        "QLinearConv",
        "",
        [IMAGE, SCALE, LEFT, FILTERS, SCALE, RIGHT, scalar(9), LEFT],
        {0},
        {},
    ),
    ("DynamicQuantizeMatMul", "m", [FLOATS, MATRIX, SCALE, RIGHT], {0}, {}),
    (
        "MatMulIntegerToFloat",
        "m",
        [ROWS, MATRIX, SCALE, SCALE, LEFT, RIGHT],
        {0},
        {},
    ),
    (
        "QAttention",
        "m",
        [
            draws("uint8", 1, 3, 48),
            draws("int8", 48, 144),
            np.zeros(144, np.float32),
            scalar(0.001),
            SCALE,
            None,
            LEFT,
            RIGHT,
        ],
        {0},
        {"num_heads": 4},
    ),
    (
        "QGemm",
        "m",
        [ROWS, SCALE, LEFT, MATRIX.T.copy(), SCALE, RIGHT],
        {0},
        {"transB": 1},
    ),
]


def model_of(case: Case) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The operator on inputs and weights, and the arrays of the inputs."""
    op, domain, operands, places, attributes = case
    domain = "com.microsoft" if domain else ""
    names = ["" if array is None else f"v{n}" for n, array in enumerate(operands)]
    node = helper.make_node(op, names, ["y"], domain=domain, name=op, **attributes)
    feeds = {f"v{n}": operands[n] for n in places}
    entries = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    weights = [
        numpy_helper.from_array(array, f"v{n}")
        for n, array in enumerate(operands)
        if array is not None and n not in places
    ]
    result = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph([node], "g", entries, [result], weights)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets), feeds


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_results_are_those_of_integers(case: Case, tmp_path: Path) -> None:
    """Equal, bit for bit, to a program that takes the weights as they are."""
    model, feeds = model_of(case)
    executable = compile_model(model, "numpy")
    assert "def prepared(w):" in executable.source
    limited = compile_model(model, "numpy", memory_limit=1 << 30)
    assert "def prepared(w):" not in limited.source
    (wanted,) = limited(**feeds)
    executable.save(tmp_path / "out")
    for run in (executable, executable, load_artifact(tmp_path / "out")):
        (found,) = run(**feeds)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    # The file holds the 8 bits alone.
    held = sum(array.nbytes for array in case[2] if array is not None)
    assert (tmp_path / "out" / "weights.safetensors").stat().st_size < held + 2000


def test_beside_int32_arithmetic() -> None:
    model, feeds = model_of(CASES[0])
    (found,) = compile_model(model, "numpy")(**feeds)
    wide = (ROWS.astype(np.int64) - 131) @ (MATRIX.astype(np.int64) + 3)
    np.testing.assert_array_equal(found, wide)


def test_it_is_made_once() -> None:
    """The casts of the weight are gone from the calls: it is what the product reads."""
    model, feeds = model_of(CASES[1])
    executable = compile_model(model, "numpy")
    (key,) = (key for key in executable.params if key.endswith("prepared"))
    wide, step, _ = executable.params[key]
    assert wide.dtype == np.float32
    assert 1 < -(-DEEP // step) < 4
    wide[:] = 1
    (found,) = executable(**feeds)
    assert (found == ROWS.sum(axis=1, dtype=np.int64)[:, None]).all()


def test_shared_weights_are_made_once() -> None:
    a = helper.make_tensor_value_info("a", onnx.TensorProto.UINT8, [4, DEEP])
    nodes = [
        helper.make_node("MatMulInteger", ["a", "b"], ["x"]),
        helper.make_node("MatMulInteger", ["a", "b", "a0"], ["y"]),
        helper.make_node("MatMulInteger", ["a", "b", "a0", "b0"], ["z"]),
    ]
    weights = {"b": MATRIX, "a0": LEFT, "b0": RIGHT}
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    results = [onnx.ValueInfoProto(name=name) for name in "xyz"]
    graph = helper.make_graph(nodes, "g", [a], results, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    executable = compile_model(model, "numpy")
    assert executable.source.count("prepared_columns(np, w['b']") == 2
    _, _, found = executable(ROWS)
    wide = (ROWS.astype(np.int64) - 131) @ (MATRIX.astype(np.int64) + 3)
    np.testing.assert_array_equal(found, wide)


@pytest.mark.parametrize(
    ("places", "operands"),
    [
        ({0, 1}, CASES[0][2]),  # the weight is an input
        ({0, 3}, CASES[0][2]),  # its zero point is
        ({0}, [ROWS[:, :4], MATRIX[:4, :4]]),  # it stands in the text
        ({0}, [ROWS, MATRIX[:, 0].copy()]),  # it is a vector
    ],
)
def test_what_is_left_as_it_is(places: set[int], operands: list[Any]) -> None:
    model, feeds = model_of(("MatMulInteger", "", operands, places, {}))
    executable = compile_model(model, "numpy")
    assert "def prepared(w):" not in executable.source
    a, b, a0, b0 = (*operands, 0, 0)[:4]
    wide = (a.astype(np.int64) - np.int64(a0)) @ (b.astype(np.int64) - np.int64(b0))
    np.testing.assert_array_equal(executable(**feeds)[0], wide)


def test_only_so_much_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model, feeds = model_of(CASES[0])
    (wanted,) = compile_model(model, "numpy")(**feeds)
    monkeypatch.setattr(prepared, "MOST_BYTES", 4 * MATRIX.size - 1)
    executable = compile_model(model, "numpy")
    assert "def prepared(w):" not in executable.source
    np.testing.assert_array_equal(executable(**feeds)[0], wanted)


def test_a_profile_of_it() -> None:
    model, feeds = model_of(CASES[0])
    found = profile_executable(
        compile_model(model, "numpy"), inputs=feeds, budget_seconds=0.01
    )
    assert [time.op for time in found.ops] == ["MatMulInteger"]

"""Indexing kernels against ONNX's node tests and its reference evaluator."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.jax import indexing as jax_indexing
from sardonyx.backends.kernels import indexing

BACKENDS = ("numpy", "jax")
NUMPY_ONLY = ("Compress", "NonMaxSuppression", "NonZero", "Unique")
OFFICIAL = [
    (op_type, backend)
    for op_type in sorted(indexing.KERNELS)
    for backend in BACKENDS
    if backend == "numpy" or op_type not in NUMPY_ONLY
]


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def ramp(*shape: int, dtype: Any = np.float32) -> Any:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def noise(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(3).normal(size=shape).astype(dtype)


EMPTY = np.zeros((0, 3), np.float32)
CASES = {
    "gather_scalar": ("Gather", {"axis": 1}, [ramp(2, 3), np.array(-1)]),
    "gather_from_vector": ("Gather", {}, [ints(4, 5), np.array(1)]),
    "gather_none": ("Gather", {}, [ramp(2, 3), np.zeros((0, 2), np.int32)]),
    "gather_half": ("Gather", {}, [ramp(2, 3, dtype=np.float16), ints(1, 0, -2)]),
    "gather_last": ("Gather", {"axis": -1}, [ramp(2, 3, 4), ints(3, 1, -4)]),
    "nd_scalar": ("GatherND", {}, [ramp(2, 3), ints(-1, 2)]),
    "nd_slices": ("GatherND", {}, [ramp(2, 3, 4), ints(1, 0, 1).reshape(3, 1)]),
    "nd_batches": (
        "GatherND",
        {"batch_dims": 2},
        [ramp(2, 3, 4, 2), ramp(2, 3, 1, dtype=int) % 4],
    ),
    "scatter_float64": (
        "ScatterElements",
        {"axis": -1, "reduction": "add"},
        [
            noise(2, 4, dtype=float),
            ints(0, 0, 3, -4).reshape(2, 2),
            noise(2, 2, dtype=float),
        ],
    ),
    "scatter_nd_slices": (
        "ScatterND",
        {},
        [ramp(3, 4), ints(2, -3).reshape(2, 1), noise(2, 4)],
    ),
    "scatter_nd_mul": (
        "ScatterND",
        {"reduction": "mul"},
        [ramp(3, 4), ints(2, 2).reshape(2, 1), noise(2, 4)],
    ),
    "one_hot_first": (
        "OneHot",
        {"axis": 0},
        [ints(1, -1, 5).reshape(1, 3), np.array(3), np.array([7, 9], np.int32)],
    ),
    "one_hot_none": ("OneHot", {}, [ints(), np.array(3), np.array([0.0, 1.0])]),
}


@pytest.mark.parametrize(("op_type", "backend"), OFFICIAL)
def test_official(check_official: Any, op_type: str, backend: str):
    check_official(op_type, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_reference(check_reference: Any, case: str, backend: str):
    op_type, attributes, arrays = CASES[case]
    names = [f"x{i}" for i in range(len(arrays))]
    node = helper.make_node(op_type, names, ["y"], **attributes)
    check_reference(node, arrays, backend)


def test_gather_out_of_range():
    with pytest.raises(IndexError):
        indexing.gather(np, ramp(3), ints(3))


@pytest.mark.parametrize("xp", [np, jnp])
def test_gather_elements_of_fewer_rows(xp: Any):
    """Indices may be shorter than the data on other axes."""
    x, indices = ramp(3, 4), ints(2, -4, 0, 1).reshape(2, 2)
    found = indexing.gather_elements(xp, x, indices, axis=-1)
    assert found.tolist() == [[2, 0], [4, 5]]


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [(np.int64, [0, 1, 0, 0]), (np.uint8, [0, 1, 0, 0]), (np.float32, [0, 1, 0, 0])],
)
def test_one_hot_depth_in_vector(xp: Any, dtype: Any, wanted: list[int]):
    """A float index is cut to an integer; 5 lies outside."""
    indices = np.array([1, 5], dtype)
    found = indexing.one_hot(xp, indices, ints(4), np.array([0, 1], np.float16))
    assert found.dtype == np.float16
    assert found.tolist() == [wanted, [0] * 4]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_bfloat16(check_reference: Any, reduction: str, backend: str):
    x, updates = (noise(4, 3, dtype=ml_dtypes.bfloat16) for _ in range(2))
    indices = ints(3, 0, -2).reshape(1, 3)
    names = ["x", "indices", "updates"]
    node = helper.make_node("ScatterElements", names, ["y"], reduction=reduction)
    check_reference(node, [x, indices, updates[:1]], backend)


def test_scatter_keeps_numpy():
    """The JAX kernel leaves shapes in NumPy, and its operand as it is."""
    x = ints(1, 2, 3)
    found = jax_indexing.scatter_nd_functional(np, x, ints(1).reshape(1, 1), ints(-1))
    assert type(found) is np.ndarray
    assert found.tolist() == [1, -1, 3]
    assert x.tolist() == [1, 2, 3]


@pytest.mark.parametrize("kernels", [indexing.KERNELS, jax_indexing.KERNELS])
def test_scatter_refuses_reduction(kernels: dict[str, Any]):
    xp = np if kernels is indexing.KERNELS else jnp
    with pytest.raises(ValueError, match="'sub'"):
        kernels["ScatterND"](xp, ramp(3), ints(0).reshape(1, 1), ramp(1), "sub")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize("axis", [1, -1])
def test_tensor_scatter(assert_close: Any, mode: str, axis: int, backend: str):
    xp = np if backend == "numpy" else jnp
    x, update = ramp(2, 5, 5), -ramp(2, 5, 5)
    update = update[:, :3] if axis == 1 else update[..., :3]
    starts = ints(1, 4 if mode == "circular" else 2)
    wanted = np.moveaxis(x.copy(), axis, 1)
    for batch, step in np.ndindex(2, 3):
        place = (starts[batch] + step) % 5
        wanted[batch, place] = np.moveaxis(update, axis, 1)[batch, step]
    found = indexing.tensor_scatter(xp, x, update, starts, axis=axis, mode=mode)
    assert_close(found, np.moveaxis(wanted, 1, axis))
    found = indexing.tensor_scatter(xp, x, update, axis=axis, mode=mode)
    assert np.array_equal(
        np.moveaxis(found, axis, 1)[:, 3:], np.moveaxis(x, axis, 1)[:, 3:]
    )
    assert np.array_equal(
        np.moveaxis(found, axis, 1)[:, :3], np.moveaxis(update, axis, 1)
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "uint64"])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_top_k(dtype: str, largest: int, backend: str):
    """Of equal elements the first comes first, in every type and on every axis."""
    xp, table = np, indexing.KERNELS
    if backend == "jax":
        xp, table = jnp, jax_indexing.KERNELS
    x = np.array([[3, 1, 3, 2, 1], [0, 0, 0, 0, 0]]).astype(np.dtype(dtype)).T
    with jax.enable_x64(True):
        values, order = table["TopK"](
            xp, xp.asarray(x), ints(3), axis=0, largest=largest
        )
    assert np.asarray(order).dtype == np.int64
    assert values.dtype == x.dtype
    assert order.T.tolist() == [[0, 2, 3] if largest else [1, 4, 3], [0, 1, 2]]
    assert values[:, 0].astype(int).tolist() == ([3, 3, 2] if largest else [1, 1, 2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_top_k_extremes(backend: str):
    """No negation overflows, nan is the largest, and unwanted outputs are None."""
    xp, kernel = np, indexing.KERNELS["TopK"]
    if backend == "jax":
        xp, kernel = jnp, jax_indexing.KERNELS["TopK"]
    x = np.array([5, -128, 127], np.int8)
    values, order = kernel(xp, x, ints(2), largest=0, outputs=(True, False))
    assert values.tolist() == [-128, 5]
    assert order is None
    x = np.array([1, np.nan, np.inf], np.float32)
    with jax.enable_x64(True):
        assert kernel(xp, x, ints(2))[1].tolist() == [1, 2]
        assert kernel(xp, x, ints(2), largest=0)[1].tolist() == [0, 2]
        assert kernel(xp, EMPTY, ints(0), axis=0)[0].shape == (0, 3)


def test_nonzero_scalar():
    assert indexing.nonzero(np, np.array(2.0)).shape == (0, 1)
    assert indexing.nonzero(np, EMPTY).shape == (2, 0)


def test_compress_short_condition():
    found = indexing.compress(np, ramp(3, 2), np.array([False, True]))
    assert found.tolist() == [1]


@pytest.mark.parametrize("sort", [0, 1])
@pytest.mark.parametrize(
    "x", [ints(2, 1, 1, 3, 4, 3), np.array(["b", "a", "b"], object)]
)
def test_unique_outputs(sort: int, x: Any):
    y, first, inverse, counts = indexing.unique(np, x, sorted=sort)
    assert first is not None
    assert y.tolist() == (sorted(set(x)) if sort else list(dict.fromkeys(x)))
    assert np.array_equal(x[first], y)
    assert np.array_equal(y[inverse], x)
    assert counts.tolist() == [x.tolist().count(v) for v in y]
    assert {first.dtype, inverse.dtype, counts.dtype} == {np.dtype(np.int64)}


def test_unique_rows_in_order():
    x = np.array([[2, 1], [0, 0], [2, 1]], np.float16)
    y, *rest = indexing.unique(np, x, axis=-2, sorted=0, outputs=(True, False))
    assert y.tolist() == [[2, 1], [0, 0]]
    assert rest == [None]


def test_non_max_suppression_without_limit():
    boxes, scores = ramp(1, 3, 4), ramp(1, 1, 3)
    assert indexing.non_max_suppression(np, boxes, scores).shape == (0, 3)
    found = indexing.non_max_suppression(
        np, boxes, scores, ints(5), score_threshold=ints(0)
    )
    assert found.tolist() == [[0, 0, 2], [0, 0, 1]]

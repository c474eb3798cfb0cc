"""Exact products of 8-bit integers against 64-bit arithmetic, at every extreme."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.kernels.integer_products import (
    even_step,
    exact_product,
    exact_sum,
    exact_terms,
    prepared_columns,
    reach,
)

NAMESPACES = (np, jnp)
PAIRS = [(a, b) for a in ("int8", "uint8") for b in ("int8", "uint8")]


def draws(dtype: str, *shape: int, seed: int = 0) -> Any:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def wrapped(a: Any, b: Any, left: Any = 0, right: Any = 0) -> Any:
    """What int32 arithmetic makes of it, overflow and all."""
    wide = (a.astype(np.int64) - left) @ (b.astype(np.int64) - right)
    return wide.astype(np.int32)


def product(xp: Any, *operands: Any) -> Any:
    """Of arrays, and on JAX as a program has it: traced."""
    with jax.enable_x64(True):
        if xp is np:
            return exact_product(np, *operands)
        return np.asarray(jax.jit(lambda *x: exact_product(jnp, *x))(*operands))


@pytest.mark.parametrize("xp", NAMESPACES)
@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("depth", [257, 65536])
def test_extremes(xp: Any, a: str, b: str, depth: int) -> None:
    """Rows and columns of nothing but limits, where sums are largest."""
    low, high = ([np.iinfo(t).min, np.iinfo(t).max] for t in (a, b))
    left = np.stack([np.full(depth, v, a) for v in low] + [draws(a, depth)])
    right = np.stack(
        [np.full(depth, v, b) for v in high] + [draws(b, depth, seed=1)], 1
    )
    for zeros in ((None, None), (low[0], high[1]), (low[1], high[0]), (3, 5)):
        given = [
            None if z is None else np.array(z, t)
            for z, t in zip(zeros, (a, b), strict=True)
        ]
        found = product(xp, left, right, *given)
        assert found.dtype == np.int32
        wanted = wrapped(left, right, *(0 if z is None else z for z in zeros))
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("b", ["int8", "uint8"])
@pytest.mark.parametrize("depth", [1, 257, 1024, 65536])
def test_prepared_extremes(b: str, depth: int) -> None:
    """A right side that is prepared is cut by what it holds, and no result differs."""
    high = [np.iinfo(b).min, np.iinfo(b).max, 0]
    right = np.stack([np.full(depth, v, b) for v in high] + [draws(b, depth)], 1)
    left = np.stack([np.full(depth, v, "uint8") for v in (0, 255)])
    for columns in (right, right[:, 2:], right[:, 2:3]):
        for a0, b0 in ((0, None), (255, high[0]), (3, high[1])):
            zero = None if b0 is None else np.array(b0, b)
            prepared = prepared_columns(np, columns, zero)
            turned = prepared_columns(np, columns.T, zero, transB=1)
            assert turned[1] == prepared[1]
            found = exact_product(np, left, prepared, np.array(a0, np.uint8))
            np.testing.assert_array_equal(found, wrapped(left, columns, a0, b0 or 0))
    assert prepared_columns(np, right[:, 2:3])[1] == depth  # zeros never add up


def test_prepared_pieces() -> None:
    """As few as the largest column allows: 255 * 64 * 1024 is just below 2**24."""
    for size, count in ((64, 1), (65, 2), (127, 2)):
        full = np.full((1024, 2), size, np.int8)
        full[:, 0] = 1
        assert prepared_columns(np, full)[1] == 1024 // count
    zeros = np.array([-128, 0], np.int8)
    assert prepared_columns(np, np.full((1024, 2), 127, np.int8), zeros)[1] == 256


def test_small_numbers_need_no_pieces() -> None:
    """A zero point in the middle halves what the left side holds, its end does not."""
    b = np.full((1024, 1), 127, np.int8)
    a = np.stack([np.zeros(1024, np.uint8), np.full(1024, 255, np.uint8)])
    prepared = prepared_columns(np, b)
    assert prepared[1:] == (512, 127 * 1024)
    for zero in (0, 126, 127, 128, 255):
        found = exact_product(np, a, prepared, np.array(zero, np.uint8))
        np.testing.assert_array_equal(found, wrapped(a, b, zero))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3, 700), (700, 5)),
        ((2, 1, 3, 700), (4, 700, 5)),
        ((700,), (700, 5)),
        ((0, 4), (4, 3)),
        ((3, 0), (0, 2)),
        ((3, 4), (4, 0)),
    ],
)
def test_prepared_shapes(left: Any, right: Any) -> None:
    a, b = draws("uint8", *left), draws("int8", *right, seed=1)
    zeros = np.array(7, np.uint8), np.array(-3, np.int8)
    found = exact_product(np, a, prepared_columns(np, b, zeros[1]), zeros[0])
    wanted = wrapped(a, b, 7, -3)
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("xp", NAMESPACES)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((7, 1500), (1500, 1100)),
        ((2, 3, 700), (700, 5)),
        ((2, 1, 3, 700), (4, 700, 5)),
        ((700,), (700, 5)),
        ((3, 700), (700,)),
        ((700,), (700,)),
        ((2, 3, 2000), (2, 2000, 1)),
        ((0, 4), (4, 3)),
        ((3, 0), (0, 2)),
    ],
)
def test_shapes(xp: Any, left: Any, right: Any) -> None:
    a, b = draws("uint8", *left), draws("int8", *right, seed=1)
    zeros = np.array(7, np.uint8), np.array(-3, np.int8)
    found = product(xp, a, b, *zeros)
    wanted = wrapped(a, b, 7, -3)
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("xp", NAMESPACES)
def test_zero_points_by_row_and_column(xp: Any) -> None:
    a, b = draws("uint8", 5, 1300), draws("int8", 1300, 1030, seed=1)
    rows, columns = draws("uint8", 5, seed=2), draws("int8", 1030, seed=3)
    found = product(xp, a, b, rows, columns)
    wide = columns.astype(np.int64)
    wanted = wrapped(a, b, rows.astype(np.int64)[:, None], wide)
    np.testing.assert_array_equal(found, wanted)


def test_reach() -> None:
    """The bound is that of the type and its zero points, not of the data."""
    assert reach(np.zeros(1, np.int8), None) == 128
    assert reach(np.zeros(1, np.uint8), np.array([120, 128], np.uint8)) == 135
    assert reach(np.zeros(1, np.uint8), np.array([0], np.uint8)) == 255
    a, b = np.zeros(1, np.uint8), np.zeros(1, np.int8)
    assert exact_terms(a, b, None, None) == 2**24 // (255 * 128)


def test_pieces_are_about_equal() -> None:
    """A depth just above the limit is no piece of the limit and one of the rest."""
    assert even_step(1024, 970) == 512
    assert even_step(4096, 970) == 832
    assert even_step(700, 970) == 704
    assert even_step(971, 970) == 496
    assert even_step(5, 4) == 4
    assert even_step(0, 970) == 1
    assert even_step(100, 0) == 1


def test_sums_of_products() -> None:
    """Products that each fit are added up in int32 when together they do not."""
    layer, seen = np.full((1, 5), 255, np.float32), np.full((5, 2), 128, np.float32)
    for count, terms in ((1, 5), (3, 12), (300, 5), (300, 514), (2, 2)):
        total = np.empty((1, 2), np.int32)
        products = ((layer, seen) for _ in range(count))
        exact_sum(products, terms, total, np.empty((2, 1, 2), np.float32))
        assert total.tolist() == [[count * 5 * 255 * 128] * 2]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize(
    ("channels", "kernel", "how"),
    [
        (1200, [3, 3], {"pads": [1, 1, 1, 1]}),
        (600, [1, 1], {}),
        (130, [3, 2], {"strides": [2, 1], "dilations": [1, 2]}),
        (600, [5], {"pads": [2, 2]}),
        (8, [3, 3], {"group": 4, "pads": [1, 0, 0, 1]}),
    ],
)
def test_convolution_extremes(
    run_kernel: Any, channels: int, kernel: list[int], how: Any, backend: str
) -> None:
    """Nothing but limits, so that the largest sums there are come up."""
    x = np.zeros((2, channels, *(6 for _ in kernel)), np.uint8)
    x[0] = 255
    w = np.full((4, channels // how.get("group", 1), *kernel), -128, np.int8)
    w[1::2] = 127
    zeros = np.array(0, np.uint8), np.array(100, np.int8)
    names = ["x", "w", "x0", "w0"]
    node = helper.make_node("ConvInteger", names, ["y"], **how)
    (found,) = run_kernel(node, [x, w, *zeros], backend)
    plain = helper.make_node("Conv", ["x", "w"], ["y"], **how)
    wide = [x.astype(np.float64), w.astype(np.float64) - 100]
    (wanted,) = run_kernel(plain, wide, "numpy")
    np.testing.assert_array_equal(found, wanted.astype(np.int64))
    assert found.dtype == np.int32


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_convolution_pads_with_the_zero_point(run_kernel: Any, backend: str) -> None:
    x, w = draws("uint8", 1, 3, 4, 4), draws("int8", 2, 3, 3, 3)
    zero = np.array(130, np.uint8)
    node = helper.make_node("ConvInteger", ["x", "w", "z"], ["y"], pads=[1, 1, 1, 1])
    (found,) = run_kernel(node, [x, w, zero], backend)
    inner = helper.make_node("ConvInteger", ["x", "w", "z"], ["y"])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=130)
    (wanted,) = run_kernel(inner, [padded, w, zero], backend)
    np.testing.assert_array_equal(found, wanted)

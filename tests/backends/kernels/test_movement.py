"""Movement kernels against ONNX's node tests and its reference evaluator."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.jax import movement as jax_movement
from sardonyx.backends.kernels import movement

BACKENDS = ("numpy", "jax")
OFFICIAL = sorted(movement.KERNELS)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def ramp(*shape: int, dtype: Any = np.float32) -> Any:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


EMPTY = np.zeros((2, 0, 3), np.float32)
CASES = {
    "reshape_scalar": ("Reshape", {}, [ramp(1), ints()]),
    "reshape_empty": ("Reshape", {}, [EMPTY, ints(0, 0, 3)]),
    "reshape_half": ("Reshape", {}, [ramp(2, 3, dtype=np.float16), ints(-1)]),
    "transpose_scalar": ("Transpose", {}, [ramp(1)[0]]),
    "squeeze_all": ("Squeeze", {}, [ramp(1, 3, 1)]),
    "unsqueeze_scalar": ("Unsqueeze", {}, [np.array(3.0), ints(0, -1)]),
    "flatten_vector": ("Flatten", {"axis": 0}, [ramp(3)]),
    "flatten_negative": ("Flatten", {"axis": -1}, [ramp(2, 3, 4)]),
    "concat_ints": ("Concat", {"axis": -1}, [ramp(2, 3, dtype=int)] * 3),
    "concat_empty": ("Concat", {"axis": 1}, [EMPTY, ramp(2, 1, 3)]),
    "slice_mixed": (
        "Slice",
        {},
        [ramp(4, 5), ints(-1, 1), ints(-99, 99), ints(-1, 0), ints(-2, 3)],
    ),
    "slice_past_end": ("Slice", {}, [ramp(4), ints(9), ints(12)]),
    "slice_empty": ("Slice", {}, [EMPTY, ints(0), ints(9), ints(1), ints(-1)]),
    "slice_int32": (
        "Slice",
        {},
        [ramp(4, dtype=np.int32), np.array([1], np.int32), np.array([3], np.int32)],
    ),
    "expand_scalar": ("Expand", {}, [np.array(2, np.int32), ints(2, 3)]),
    "expand_both": ("Expand", {}, [ramp(3, 1), ints(2, 1, 4)]),
    "expand_smaller": ("Expand", {}, [ramp(3, 4), ints(1)]),
    "expand_empty": ("Expand", {}, [ramp(1, 3), ints(0, 3)]),
    "tile_zero": ("Tile", {}, [ramp(2, 3), ints(0, 2)]),
    "tile_scalar": ("Tile", {}, [np.array(2.5), ints()]),
    "pad_empty": ("Pad", {}, [EMPTY, ints(0, 1, 0, 0, 2, 0)]),
    "pad_bool": ("Pad", {}, [np.array([True]), ints(1, 2)]),
    "pad_axes_int32": (
        "Pad",
        {},
        [
            ramp(2, 3, dtype=np.int64),
            ints(1, 2),
            np.array(7),
            np.array([-1], np.int32),
        ],
    ),
    "pad_reflect": ("Pad", {"mode": "reflect"}, [ramp(3, 4), ints(0, 3, 2, 1)]),
    "pad_edge": ("Pad", {"mode": "edge"}, [ramp(3, 4), ints(0, 5, 2, 1)]),
    "shape_scalar": ("Shape", {}, [np.array(1.0)]),
    "shape_clipped": ("Shape", {"start": -9, "end": 9}, [ramp(2, 3)]),
    "size_empty": ("Size", {}, [EMPTY]),
    "fill_default": ("ConstantOfShape", {}, [ints(2, 0)]),
    "fill_scalar": ("ConstantOfShape", {}, [ints()]),
    "range_none": ("Range", {}, [np.array(3), np.array(3), np.array(1)]),
    "range_down": ("Range", {}, [np.array(3), np.array(-4), np.array(-3)]),
    "range_wide": ("Range", {}, [np.array(0.0), np.array(1.0), np.array(0.1)]),
    "trilu_batch": ("Trilu", {}, [ramp(2, 3, 4), np.array(-1)]),
    "trilu_far": ("Trilu", {"upper": 0}, [ramp(3, 4, dtype=int), np.array(2**40)]),
    "trilu_half": ("Trilu", {"upper": 0}, [ramp(3, 4, dtype=np.float16)]),
    "eye_bool": ("EyeLike", {"dtype": 9, "k": -1}, [ramp(3, 4)]),
    "eye_half": ("EyeLike", {"k": 1}, [ramp(3, 4, dtype=np.float16)]),
    "reverse_rank_3": ("ReverseSequence", {}, [ramp(3, 2, 4), ints(3, 1)]),
    "crop": ("CenterCropPad", {}, [ramp(5, 4), ints(2, 7)]),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OFFICIAL)
def test_official(check_official: Any, op_type: str, backend: str):
    check_official(op_type, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_reference(check_reference: Any, case: str, backend: str):
    op_type, attributes, arrays = CASES[case]
    names = [f"x{i}" for i in range(len(arrays))]
    node = helper.make_node(op_type, names, ["y"], **attributes)
    check_reference(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("count", "wanted"), [(2, "y"), (3, "y"), (4, "")])
def test_split_uneven(check_reference: Any, count: int, wanted: str, backend: str):
    outputs = [wanted and f"y{i}" for i in range(count - 1)] + ["z"]
    node = helper.make_node("Split", ["x"], outputs, num_outputs=count, axis=-1)
    check_reference(node, [ramp(2, 7)], backend)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("xp", [np, jnp])
def test_pad_negative(xp: Any, mode: str):
    x = ramp(3, 6)
    found = movement.pad(xp, x, ints(0, -2, 1, 2), mode=mode)
    assert np.array_equal(found, np.pad(x[:, 2:], ((0, 1), (0, 2)), mode=mode))


def test_flatten_empty():
    """The reference evaluator refuses zero sizes here."""
    assert movement.flatten(np, EMPTY, axis=-1).shape == (0, 3)


def test_pad_strings():
    found = movement.pad(np, np.array(["a"], object), ints(1, 0))
    assert found.tolist() == ["", "a"]


def test_pad_refuses_mode():
    with pytest.raises(ValueError, match="'fold'"):
        movement.pad(np, ramp(3), ints(1, 1), mode="fold")


def test_slice_start_before_first():
    """Going down, a start before the first element is clamped to it."""
    assert movement.slice_axes(
        np, ramp(3), ints(-9), ints(-99), None, ints(-1)
    ).tolist() == [0]


def test_split_refuses_sizes():
    with pytest.raises(ValueError, match="cannot split size 4"):
        movement.split(np, ramp(4), ints(1, 2), outputs=(True, True))


def test_range_stash_type():
    start, limit, delta = (np.array(v, np.float16) for v in (2040, 2060, 0.5))
    stashed = movement.range_of(np, start, limit, delta)
    assert stashed.dtype == np.float16
    assert np.array_equal(stashed, np.arange(2040, 2060, 0.5, np.float32).astype("f2"))
    with pytest.raises(ValueError, match="stash_type is 11"):
        movement.range_of(np, start, limit, delta, stash_type=11)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.int4, np.complex64])
def test_moves_every_dtype(dtype: Any):
    """Pad, Tile, Concat and Slice keep element types that NumPy does not know."""
    x = np.array([1, 2, 3], dtype)
    for xp in (np, jnp):
        doubled = movement.tile(xp, x, ints(2))
        joined = movement.concat(xp, doubled, x, axis=0)
        part = movement.slice_axes(xp, joined, ints(2), ints(6), None, ints(3))
        found = movement.pad(xp, part, ints(1, 0))
        assert found.dtype == dtype
        assert np.array_equal(np.asarray(found), np.array([0, 3, 3], dtype))


def test_shape_chain_stays_numpy():
    """A shape computed from a traced array is known while tracing."""

    def rows(x: Any) -> Any:
        sizes = movement.shape_of(jnp, x)
        batch = movement.slice_axes(np, sizes, ints(0), ints(1))
        shape = movement.concat(np, batch, ints(-1), axis=0)
        assert type(shape) is np.ndarray
        assert shape.dtype == np.int64
        return movement.reshape(jnp, x, shape)

    assert jax.jit(rows)(ramp(2, 3, 4)).shape == (2, 12)


@pytest.mark.parametrize("dtype", ["int2", "uint2", "int4", "float32"])
def test_concat_of_few_bits(dtype: str):
    """XLA's CPU compiler aborts on two-bit elements unless they are widened."""
    x = np.array([[1, 0], [0, 1]]).astype(np.dtype(dtype))
    concat = jax_movement.KERNELS["Concat"]
    for axis in (0, 1):
        found = jax.jit(lambda a, axis=axis: concat(jnp, a, a, axis=axis))(x)
        assert found.dtype == x.dtype
        assert np.array_equal(found, np.concatenate((x, x), axis=axis))
    assert type(concat(np, x, x, axis=0)) is np.ndarray

"""Image kernels."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnxruntime import InferenceSession

BACKENDS = ("numpy", "jax")
OPS = (
    "AffineGrid",
    "Col2Im",
    "DepthToSpace",
    "GridSample",
    "Resize",
    "RoiAlign",
    "SpaceToDepth",
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


COARSE = {
    "test_gridsample_bicubic": "wanted to four places only",
    "test_roialign_aligned_false": "wanted to four places only",
    "test_roialign_aligned_true": "wanted to four places only",
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend, skip=COARSE)


SAMPLED = [
    (mode, padding_mode)
    for mode in ("nearest", "linear", "cubic")
    for padding_mode in ("zeros", "border", "reflection")
    # There the evaluator is not PyTorch's function: see below.
    if (mode, padding_mode) != ("cubic", "border")
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("mode", "padding_mode"), SAMPLED)
@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("shape", [(2, 2, 4, 5), (1, 2, 3, 4, 2)])
def test_grid_sample(
    check_reference: Any,
    mode: str,
    padding_mode: str,
    align_corners: int,
    shape: tuple[int, ...],
    backend: str,
) -> None:
    x = rng().standard_normal(shape).astype(np.float32)
    points = (shape[0], *(3,) * (len(shape) - 2), len(shape) - 2)
    grid = rng(1).uniform(-1.7, 1.7, points).astype(np.float32)
    node = helper.make_node(
        "GridSample",
        ["x", "grid"],
        ["y"],
        mode=mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
    )
    # The weights come from float32 points, whose rounding an interpolation magnifies.
    check_reference(node, [x, grid], backend, factor=4)


def cubic_shares(t: float) -> list[float]:
    """The weights of four taps, the point `t` behind the second (Keys 1981)."""
    a = -0.75
    near = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (t, 1 - t)]
    far = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (t + 1, 2 - t)]
    return [far[0], *near, far[1]]


def sampled_at_border(x: Any, point: Any, align_corners: int) -> Any:
    """The value of `x` at `point` as PyTorch defines it: every tap stays inside."""
    value = x.astype(np.float64)
    for coordinate, length in zip(reversed(point), x.shape, strict=True):
        span = length - 1 if align_corners else length
        place = (coordinate * span + length - 1) / 2
        base = int(np.floor(place))
        taps = np.clip(range(base - 1, base + 3), 0, length - 1)
        value = np.tensordot(cubic_shares(place - base), value[taps], 1)
    return value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("shape", [(2, 2, 4, 5), (1, 2, 3, 4, 2)])
def test_cubic_samples_at_the_border(
    run_kernel: Any,
    assert_close: Any,
    shape: tuple[int, ...],
    align_corners: int,
    backend: str,
) -> None:
    """
    PyTorch's, to which ONNX's text points, and ONNX Runtime's (in two dimensions).

    ONNX's evaluator clamps the point rather than its taps and is up to 0.3 away.
    """
    x = rng().standard_normal(shape).astype(np.float32)
    points = (shape[0], *(3,) * (len(shape) - 2), len(shape) - 2)
    grid = rng(1).uniform(-1.7, 1.7, points).astype(np.float32)
    grid[(0,) * (len(points) - 1)] = 1e30
    how = {"mode": "cubic", "padding_mode": "border", "align_corners": align_corners}
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], **how)
    (found,) = run_kernel(node, [x, grid], backend)
    if len(shape) == 4:
        wanted = by_runtime(node, x, grid)
        finite = np.abs(grid).max(-1)[:, None] < 1e9
        assert_close(np.where(finite, found, 0), np.where(finite, wanted, 0), 8)
    for place in np.ndindex(found.shape):
        point = grid[(place[0], *place[2:])].clip(-9, 9)
        wanted = sampled_at_border(x[place[:2]], point, align_corners)
        assert abs(found[place] - wanted) < 2e-5


def by_runtime(node: Any, x: Any, grid: Any) -> Any:
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in (("x", x), ("grid", grid))
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "sample", infos, outputs)
    imports = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    session = InferenceSession(model.SerializeToString())
    return session.run(None, {"x": x, "grid": grid})[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "transformation",
    [
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_crop_and_resize",
    ],
)
@pytest.mark.parametrize("sizes", [(2, 3, 9, 4), (2, 3, 3, 11)])
def test_resize(
    check_reference: Any, mode: str, transformation: str, sizes: Any, backend: str
) -> None:
    x = rng().standard_normal((2, 3, 5, 7)).astype(np.float32)
    roi = np.array([0, 0, 0.13, -0.21, 1, 1, 0.81, 1.12], np.float32)
    node = helper.make_node(
        "Resize",
        ["x", "roi", "", "sizes"],
        ["y"],
        mode=mode,
        coordinate_transformation_mode=transformation,
        extrapolation_value=7.0,
    )
    check_reference(node, [x, roi, None, np.array(sizes, np.int64)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude_outside", [0, 1])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_resize_axes_by_scales(
    check_reference: Any,
    mode: str,
    exclude_outside: int,
    antialias: int,
    dtype: Any,
    backend: str,
) -> None:
    x = rng(1).integers(0, 256, (2, 8, 3, 9)).astype(dtype)
    scales = np.array([0.6, 1.7], np.float32)
    node = helper.make_node(
        "Resize",
        ["x", "", "scales"],
        ["y"],
        mode=mode,
        axes=[3, 1],
        exclude_outside=exclude_outside,
        antialias=antialias,
    )
    check_reference(node, [x, None, scales], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("transformation", ["half_pixel", "output_half_pixel"])
def test_roi_align(
    check_reference: Any, mode: str, ratio: int, transformation: str, backend: str
) -> None:
    x = rng().standard_normal((2, 3, 9, 11)).astype(np.float32)
    rois = np.array([[0, 0, 8, 8], [3.3, 1.2, 21, 9.5], [-4, -9, 30, 40]], np.float32)
    node = helper.make_node(
        "RoiAlign",
        ["x", "rois", "batches"],
        ["y"],
        mode=mode,
        sampling_ratio=ratio,
        coordinate_transformation_mode=transformation,
        output_height=2,
        output_width=3,
        spatial_scale=0.5,
    )
    check_reference(node, [x, rois, np.array([0, 1, 0], np.int64)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("align_corners", [0, 1])
def test_affine_grid_in_three_dimensions(
    run_kernel: Any, assert_close: Any, align_corners: int, backend: str
) -> None:
    theta = rng().standard_normal((2, 3, 4)).astype(np.float32)
    size = np.array([2, 1, 3, 1, 5], np.int64)
    node = helper.make_node(
        "AffineGrid", ["theta", "size"], ["y"], align_corners=align_corners
    )
    (y,) = run_kernel(node, [theta, size], backend)
    # The point in the middle of the last axis and of the second, at the first plane.
    z = -1 if align_corners else -2 / 3
    point = np.array([0, 0, z, 1])
    assert y.shape == (2, 3, 1, 5, 3)
    assert_close(y[:, 0, 0, 2], (theta @ point).astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
def test_col2im(check_reference: Any, backend: str) -> None:
    x = rng().standard_normal((2, 18, 12)).astype(np.float32)
    shape, block = np.array([8, 5], np.int64), np.array([3, 2], np.int64)
    node = helper.make_node(
        "Col2Im",
        ["x", "shape", "block"],
        ["y"],
        strides=[2, 1],
        pads=[1, 0, 0, 0],
        dilations=[2, 2],
    )
    check_reference(node, [x[:, :, :9], shape, block], backend)

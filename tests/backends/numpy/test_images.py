"""Images with channels last on NumPy, beside ONNX Runtime's with channels second."""

from itertools import product
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from sardonyx.backends.numpy import nhwc, winograd

ONES = (1, 1)


def by_runtime(op_type: str, arrays: list[Any], **attributes: Any) -> Any:
    """What ONNX Runtime gives for one node on ``[n, c, h, w]``."""
    kinds = [helper.make_tensor_value_info(n, 1, a.shape) for n, a in arrays]
    node = helper.make_node(op_type, [n for n, _ in arrays], ["y"], **attributes)
    result = helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph([node], "one", kinds, [result])
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(arrays))[0]


def random(*shape: int) -> Any:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def last(image: Any) -> Any:
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1))


def check_conv(
    assert_close: Any, x: Any, w: Any, b: Any, constant: bool = False, **window: Any
) -> None:
    given = [("x", x), ("w", w), *([] if b is None else [("b", b)])]
    wanted = last(by_runtime("Conv", given, **window))
    packed = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    packed.flags.writeable = not constant
    # A view with other strides, as a Transpose leaves it.
    image = x.transpose(0, 2, 3, 1)
    out = np.full(wanted.shape, np.nan, np.float32)
    found = nhwc.image_conv(np, image, packed, b, out=out, **window)
    assert found is out
    assert_close(found, wanted, factor=4)
    again = nhwc.image_conv(np, last(x), packed, b, **window)
    assert again.tobytes() == found.tobytes()


KINDS = [(4, 1, 6), (4, 4, 4), (6, 2, 4), (4, 4, 8), (3, 1, 5)]
"""Channels, groups, maps."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 4), (2, 3)])
def test_convolutions(assert_close: Any, kind: Any, kernel: Any) -> None:
    channels, group, maps = kind
    w = random(maps, channels // group, *kernel)
    places = product([ONES, (2, 2), (2, 1)], [ONES, (2, 1)], [(0,) * 4, (0, 2, 1, 1)])
    for strides, dilations, pads in places:
        window = {"strides": strides, "dilations": dilations, "pads": pads}
        for sizes, b in (((9, 11), None), ((7, 8), random(maps))):
            x = random(2, channels, *sizes)
            check_conv(assert_close, x, w, b, group=group, **window)


@pytest.mark.parametrize("limit", ["UNFOLDED", "PIECE"])
def test_convolutions_in_several_blocks(
    assert_close: Any, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(nhwc, limit, 50)
    x, pads = random(2, 4, 17, 9), (1, 0, 1, 2)
    for group, maps, strides in (
        (1, 3, ONES),
        (1, 40, ONES),
        (2, 6, (2, 1)),
        (4, 4, ONES),
    ):
        w = random(maps, 4 // group, 3, 3)
        check_conv(assert_close, x, w, None, group=group, strides=strides, pads=pads)


@pytest.mark.parametrize("tiled", [1 << 20, 1000])
@pytest.mark.parametrize("sizes", [(8, 8), (7, 9), (4, 13)])
def test_winograd(
    assert_close: Any, monkeypatch: pytest.MonkeyPatch, sizes: Any, tiled: int
) -> None:
    monkeypatch.setattr(winograd, "TILED", tiled)
    monkeypatch.setattr(nhwc, "TILED_CHANNELS", 4)
    used: list[Any] = []
    products = winograd.tiled_products

    def counted(*given: Any) -> None:
        used.append(given)
        products(*given)

    monkeypatch.setattr(nhwc, "tiled_products", counted)
    w = random(5, 6, 3, 3)
    for pads in ((1, 1, 1, 1), (0, 0, 0, 0), (0, 2, 1, 1)):
        x = random(2, 6, *(n + 2 for n in sizes))
        check_conv(assert_close, x, w, random(5), constant=True, pads=pads)
    assert len(used) == 6


def test_weights_are_transformed_once_and_only_if_they_stay() -> None:
    w = random(3, 3, 6, 5)
    assert not nhwc.is_tiled(w, (8, 8))
    w.flags.writeable = False
    made = winograd.transformed(w)
    assert winograd.transformed(w) is made
    known = id(w)
    del w
    other = random(3, 3, 6, 5) + 1
    other.flags.writeable = False
    assert not np.array_equal(winograd.transformed(other), made)
    assert known == id(other) or known not in winograd.TRANSFORMED


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3)])
def test_pooling(assert_close: Any, op_type: str, kernel: Any) -> None:
    kernels = {"MaxPool": nhwc.image_max_pool, "AveragePool": nhwc.image_average_pool}
    x = random(2, 5, 9, 14)
    pads = [(0,) * 4, *([(1, 0, 0, 1), (1, 1, 1, 1)] if min(kernel) > 1 else [])]
    for strides, dilations, pad, ceil in product(
        [ONES, (2, 2), (3, 1)], [ONES, (2, 1)], pads, [0, 1]
    ):
        window: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
        window |= {"dilations": dilations, "pads": pad, "ceil_mode": ceil}
        wanted = last(by_runtime(op_type, [("x", x)], **window))
        out = np.full(wanted.shape, np.nan, np.float32)
        assert kernels[op_type](np, last(x), out=out, **window) is out
        assert_close(out, wanted)


@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_local_response(assert_close: Any, beta: float) -> None:
    x = random(2, 7, 5, 6)
    for size in (1, 3, 5, 9):
        given = {"size": size, "alpha": 0.3, "beta": beta, "bias": 1.5}
        wanted = last(by_runtime("LRN", [("x", x)], **given))
        assert_close(nhwc.image_lrn(np, last(x), **given), wanted, factor=2)


def test_batch_normalization(assert_close: Any) -> None:
    x = random(2, 3, 40, 41)
    statistics = [np.abs(random(3)) + shift for shift in (0.5, 1, 2, 3)]
    named = zip(("scale", "bias", "mean", "variance"), statistics, strict=True)
    wanted = last(by_runtime("BatchNormalization", [("x", x), *named]))
    found = nhwc.image_batch_normalization(np, last(x), *statistics)
    assert_close(found, wanted, factor=2)

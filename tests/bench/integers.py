"""
What 8-bit products cost on the NumPy backend beside float32 of the same shape.

    python tests/bench/integers.py

Programs as they are compiled, the weight a constant: MatMulInteger beside MatMul,
ConvInteger beside Conv. In rounds of short blocks, one after the other; the median of
the rounds' ratios. Issue 4 asks for at most 1.3, for 16 rows and more and a depth of up
to 4096. Exit code 1 if one is above.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from sardonyx.compiler import compile_model

LIMIT = 1.3
ROUNDS, BLOCK_SECONDS = 15, 0.02

MATRICES = [
    (16, 256, 256),
    (16, 512, 512),
    (16, 1024, 1024),
    (16, 2048, 2048),
    (16, 4096, 4096),
    (16, 384, 1536),
    (16, 768, 3072),
    (64, 768, 768),
    (128, 384, 384),
    (512, 512, 512),
]
"""Rows, depth, columns."""
IMAGES = [
    (3, 64, 7, 2, 224),
    (64, 64, 3, 1, 56),
    (64, 256, 1, 1, 56),
    (256, 64, 1, 1, 56),
    (128, 128, 3, 1, 28),
    (256, 256, 3, 1, 14),
    (512, 512, 3, 1, 7),
    (2048, 512, 1, 1, 7),
]
"""Channels, filters, kernel, stride, and the height of a square image."""


def draws(dtype: str, *shape: int) -> Any:
    limits, rng = np.iinfo(dtype), np.random.default_rng(0)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def program(op: str, x: Any, weight: Any, **attributes: Any) -> Callable[[], Any]:
    """A call of the compiled program of one product with a constant weight."""
    names, held = ["x", "w"], {"w": weight}
    if op.endswith("Integer"):
        names, held = [*names, "x0"], held | {"x0": np.array(120, np.uint8)}
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "product",
        [helper.make_tensor_value_info("x", element, x.shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    opsets = [helper.make_opsetid("", 21)]
    # O1 leaves the layout as it is: both read the image alike.
    level = "O1" if op.startswith("Conv") else "O2"
    run = compile_model(helper.make_model(graph, opset_imports=opsets), "numpy", level)
    return lambda: run(x)


def ratio(plain: Callable[[], Any], narrow: Callable[[], Any]) -> tuple[float, float]:
    """(Seconds of `plain`, how many times as long `narrow` takes)."""
    counts = [max(1, int(BLOCK_SECONDS / block(run, 3))) for run in (plain, narrow)]
    times: list[float] = []
    ratios: list[float] = []
    for _ in range(ROUNDS):
        first, second = block(plain, counts[0]), block(narrow, counts[1])
        times.append(first)
        ratios.append(second / first)
    return statistics.median(times), statistics.median(ratios)


def block(run: Callable[[], Any], count: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def main() -> int:
    print(f"{'':32}{'float32, ms':>12}{'int8':>8}")
    above = 0
    for rows, depth, columns in MATRICES:
        a, b = draws("uint8", rows, depth), draws("int8", depth, columns)
        narrow = program("MatMulInteger", a, b)
        plain = program("MatMul", a.astype(np.float32), b.astype(np.float32))
        above += told(f"MatMul {rows} x {depth} x {columns}", *ratio(plain, narrow))
    for channels, filters, kernel, stride, size in IMAGES:
        x = draws("uint8", 1, channels, size, size)
        w = draws("int8", filters, channels, kernel, kernel)
        how = {"pads": [kernel // 2] * 4, "strides": [stride] * 2}
        narrow = program("ConvInteger", x, w, **how)
        plain = program("Conv", x.astype(np.float32), w.astype(np.float32), **how)
        what = f"Conv {channels} {filters} {kernel}x{kernel}/{stride} {size}"
        above += told(what, *ratio(plain, narrow))
    return 1 if above else 0


def told(what: str, seconds: float, times: float) -> bool:
    """Print a row; whether it is above the limit."""
    print(f"{what:32}{1e3 * seconds:12.3f}{times:8.2f}", flush=True)
    return times > LIMIT


if __name__ == "__main__":
    sys.exit(main())

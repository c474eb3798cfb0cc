"""Sums over divided dimensions: each device gets the whole, or its part of it."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.compiler.driver import Executable, load, lower
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.passes.sharding.traffic import Collective, collectives


def divided(
    sizes: tuple[int, int, int], layouts: dict[str, str], backend: str = "numpy"
) -> tuple[Any, Any, list[Collective]]:
    """``a @ b`` of [M, K] and [K, N] on 2 x 2 devices: found, wanted, what is sent."""
    m, k, n = sizes
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["y"], "product")],
        "graph",
        [
            helper.make_tensor_value_info("a", 1, [m, k]),
            helper.make_tensor_value_info("b", 1, [k, n]),
        ],
        [helper.make_tensor_value_info("y", 1, [m, n])],
    )
    imports = [helper.make_opsetid("", 21)]
    model = load(helper.make_model(graph, opset_imports=imports, ir_version=10))
    values = ",".join(f'"{name}={dims}"' for name, dims in layouts.items())
    spec = f'shard-values{{mesh="x=2,y=2" values={values}}},partition'
    run_pipeline(model, spec)
    executable = Executable(model, backend, "", lower(model, backend))
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) for shape in ((m, k), (k, n)))
    given = {"a": a.astype(np.float32), "b": b.astype(np.float32)}
    return executable(**given)[0], a @ b, list(collectives(model.module))


SUMMED = {"a": "_,x", "b": "x,_"}
WHOLLY = {"a": "_,x+y", "b": "x+y,_"}
DEEP, FLAT = (8, 64, 16), (64, 4, 64)
SEVERAL_AXES = ("x,y", "_,y+x", "y,_", "x+y,_")
"""How the result lies of a sum over both axes that is completed in parts."""


@pytest.mark.parametrize(
    ("sizes", "layouts", "wanted"),
    [
        # Bytes are of what each device has afterwards: 8 x 16 float32 are 512.
        (DEEP, SUMMED | {"product": "_,_"}, [("all_reduce", 2, 512)]),
        (DEEP, SUMMED | {"product": "x,_"}, [("reduce_scatter", 2, 256)]),
        (DEEP, SUMMED | {"product": "_,x"}, [("reduce_scatter", 2, 256)]),
        (DEEP, SUMMED | {"product": "y,x"}, [("reduce_scatter", 2, 128)]),
        (DEEP, WHOLLY | {"product": "x,y"}, [("reduce_scatter", 4, 128)]),
        (DEEP, WHOLLY | {"product": "_,y+x"}, [("reduce_scatter", 4, 128)]),
        (DEEP, WHOLLY | {"product": "x+y,_"}, [("reduce_scatter", 4, 128)]),
        (
            DEEP,
            WHOLLY | {"product": "y,_"},
            [("reduce_scatter", 2, 256), ("all_reduce", 2, 256)],
        ),
        # Operands of few bytes are sent instead of a large sum.
        (
            FLAT,
            SUMMED | {"product": "x,_"},
            [("all_to_all", 2, 512), ("all_gather", 2, 1024)],
        ),
    ],
)
def test_a_sum_is_completed(
    sizes: tuple[int, int, int], layouts: dict[str, str], wanted: list[Any]
) -> None:
    found, right, sent = divided(sizes, layouts)
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)
    assert [(one.kind, one.devices, one.bytes) for one in sent] == wanted


def errors_on_jax() -> dict[str, float]:
    """The largest error of each layout, on four devices: run as a program."""
    found: dict[str, float] = {}
    for dims in SEVERAL_AXES:
        result, wanted, sent = divided(DEEP, WHOLLY | {"product": dims}, "jax")
        assert any(one.kind == "reduce_scatter" for one in sent), dims
        found[dims] = float(np.abs(np.asarray(result) - wanted).max())
    return found


def test_a_sum_over_several_axes_on_jax() -> None:
    flags = "--xla_force_host_platform_device_count=4"
    ran = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    errors = json.loads(ran.stdout)
    assert tuple(errors) == SEVERAL_AXES
    # Sums of 64 products; those over one axis only would be off by whole numbers.
    assert {dims: error for dims, error in errors.items() if not error < 1e-4} == {}


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        # On a ring of 4, of 1200 bytes afterwards: each device sends its part of the
        # tensor, or terms of another's, three times.
        ("all_gather", 3 * 300),
        ("reduce_scatter", 3 * 1200),
        ("all_reduce", 3 * 300 + 3 * 300),
        ("all_to_all", 3 * 300),
    ],
)
def test_what_a_ring_sends(kind: str, sent: int) -> None:
    assert Collective(kind, 4, 1200, ()).sent == sent


if __name__ == "__main__":
    print(json.dumps(errors_on_jax()))

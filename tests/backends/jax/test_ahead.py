"""The first call compiles once, while the weights are prepared; the second nothing."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.monitoring
import numpy as np
import pytest
from jax._src import monitoring
from onnx import helper
from sardonyx.compiler import compile_model
from sardonyx.compiler.driver import Executable

COMPILED = "/jax/core/compile/backend_compile_duration"
WEIGHT = np.arange(12.0).reshape(3, 4)


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    seen: list[str] = []

    def heard(event: str, duration: float, **_: Any) -> None:
        if event == COMPILED:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield seen
    monitoring.unregister_event_duration_listener(heard)


@pytest.fixture
def product(model_of: Any, value_info: Any, tensor_proto: Any) -> Executable:
    """``x @ w``, in float64."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    infos = [value_info("x", ["n", "k"], "DOUBLE")], [value_info("y", None, "DOUBLE")]
    return compile_model(model_of([node], *infos, [tensor_proto("w", WEIGHT)]), "jax")


def test_a_call_compiles_once_for_each_shape(
    product: Executable, compilations: list[str]
) -> None:
    x, wider = np.ones((2, 3)), np.ones((5, 3))
    for array, wanted in ((x, 1), (x, 1), (wider, 2), (wider, 2), (x, 2)):
        (y,) = product(array)
        assert np.asarray(y).dtype == np.float64
        assert np.array_equal(y, array @ WEIGHT)
        assert len(compilations) == wanted


def test_weights_are_prepared_once(product: Executable) -> None:
    product(np.ones((2, 3)))
    held = product.params
    product(np.ones((2, 3)))
    assert product.params is held


def test_without_the_options_of_this_jax(product: Executable) -> None:
    namespace = product.function.__globals__
    namespace["COMPILER_OPTIONS"].update(xla_cpu_no_such_option="1")
    (y,) = product(np.ones((2, 3)))
    assert np.array_equal(y, np.ones((2, 3)) @ WEIGHT)
    assert not namespace["COMPILER_OPTIONS"]


def test_a_program_that_does_not_trace_says_why(product: Executable) -> None:
    with pytest.raises(TypeError, match="dot_general requires"):
        product(np.ones((2, 5)))

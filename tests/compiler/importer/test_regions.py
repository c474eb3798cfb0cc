"""
Control flow end to end: If, Loop, Scan, SequenceMap on NumPy and on JAX.

The programs stand in the conftest of the folder above; ONNX Runtime says what each must
give.
"""

import re
from typing import Any

import pytest
from sardonyx.compiler.driver import compile_model


@pytest.mark.parametrize("pipeline", ["O0", "O2"])
def test_numpy(case: Any, pipeline: str, oracle: Any, assert_close: Any) -> None:
    compiled = compile_model(case.model(), backend="numpy", pipeline=pipeline)
    check(case, compiled, oracle, assert_close)


def test_jax(case: Any, oracle: Any, assert_close: Any) -> None:
    compiled = compile_model(case.model(), backend="jax", pipeline="O0")
    assert bool(compiled.program.host) == bool(case.host), compiled.program.host
    assert re.search(case.host, "; ".join(compiled.program.host))
    assert compiled.program.fixed == case.fixed
    check(case, compiled, oracle, assert_close)


def check(case: Any, compiled: Any, oracle: Any, assert_close: Any) -> None:
    for place, inputs in enumerate(case.inputs):
        found = compiled(**inputs)
        wanted = case.wanted[place] if case.wanted else oracle(case.model(), inputs)
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b, what=case.name)

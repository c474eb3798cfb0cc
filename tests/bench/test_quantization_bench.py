"""The script that writes docs/quantization.md: its page, and how it times."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sardonyx.compiler.driver import compile_model


@pytest.fixture(name="script")
def script_fixture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delitem(sys.modules, "quantization", raising=False)
    import quantization

    return quantization


def test_the_page_has_times_last_and_gaps_empty(script: ModuleType) -> None:
    rows = {
        "magika": {
            "onnxruntime, products": {"agree, %": 99.4254},
            "W8A8 static": {"bits": 8.0, "agree, %": 100.0, "time, jax": 1.0449},
        }
    }
    lines = script.page(rows, 96).splitlines()
    assert "bytelm on 96 windows of 256 bytes" in lines[2]
    table = lines[lines.index("## magika") + 2 :]
    assert table == [
        "| scheme | agree, % | bits | time, jax |",
        "|---|---:|---:|---:|",
        "| onnxruntime, products | 99.43 |  |  |",
        "| W8A8 static | 100 | 8 | 1.045 |",
    ]


def test_a_slower_program_takes_a_larger_ratio(
    script: ModuleType, mlp_proto: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = compile_model(mlp_proto, "numpy")
    sample = {"x": np.zeros((1, 8), np.float32)}
    clock = {"now": 0.0}
    seconds = {id(plain): 1.0, id(None): 3.0}

    def call(one: Any, given: Any) -> Any:
        clock["now"] += seconds[id(one)]
        return (np.zeros(1),)

    monkeypatch.setattr(script, "call_by_name", call)
    monkeypatch.setattr(script.time, "perf_counter", lambda: clock["now"])
    assert script.ratio(None, plain, sample, 1000.0) == pytest.approx(3.0)


def test_every_plan_and_peer_is_named_once(script: ModuleType) -> None:
    peers = {**script.PEER_SETTINGS, **script.ELEMENTWISE}
    assert len(peers) == 6
    assert not set(peers) & set(script.PLANS)
    products = peers["onnxruntime, products"]["op_types_to_quantize"]
    assert products == ["Conv", "Gemm", "MatMul"]

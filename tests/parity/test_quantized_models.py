"""
Quantized models: what ONNX Runtime's tools write gives what ONNX Runtime makes of it.

A rounded float that falls on the other side of a step moves a whole step, and whatever
follows: a whole model is held to that only loosely where floats are quantized on the
way. Node by node, on ONNX Runtime's own inputs, nothing may differ by more.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.compiler import compile_model

SHARED = Path(__file__).parents[3] / "shared" / "models"
TRAINED = sorted(path.stem for path in SHARED.glob("*.onnx"))
SMALL = ["convolutional", "projected"]
CLASSIFIERS = ["inception_v1", "shufflenet", "squeezenet"]
INTEGER = ["dynamic", "qdq", "qop"]
INTEGER_KINDS = [*INTEGER, *(f"{kind}-channel" for kind in INTEGER)]
BITS_KINDS = [
    "nbits-4-32",
    "nbits-4-128-symmetric",
    "nbits-8-32",
    "nbits-8-128-symmetric",
]

FLOATS = 1e-4
"""The largest error of a real result, relative to the largest element."""

FLIPPED = 0.1
"""What one step that falls otherwise may become in a model's result."""


def named(*names: str) -> list[str]:
    """Those of the trained models that are there."""
    return [name for name in names if name in TRAINED]


def on_all(names: list[str], kinds: list[str]) -> list[tuple[str, str]]:
    return [(name, kind) for name in names for kind in kinds]


WITH_PRODUCTS = [
    "projected",
    *named("bert_tiny_dynamic", "llama_tiny", "magika_v3_3", "vit_tiny"),
]
CASES = [
    *on_all(SMALL, INTEGER_KINDS),
    *on_all([n for n in TRAINED if n not in ("bytelm", "minilm_l6")], INTEGER_KINDS),
    *on_all(["squeezenet"], ["dynamic-channel", "qdq", "qop-channel"]),
    *on_all(WITH_PRODUCTS, BITS_KINDS),
    *on_all(named("bert_tiny_dynamic", "llama_tiny"), ["nbits-4-32-gather"]),
    *on_all(["projected"], ["nbits-4-32-qdq"]),
    *on_all(named("bytelm"), ["dynamic-channel", "qop", "nbits-4-32"]),
    *on_all(["inception_v1", "shufflenet"], ["qop-channel"]),
    *on_all(named("minilm_l6"), ["dynamic-channel"]),
]
# Writing and calibrating the larger models takes longer than judging them.
LARGE = [
    *on_all(named("bytelm", "minilm_l6"), [*INTEGER_KINDS, *BITS_KINDS]),
    *on_all(CLASSIFIERS, INTEGER_KINDS),
]
ON_JAX = [
    *on_all(SMALL, INTEGER),
    *on_all(["projected"], BITS_KINDS),
    *on_all(named("mnist", "gpt2_tiny", "bilstm_tagger"), ["dynamic", "qop-channel"]),
    *on_all(named("llama_tiny"), ["qdq", "nbits-4-32-gather"]),
]


def error_of(found: Any, wanted: Any) -> float:
    scale = max(float(np.abs(wanted).max()), 1e-6)
    return float(np.abs(np.asarray(found, np.float64) - wanted).max()) / scale


def check_whole(path: Path, run_as_written: Any, backend: str, limit: float) -> None:
    """The results agree, or differ as little as steps that fell otherwise explain."""
    feeds, wanted = run_as_written(path)
    results = compile_model(str(path), backend=backend)(**feeds)
    for found, other in zip(results, wanted, strict=True):
        assert np.asarray(found).shape == other.shape
        error = error_of(found, other)
        assert error <= limit, f"error {error:.2g}"


def check_nodes(path: Path, judge: Any, backend: str) -> None:
    judged = judge(path, backend, FLOATS)
    assert not judged.faults
    assert judged.quantized
    # A step falls otherwise at a tie, or where a float was a hair away from one.
    assert judged.moved <= 1e-3 * judged.integers


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_on_numpy(
    quantized_model: Any, judge: Any, run_as_written: Any, name: str, kind: str
) -> None:
    """Every node on ONNX Runtime's own inputs, then the whole model."""
    path = quantized_model(name, kind)
    check_nodes(path, judge, "numpy")
    limit = FLOATS if "nbits" in kind else FLIPPED
    check_whole(path, run_as_written, "numpy", limit)


@pytest.mark.large
@pytest.mark.parametrize(
    ("name", "kind"), [case for case in LARGE if case not in CASES]
)
def test_large_on_numpy(
    quantized_model: Any, judge: Any, run_as_written: Any, name: str, kind: str
) -> None:
    test_on_numpy(quantized_model, judge, run_as_written, name, kind)


@pytest.mark.parametrize(("name", "kind"), ON_JAX)
def test_on_jax(
    quantized_model: Any, run_as_written: Any, name: str, kind: str
) -> None:
    limit = FLOATS if "nbits" in kind else FLIPPED
    check_whole(quantized_model(name, kind), run_as_written, "jax", limit)


@pytest.mark.large
@pytest.mark.parametrize(
    ("name", "kind"), [case for case in [*CASES, *LARGE] if case not in ON_JAX]
)
def test_large_on_jax(
    quantized_model: Any, run_as_written: Any, name: str, kind: str
) -> None:
    test_on_jax(quantized_model, run_as_written, name, kind)


@pytest.mark.parametrize("kind", ["dynamic", "qop"])
@pytest.mark.parametrize("name", SMALL)
def test_nodes_on_jax(quantized_model: Any, judge: Any, name: str, kind: str) -> None:
    """The quantized nodes on JAX, given ONNX Runtime's own inputs."""
    check_nodes(quantized_model(name, kind), judge, "jax")

"""One test of the ONNX backend suite: run it on a backend and judge what comes out."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.runner import Runner
from sardonyx.compiler.onnx_backend import JaxBackend, NumpyBackend
from sardonyx.dialects.errors import SardonyxError

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
BACKENDS = {"numpy": NumpyBackend, "jax": JaxBackend}


@dataclass(frozen=True)
class Result:
    """What one test gave on one backend."""

    name: str
    backend: str
    status: str
    """``pass``, ``wrong`` (ran, but judged wrong), ``refused``, or ``error``."""
    reason: str = ""
    """Why it did not pass, in one line."""
    ulp: float | None = None
    """The largest distance of a float from the expected one, in units of its place."""
    host: tuple[str, ...] = ()
    """On JAX, the nodes that ran on NumPy."""
    operators: tuple[str, ...] = field(default=(), compare=False)
    """The operators that the test is about."""


def load_suite() -> list[TestCase]:
    """Every CPU test of the installed suite, ordered by kind and name."""
    with warnings.catch_warnings():
        # The suite computes expected infinities as it loads.
        warnings.simplefilter("ignore", RuntimeWarning)
        # Its inputs are drawn as it loads: every process is to see the same.
        np.random.seed(0)
        cases = [case for kind in KINDS for case in loader.load_model_tests(kind=kind)]
    return sorted(cases, key=lambda case: (KINDS.index(case.kind), case.name))


# --- running ---


def run_test(case: TestCase, backend: str) -> Result:
    """The result of `case`; whatever goes wrong is part of it."""
    operators: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    try:
        model, data = _content(case)
        operators = _operators(case, model)
        prepared = BACKENDS[backend].prepare(model, "CPU")
        host = getattr(prepared.executable.program, "host", ())
        worst: float | None = None
        for inputs, wanted in data:
            found = prepared.run(inputs)
            worst = _larger(worst, _distance(found, wanted))
            _judge(found, wanted, case)
    except SardonyxError as error:
        return Result(
            case.name, backend, "refused", _line(error), None, host, operators
        )
    except AssertionError as error:
        reason = _mismatch(error)
        return Result(case.name, backend, "wrong", reason, None, host, operators)
    except Exception as error:
        # A crash of any kind is a result: it is reported with the others.
        reason = f"{type(error).__name__}: {_line(error)}"
        return Result(case.name, backend, "error", reason, None, host, operators)
    return Result(case.name, backend, "pass", "", worst, host, operators)


def _judge(found: Any, wanted: Any, case: TestCase) -> None:
    """
    Raise AssertionError unless `found` is `wanted`: the suite's own comparison, of each
    array.

    Around the arrays it is stricter: sequences have the same length, what is absent is
    absent. (The suite's comparison does not look at either, nor into a sequence of
    scalars.)
    """
    if isinstance(wanted, list | tuple):
        assert isinstance(found, list | tuple), f"found no sequence of {len(wanted)}"
        assert len(found) == len(wanted), f"found {len(found)}, wanted {len(wanted)}"
        for one, other in zip(found, wanted, strict=True):
            _judge(one, other, case)
    elif wanted is None:
        assert found is None, "found a value, wanted an empty optional"
    else:
        assert found is not None, "found an empty optional, wanted a value"
        assert not isinstance(found, list | tuple), "found a sequence, wanted an array"
        one, other = np.asarray(found), np.asarray(wanted)
        Runner.assert_similar_outputs([other], [one], case.rtol, case.atol)
        assert one.dtype == other.dtype, f"found {one.dtype}, wanted {other.dtype}"


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0][:200]


def _mismatch(error: AssertionError) -> str:
    """The lines of NumPy's message that say how far off it was."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    telling = [
        line for line in lines if line.startswith(("Mismatched", "Max", "(shap"))
    ]
    return "; ".join(telling or lines[:2])[:200]


# --- what a test consists of ---


def _content(case: TestCase) -> tuple[onnx.ModelProto, list[tuple[list, list]]]:
    if case.model is not None:
        sets = [
            ([_value(item) for item in inputs], [_value(item) for item in outputs])
            for inputs, outputs in case.data_sets or ()
        ]
        return case.model, sets
    assert case.model_dir is not None, f"{case.name} has neither a model nor a folder"
    model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
    folders = sorted(glob.glob(os.path.join(case.model_dir, "test_data_set_*")))
    graph = model.graph
    return model, [
        (_read(folder, "input", graph.input), _read(folder, "output", graph.output))
        for folder in folders
    ]


def _read(folder: str, word: str, infos: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    values: list[Any] = []
    for number, info in enumerate(infos):
        path = os.path.join(folder, f"{word}_{number}.pb")
        if not os.path.exists(path):
            break
        kind = info.type.WhichOneof("value")
        protos = {
            "sequence_type": onnx.SequenceProto,
            "optional_type": onnx.OptionalProto,
        }
        proto = protos.get(kind, onnx.TensorProto)()
        with open(path, "rb") as file:
            proto.ParseFromString(file.read())
        values.append(_value(proto))
    return values


def _value(item: Any) -> Any:
    if isinstance(item, onnx.TensorProto):
        return numpy_helper.to_array(item)
    if isinstance(item, onnx.SequenceProto):
        return numpy_helper.to_list(item)
    if isinstance(item, onnx.OptionalProto):
        return numpy_helper.to_optional(item)
    return item


def _operators(case: TestCase, model: onnx.ModelProto) -> tuple[str, ...]:
    """
    The operators that a test is about: that of the node which it was expanded from,
    or all that its graph has.
    """
    if case.name.endswith("_expanded"):
        # Nodes are named after the operator whose function body they come from.
        heads = {node.name.partition("_test_")[0] for node in model.graph.node}
        heads |= {
            name.partition("_test_")[0]
            for node in model.graph.node
            for name in (*node.input, *node.output)
            if "_test_" in name
        }
        known = {h for h in heads if onnx.defs.has(h) or onnx.defs.has(h, "ai.onnx.ml")}
        if known:
            return tuple(sorted(known))
    return tuple(sorted(set(_within(model.graph))))


def _within(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
        yield f"{domain}{node.op_type}"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _within(attribute.g)


# --- distances ---


def _larger(one: float | None, other: float | None) -> float | None:
    return max((d for d in (one, other) if d is not None), default=None)


def _distance(found: Any, wanted: Any) -> float | None:
    """The largest distance in units in the last place; None without floats."""
    if isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple):
            return None
        worst: float | None = None
        for one, other in zip(found, wanted, strict=False):
            worst = _larger(worst, _distance(one, other))
        return worst
    if wanted is None or found is None:
        return None
    a, b = np.asarray(found), np.asarray(wanted)
    if a.dtype != b.dtype or a.shape != b.shape or a.size == 0:
        return None
    if a.dtype.kind == "c":
        parts = np.float32 if a.dtype.itemsize == 8 else np.float64
        a, b = a.reshape(-1).view(parts), b.reshape(-1).view(parts)
    if a.dtype.kind != "f" and "float" not in a.dtype.name:
        return None
    return _float_distance(a, b)


def _float_distance(a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        places = [_places(x) for x in (a, b)]
        same = (a == b) | ((a != a) & (b != b))
    far = np.abs(places[0] - places[1])
    return float(np.where(same, 0, far).max())


def _places(x: np.ndarray) -> np.ndarray:
    """
    The number of each float when all of its type are counted from zero.

    Subnormal ones count as zero, for which XLA takes them.
    """
    if x.dtype.itemsize > 1:
        x = np.where(np.abs(x) < ml_dtypes.finfo(x.dtype).tiny, x * 0, x)
    bits = np.ascontiguousarray(x).reshape(-1).view(f"i{x.dtype.itemsize}")
    bits = bits.reshape(x.shape).astype(np.float64)
    lowest = -(2.0 ** (8 * x.dtype.itemsize - 1))
    return np.where(bits < 0, lowest - bits, bits)

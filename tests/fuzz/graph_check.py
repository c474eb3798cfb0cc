"""
Whether NumPy and JAX give for a drawn graph what ONNX's evaluator gives.

Where they do not, ONNX Runtime is asked: the evaluator has errors of its own. Where
that says otherwise too, each node's result is asked for alone: a node that the
evaluator cannot run does not leave the rest to ONNX Runtime, which has errors as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from graph_drawing import Agreement, Drawn
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler import compile_model

TOLERANCE = {"float64": 1e-10, "float32": 2e-5, "float16": 4e-2}
"""Of the largest number in the graph: what cancels keeps the error of what it was."""

Way = tuple[str, str]
"""A backend and a level."""
NUMPY: tuple[Way, ...] = (("numpy", "O0"), ("numpy", "O2"), ("numpy", "O3"))
JAX: tuple[Way, ...] = (("jax", "O0"), ("jax", "O2"))


class Mismatch(AssertionError):
    """A backend gives neither what the evaluator nor what ONNX Runtime gives."""


def check(drawn: Drawn, ways: Sequence[Way]) -> str:
    """
    Who knew what `drawn` gives; "nobody" if neither oracle can run it.

    Raises Mismatch, or what a compiler or a program raises, if it goes wrong.
    """
    names = [info.name for info in drawn.model.graph.output]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        oracles = Oracles(drawn)
        for backend, level in ways:
            run = compile_model(drawn.model, backend, level)
            found = [np.asarray(array) for array in run(**drawn.feeds)]
            said = list(differences(drawn, names, found, oracles))
            while len(said) == len(oracles.known) and said and oracles.ask_another():
                said = list(differences(drawn, names, found, oracles))
            if said and len(said) == len(oracles.known):
                raise Mismatch(f"{backend} {level}: {'; '.join(said)}")
    return " or ".join(oracles.known) or "nobody"


def differences(
    drawn: Drawn, names: Sequence[str], found: Sequence[Any], oracles: Oracles
) -> Iterator[str]:
    """For each oracle that `found` differs from, the first difference."""
    for oracle, values in oracles.known.items():
        scale = largest(drawn, values)
        for name, one in zip(names, found, strict=True):
            near = coarsest(drawn.model.graph, name, values)
            agreement = drawn.agreements[name]
            reason = difference(one, values[name], agreement, scale, near)
            if reason is not None:
                yield f"{name} differs from {oracle}: {reason}"
                break


def coarsest(graph: onnx.GraphProto, name: str, values: dict[str, Any]) -> float:
    """The tolerance of the narrowest float that the value `name` is computed from."""
    before = {output: node.input for node in graph.node for output in node.output}
    waiting, seen = [name], set[str]()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(before.get(current, ()))
    kinds = {np.asarray(values[n]).dtype.name for n in seen if n in values}
    return max((TOLERANCE[kind] for kind in kinds & TOLERANCE.keys()), default=0.0)


def difference(
    found: Any, wanted: Any, agreement: Agreement, scale: float, near: float
) -> str | None:
    """How two arrays differ by more than they may; None if they do not."""
    wanted = np.asarray(wanted)
    kinds = (found.dtype, found.shape), (wanted.dtype, wanted.shape)
    if kinds[0] != kinds[1]:
        return f"{kinds[0]}, not {kinds[1]}"
    shown = f"{found.tolist()}, not {wanted.tolist()}"
    if wanted.dtype.kind != "f" or agreement <= Agreement.values:
        same = np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f")
        return None if same else shown
    limit = float(np.finfo(wanted.dtype).max)
    a, b = (np.float64(x) for x in (found, wanted))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    # Just below the type's limit rounding decides what overflows.
    edge = np.abs(np.where(np.isfinite(a), a, b)) > limit * (1 - 8 * near)
    error = np.abs(a - b)
    close = error <= near * max(scale, 1.0)
    return None if (same | close | edge).all() else shown


def largest(drawn: Drawn, values: dict[str, Any]) -> float:
    """The largest finite number of the graph."""
    found = 0.0
    for value in (*values.values(), *drawn.feeds.values()):
        array = np.asarray(value)
        if array.dtype.kind == "f":
            wide = np.abs(array.astype(np.float64))
            found = max(found, wide[np.isfinite(wide)].max(initial=0))
    return float(found)


class Oracles:
    """Those who know what a graph gives, asked one after another."""

    def __init__(self, drawn: Drawn):
        self.drawn = drawn
        self.known: dict[str, dict[str, Any]] = {}
        """By oracle, every value of the graph."""
        self.waiting = [
            ("the evaluator", by_evaluator),
            ("ONNX Runtime", by_runtime),
            ("the evaluator or else ONNX Runtime, node by node", by_node),
        ]
        self.every = onnx.ModelProto()
        self.every.CopyFrom(drawn.model)
        outputs = self.every.graph.output
        held = {info.name for info in outputs}
        for node in self.every.graph.node:
            outputs.extend(
                onnx.ValueInfoProto(name=n) for n in node.output if n not in held
            )
        self.ask_another()

    def ask_another(self) -> bool:
        """Ask the next that can run the graph; whether there was one."""
        while self.waiting:
            name, ask = self.waiting.pop(0)
            names = [info.name for info in self.every.graph.output]
            try:
                found = ask(self.every, self.drawn.feeds)
            except Exception:  # an oracle's own errors, for which the other is there
                continue
            self.known[name] = dict(zip(names, found, strict=True))
            return True
        return False


def by_evaluator(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """What ONNX's reference evaluator gives."""
    return ReferenceEvaluator(model).run(None, feeds)


def by_runtime(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """What ONNX Runtime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def by_node(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """What the evaluator gives for each node; ONNX Runtime, where it cannot run it."""
    graph = model.graph
    known = {one.name: numpy_helper.to_array(one) for one in graph.initializer} | feeds
    for node in graph.node:
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in known.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        alone = helper.make_model(
            helper.make_graph([node], "alone", inputs, outputs),
            opset_imports=model.opset_import,
            ir_version=model.ir_version,
        )
        try:
            found = by_evaluator(alone, known)
        except Exception:  # the evaluator's own errors
            found = by_runtime(alone, known)
        given = (np.asarray(array) for array in found)
        known |= zip((info.name for info in outputs), given, strict=True)
    return [known[info.name] for info in graph.output]

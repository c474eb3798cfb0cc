"""Compares a compiled model with an oracle that we did not write, value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Attribute, OpResult, SSAValue

from ..dialects.errors import SardonyxError
from ..dialects.fusion import inline_regions
from ..dialects.onnx import OnnxOp
from ..dialects.onnx.provenance import node_names, tensor_names
from ..dialects.onnx.types import Array, element_of, is_none
from ..passes.specialize_dims import update_function_type
from .driver import (
    Executable,
    call_by_name,
    chosen_spec,
    load,
    lower,
    random_by_name,
    specialize,
)
from .model import Model, Value, name_entry
from .oracle import doubt, graph_tensors, run_oracle
from .pipelines import Instrument, run_pipeline

TOLERANCE = {
    "float64": 1e-10,
    "complex128": 1e-10,
    "float32": 1e-4,
    "complex64": 1e-4,
    "float16": 5e-3,
    "bfloat16": 4e-2,
}
"""max|a-b| / max|b| that passes, per element type; the others must be equal."""


@dataclass(frozen=True)
class Comparison:
    """
    One value beside the oracle's.

    `relative` is ``max|a-b| / max|b|``; `ulp` the largest distance in units of the last
    place of the oracle's element.
    """

    name: str
    kind: str
    """``output``; ``logits``, the operand of an output's softmax; or ``op``."""
    node: str
    dtype: str
    shape: tuple[int, ...]
    absolute: float
    relative: float
    ulp: float
    tolerance: float
    ok: bool

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON; what is not finite as text."""
        return {
            key: str(v) if isinstance(v, float) and not math.isfinite(v) else v
            for key, v in asdict(self).items()
        }


@dataclass(frozen=True)
class Verification:
    """What `verify` found."""

    comparisons: tuple[Comparison, ...]
    backend: str
    pipeline: str
    oracle: str
    doubt: str = ""
    """Why the oracle may be the one that is wrong, where a mismatch was found."""

    @property
    def ok(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(c.ok for c in self.comparisons if c.kind != "op")

    @property
    def first_divergence(self) -> Comparison | None:
        """The first op, in program order, whose value is over its tolerance."""
        return next((c for c in self.comparisons if c.kind == "op" and not c.ok), None)


@dataclass(frozen=True)
class _Watched:
    """A value of ours, and the tensor of the file that it must equal."""

    kind: str
    tensor: str
    node: str
    value: SSAValue


def verify(
    source: str | Path | onnx.ModelProto,
    backend: str = "jax",
    pipeline: str = "O2",
    against: str = "onnxruntime",
    dims: Mapping[str, int] | None = None,
    per_op: bool = False,
    seed: int = 0,
    tolerance: float | None = None,
    inputs: Mapping[str, Array] | None = None,
    original: str | Path | onnx.ModelProto | None = None,
    instruments: Sequence[Instrument] = (),
) -> Verification:
    """
    Run a model of ours and the file in an oracle on the same (random) input.

    The oracle runs `original`: the ONNX file that `source` was made from, by default
    `source` itself. `instruments` look on as the passes run. Raises SardonyxError if
    either cannot run; a mismatch is in the result.
    """
    runs = source if original is None else original
    if not isinstance(runs, onnx.ModelProto) and Path(runs).suffix == ".mlir":
        raise SardonyxError(
            f"{runs}: found IR, wanted an .onnx file that an oracle can run "
            "(--original)"
        )
    model = load(source)
    if original is not None:
        name_as(model, original)
    if dims:
        specialize(model, dims)
    names = [value.name for value in model.outputs]
    spec = chosen_spec(model, backend, pipeline)
    passes = run_pipeline(model, spec, instruments)
    tensors = graph_tensors(runs)
    if per_op:
        # Values within a fused region are seen as those of plain ops.
        inline_regions(model.module)
    watched = _outputs(model, names, tensors)
    if per_op:
        watched += _ops(model, tensors)
    expose(model, [w.value for w in watched[len(names) :]])
    executable = Executable(model, backend, spec, lower(model, backend), passes)
    given = random_by_name(executable, dims or {}, seed, inputs)
    found = call_by_name(executable, given)
    wanted = run_oracle(against, runs, given, [w.tensor for w in watched])
    compared = [
        compare(w.tensor, w.kind, w.node, a, wanted[w.tensor], tolerance)
        for w, a in zip(watched, found, strict=True)
    ]
    judged = _softened(compared, watched, wanted)
    verified = Verification(judged, backend, spec, against)
    return verified if verified.ok else replace(verified, doubt=doubt(against, runs))


def name_as(model: Model, original: str | Path | onnx.ModelProto) -> None:
    """
    Give the inputs and outputs that have no names those of `original`, by their places.

    A module that was written by hand may have none. Raises SardonyxError where the file
    has more of them or fewer, or calls another what has a name already.
    """
    main = model.main
    ours = (
        _entries(main.arg_attrs, model.inputs),
        _entries(main.res_attrs, model.outputs),
    )
    if all("onnx.name" in entry for entries in ours for entry in entries):
        return
    file = load(original)
    named: list[ArrayAttr[DictionaryAttr]] = []
    rows = zip(("inputs", "outputs"), ours, (file.inputs, file.outputs), strict=True)
    for word, entries, values in rows:
        if len(entries) != len(values):
            raise SardonyxError(
                f"found {len(entries)} {word}, not all with names, wanted "
                f"{len(values)} as in the original"
            )
        pairs = list(zip(entries, values, strict=True))
        for entry, value in pairs:
            wanted = name_entry(value.name).data["onnx.name"]
            if entry.get("onnx.name", wanted) != wanted:
                raise SardonyxError(
                    f"found {word} of which one is named {entry['onnx.name']}, wanted "
                    f"{wanted} there as in the original, or no name"
                )
        whole = [{**name_entry(value.name).data, **entry} for entry, value in pairs]
        named.append(ArrayAttr(map(DictionaryAttr, whole)))
    main.arg_attrs, main.res_attrs = named


def _entries(
    held: ArrayAttr[DictionaryAttr] | None, values: Sequence[Value]
) -> list[dict[str, Attribute]]:
    """What is said of each of a function's inputs or outputs."""
    entries = [] if held is None else [dict(entry.data) for entry in held.data]
    return [*entries, *({} for _ in values[len(entries) :])]


def compare(
    name: str,
    kind: str,
    node: str,
    found: Any,
    wanted: Any,
    tolerance: float | None = None,
) -> Comparison:
    """How far `found` is from `wanted`; nan equals nan, infinities equal themselves."""
    if isinstance(wanted, list) or wanted is None:
        return _compare_sequences(name, kind, node, found, wanted, tolerance)
    if isinstance(wanted, dict):
        found, wanted = _map_values(found, cast(dict[Any, Any], wanted))
    a, b = np.asarray(found), np.asarray(wanted)
    limit = TOLERANCE.get(b.dtype.name, 0.0)
    limit = tolerance if tolerance is not None and limit else limit
    if a.dtype != b.dtype or a.shape != b.shape:
        absolute = relative = ulp = math.inf
    elif limit == 0.0:
        absolute = relative = ulp = _distance(a, b)
    else:
        absolute, relative, ulp = _errors(a, b)
    ok = relative <= limit
    shape = tuple(a.shape)
    return Comparison(
        name, kind, node, str(a.dtype), shape, absolute, relative, ulp, limit, ok
    )


def _map_values(found: Any, wanted: dict[Any, Any]) -> tuple[Array, Array]:
    """
    The values of two maps in one order; an empty array for one with other keys.

    ONNX Runtime hands numbers over as Python's own, so they are taken as ours are.
    """
    theirs = np.array(list(wanted.values()))
    if not isinstance(found, dict) or found.keys() != wanted.keys():
        return np.zeros(0), theirs[None]
    values = cast(dict[Any, Any], found)
    ours = np.array([values[key] for key in wanted])
    same = ours.dtype.kind == theirs.dtype.kind
    return ours, theirs.astype(ours.dtype) if same else theirs


def _compare_sequences(
    name: str, kind: str, node: str, found: Any, wanted: Any, tolerance: float | None
) -> Comparison:
    parts: Sequence[Any] = wanted or []
    if (found is None) != (wanted is None) or len(found or ()) != len(parts):
        length = -1 if found is None else len(found)
        shape = (length,)
        bad = math.inf
        return Comparison(
            name, kind, node, "sequence", shape, bad, bad, bad, 0.0, False
        )
    each = [
        compare(name, kind, node, a, b, tolerance)
        for a, b in zip(found or (), parts, strict=True)
    ]
    worst = max(each, key=lambda c: (not c.ok, c.relative), default=None)
    if worst is None:
        return Comparison(name, kind, node, "sequence", (0,), 0, 0, 0, 0, True)
    return worst


def _distance(a: Array, b: Array) -> float:
    """0 for arrays that are equal in every element; more for others."""
    if a.dtype.name.startswith("float"):
        # The narrow floats, of which NumPy takes no nan for another.
        a, b = a.astype(np.float32), b.astype(np.float32)
        return 0.0 if np.array_equal(a, b, equal_nan=True) else math.inf
    if np.array_equal(a, b):
        return 0.0
    if a.dtype.kind not in "iu":
        return math.inf
    # As Python's integers: float64 does not tell large ones apart.
    return float(np.abs(a.astype(object) - b.astype(object)).max())


def _errors(a: Array, b: Array) -> tuple[float, float, float]:
    wide = np.complex128 if b.dtype.kind == "c" else np.float64
    finite = np.isfinite(b.astype(wide))
    if not np.array_equal(a[~finite].astype(wide), b[~finite].astype(wide), True):
        return math.inf, math.inf, math.inf
    if not finite.any():
        return 0.0, 0.0, 0.0
    a, b = a[finite], b[finite]
    difference = np.abs(a.astype(wide) - b.astype(wide))
    if np.isnan(difference).any():
        return math.inf, math.inf, math.inf
    absolute = float(difference.max())
    scale = float(np.abs(b.astype(wide)).max())
    relative = absolute / scale if scale else (math.inf if absolute else 0.0)
    return absolute, relative, _ulps(a, b)


def _ulps(a: Any, b: Any) -> float:
    """The largest number of steps from a representable number to the next, a to b."""
    if b.dtype.kind == "c":
        return max(_ulps(a.real, b.real), _ulps(a.imag, b.imag))
    x, y = _ordered(a), _ordered(b)
    high, low = np.maximum(x, y), np.minimum(x, y)
    return float((high - low).max())


def _ordered(x: Any) -> Any:
    """The bits of floats as unsigned integers in the floats' own order."""
    width = x.dtype.itemsize
    bits = np.ascontiguousarray(x).view(f"u{width}")
    sign = np.array(1 << (8 * width - 1), bits.dtype)
    # Both zeros are one number: -0 counts as the step at which +0 stands.
    return np.where(bits & sign, sign - (bits & ~sign), bits | sign)


# --- what is looked at ---


def _outputs(model: Model, names: Sequence[str], tensors: set[str]) -> list[_Watched]:
    """The outputs and, behind saturating softmaxes, their logits."""
    results = list(zip(names, model.results, strict=True))
    watched = [_Watched("output", name, _node(value), value) for name, value in results]
    for _, value in results:
        logits = logits_of(value)
        tensor = tensor_of(logits) if logits is not None else None
        if logits is not None and tensor is not None and tensor in tensors:
            watched.append(_Watched("logits", tensor, _node(value), logits))
    return watched


def _ops(model: Model, tensors: set[str]) -> list[_Watched]:
    """Every value of the main graph that the file has too."""
    watched: list[_Watched] = []
    seen: set[str] = set()
    for op in model.main.body.block.ops:
        if not isinstance(op, OnnxOp) or op.name == "onnx.Constant":
            continue
        results = [r for r in op.results if not is_none(r.type)]
        for result, tensor in zip(results, tensor_names(op), strict=False):
            if tensor in tensors and tensor not in seen and element_of(result.type):
                seen.add(tensor)
                watched.append(_Watched("op", tensor, _node(result), result))
    return watched


def _node(value: SSAValue) -> str:
    return ", ".join(node_names(value.op)) if isinstance(value, OpResult) else ""


_RESHAPING = ("onnx.Reshape", "onnx.Flatten", "onnx.Identity", "onnx.Squeeze")


def logits_of(value: SSAValue) -> SSAValue | None:
    """
    The operand of the softmax that `value` is, through reshapes; None if it is none.
    """
    value = _behind_reshapes(value)
    if not isinstance(value, OpResult) or value.op.name != "onnx.Softmax":
        return None
    return _behind_reshapes(value.op.operands[0])


def _behind_reshapes(value: SSAValue) -> SSAValue:
    while isinstance(value, OpResult) and value.op.name in _RESHAPING:
        value = value.op.operands[0]
    return value


def tensor_of(value: SSAValue) -> str | None:
    """The name of the file's tensor that `value` is, if it is known."""
    if not isinstance(value, OpResult):
        return None
    results = [r for r in value.op.results if not is_none(r.type)]
    names = tensor_names(value.op)
    return names[results.index(value)] if len(names) == len(results) else None


def expose(model: Model, values: Sequence[SSAValue]) -> None:
    """Make the function return these values of its body too."""
    main = model.main
    last = main.body.block.last_op
    assert isinstance(last, ReturnOp), "a function ends with a return"
    last.operands = [*last.operands, *values]
    entries = list(main.res_attrs.data) if main.res_attrs is not None else []
    entries += [name_entry(f"watched {i}") for i in range(len(values))]
    main.res_attrs = ArrayAttr[DictionaryAttr](entries)
    update_function_type(main)


def _softened(
    compared: Sequence[Comparison],
    watched: Sequence[_Watched],
    wanted: Mapping[str, Any],
) -> tuple[Comparison, ...]:
    """
    The outputs of softmaxes judged by what their logits' tolerance implies.

    ``d softmax(x) = softmax(x) * (dx - sum(softmax(x) * dx))``, so logits that are off
    by ``t * max|x|`` change an output by up to ``2 * t * max|x|`` of itself: with large
    logits no implementation agrees better with another. The logits are held to ``t``
    beside it.
    """
    largest = {
        w.node: magnitude(wanted[w.tensor]) for w in watched if w.kind == "logits"
    }
    judged: list[Comparison] = []
    for c, w in zip(compared, watched, strict=True):
        if w.kind == "output" and w.node in largest:
            c = softened(c, largest[w.node])
        judged.append(c)
    return tuple(judged)


def softened(compared: Comparison, largest_logit: float) -> Comparison:
    """A softmax's comparison, judged by what the tolerance of its logits implies."""
    limit = compared.tolerance * max(1.0, 2 * largest_logit)
    return replace(compared, tolerance=limit, ok=compared.relative <= limit)


def magnitude(logits: Array) -> float:
    """``max|x|``."""
    finite = np.nan_to_num(np.abs(logits).astype(np.float64))
    return float(finite.max(initial=0.0))


def softmax_logits(model: Model) -> dict[str, str]:
    """The outputs that are softmaxes, each with the file's tensor of its logits."""
    names = [value.name for value in model.outputs]
    logits = {n: logits_of(v) for n, v in zip(names, model.results, strict=True)}
    tensors = {n: tensor_of(v) for n, v in logits.items() if v is not None}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}

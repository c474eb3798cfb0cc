"""
How two models differ: ops, interface, cost, and results on random inputs.

    found = diff("model.onnx", "other.mlir"); found.same, found.removed, found.deltas
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx import Dim, OnnxOp, WeightAttr
from ...dialects.onnx.provenance import argument_name, node_names
from ...dialects.onnx.types import DTYPE_NAMES, element_of, is_none, shape_of
from ...passes.analysis.storage import ZERO, add_to, dim_of, total
from ..driver import (
    Executable,
    call_by_name,
    load,
    lower,
    random_by_name,
    specialize,
)
from ..inspect import amount_json, inspected, label_of
from ..model import Model
from ..pipelines import count_ops, run_pipeline, spec_of
from ..verify import Comparison, compare
from .elided import elided
from .matching import (
    Matching,
    array_of,
    held,
    is_constant_value,
    sides,
    stated,
    tensor_of,
    through,
)


@dataclass(frozen=True)
class Note:
    """An op, in the user's words."""

    nodes: tuple[str, ...]
    op: str
    """Its operator: ``Conv``; with the dialect if it is not ONNX's default one."""
    results: tuple[str, ...]
    """The types of its results."""


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise: ``operand X: conv1_out -> bn1_out``."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Changed:
    """A pair of ops that are each other's, and what is otherwise about them."""

    before: Note
    after: Note
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Delta:
    """An amount of both models; None where it is not known."""

    name: str
    unit: str
    before: Dim | None
    after: Dim | None

    @property
    def difference(self) -> Dim | None:
        """``after - before``."""
        if self.before is None or self.after is None:
            return None
        terms = {monomial: count for monomial, count in self.after.terms}
        add_to(terms, self.before, -1)
        return dim_of(terms)

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON: numbers, or the text of polynomials."""
        return {
            "unit": self.unit,
            "a": amount_json(self.before),
            "b": amount_json(self.after),
            "difference": amount_json(self.difference),
        }


@dataclass(frozen=True)
class Difference:
    """What `diff` found."""

    a: str
    """What was compared, as the user said it."""
    b: str
    interface: tuple[Change, ...]
    """Inputs and outputs: their number, names, types and values."""
    removed: tuple[Note, ...]
    added: tuple[Note, ...]
    changed: tuple[Changed, ...]
    moved: tuple[Changed, ...]
    """Ops that stand elsewhere among the others; what they do is as it was."""
    renamed: tuple[Changed, ...]
    """Ops whose names alone are others: no difference."""
    deltas: tuple[Delta, ...]
    errors: tuple[Comparison, ...]
    """The outputs of `b` beside those of `a`, on random inputs."""
    not_run: str
    """Why there are no errors; empty if there are."""

    @property
    def same(self) -> bool:
        """Whether both are one structure, whatever their ops are called."""
        parts = (self.interface, self.removed, self.added, self.changed, self.moved)
        return not any(parts)

    def as_json(self) -> dict[str, Any]:
        """A dictionary."""
        lists = ("interface", "removed", "added", "changed", "moved", "renamed")
        return {
            "same": self.same,
            "a": self.a,
            "b": self.b,
            **{n: [asdict(one) for one in getattr(self, n)] for n in lists},
            "deltas": {delta.name: delta.as_json() for delta in self.deltas},
            "errors": [error.as_json() for error in self.errors],
            "not_run": self.not_run,
        }


def diff(
    a: str | Path | Model,
    b: str | Path | Model,
    a_passes: str = "",
    b_passes: str = "",
    dims: Mapping[str, int] | None = None,
    run: bool = True,
    seed: int = 0,
) -> Difference:
    """
    Compare two models: paths (``.onnx``, ``.mlir``), or imported ones left as they are.

    `a_passes` and `b_passes`, levels or specs, run on each first. With `run`, both run
    on the same random inputs by the NumPy backend; what keeps them from it is told.
    Raises SardonyxError for a model that cannot be read.
    """
    first = load(a)
    second = first.clone() if a is b or _one_file(a, b) else load(b)
    for model, passes in ((first, a_passes), (second, b_passes)):
        if dims:
            specialize(model, dims)
        run_pipeline(model, passes)
    matching = Matching(*sides(first, second))
    pairs = matching.pairs
    changed, renamed = _changed(matching)
    errors, not_run = _run(first, second, seed) if run else ((), "not asked for")
    taken = set(pairs.values())
    return Difference(
        _title(a, a_passes),
        _title(b, b_passes),
        tuple(_interface(matching)),
        tuple(note(op) for op in matching.a.ops if op not in pairs),
        tuple(note(op) for op in matching.b.ops if op not in taken),
        changed,
        tuple(Changed(note(x), note(y), ()) for x, y in matching.moved()),
        renamed,
        deltas(first, second),
        errors,
        not_run,
    )


def _one_file(a: str | Path | Model, b: str | Path | Model) -> bool:
    if isinstance(a, Model) or isinstance(b, Model):
        return False
    return Path(a) == Path(b)


def _title(source: str | Path | Model, passes: str) -> str:
    name = source.name if isinstance(source, Model) else str(source)
    spec = spec_of(passes)
    return f"{name} after {spec}" if spec else name


# --- words ---


def note(op: Operation) -> Note:
    """An op in the user's words."""
    kinds = tuple(type_text(kind) for kind in op.result_types if not is_none(kind))
    return Note(node_names(op), label_of(op), kinds)


def type_text(kind: Attribute) -> str:
    """``float32[batch, 3]``; other types as MLIR writes them."""
    element, shape = element_of(kind), shape_of(kind)
    name = None if element is None else DTYPE_NAMES.get(element)
    if name is None:
        return str(kind)
    if shape is None:
        return f"{name}[*]"
    sizes = ("?" if dim is None else str(dim) for dim in shape)
    return f"{name}[{', '.join(sizes)}]"


def value_text(value: SSAValue) -> str:
    """A value by its name in ONNX, a constant by what holds it."""
    if isinstance(value, BlockArgument):
        return argument_name(value) or f"argument {value.index}"
    if not isinstance(value, OpResult) or not is_constant_value(value):
        name = tensor_of(value)
        return name or f"%{value.name_hint or '?'} of {_label(value)}"
    content = held(value)
    if content is None:
        return "nothing"
    kind = type_text(value.type)
    if isinstance(content, WeightAttr):
        return f"weight {content.data!r} {kind}"
    return f"constant {attribute_text(content)}"


def _label(value: SSAValue) -> str:
    names = node_names(value.op) if isinstance(value, OpResult) else ()
    return ", ".join(names) or "an op without a name"


def attribute_text(value: Attribute | None) -> str:
    """An attribute as MLIR writes it, elided if it is long."""
    return "absent" if value is None else elided(value) or str(value)


# --- changes ---


def _changed(matching: Matching) -> tuple[tuple[Changed, ...], tuple[Changed, ...]]:
    """The pairs that differ, and those that differ in nothing but their names."""
    changed: list[Changed] = []
    renamed: list[Changed] = []
    for one in matching.a.ops:
        other = matching.pairs.get(one)
        if other is None:
            continue
        changes = tuple(_changes(matching, one, other))
        pair = Changed(note(one), note(other), changes)
        if changes:
            changed.append(pair)
        elif node_names(one) != node_names(other):
            renamed.append(pair)
    return tuple(changed), tuple(renamed)


def _changes(matching: Matching, one: Operation, other: Operation) -> Iterator[Change]:
    mine, theirs = stated(one), stated(other)
    for name in sorted({*mine, *theirs}):
        x, y = mine.get(name), theirs.get(name)
        if x != y:
            yield Change(f"attribute {name}", attribute_text(x), attribute_text(y))
    names = _operand_names(one)
    yield from _values(matching, names, one.operands, other.operands)
    if len(one.results) != len(other.results):
        yield Change("results", str(len(one.results)), str(len(other.results)))
    for place, (x, y) in enumerate(
        zip(one.result_types, other.result_types, strict=False)
    ):
        if x != y:
            yield Change(f"type of result {place}", type_text(x), type_text(y))
    if len(one.regions) != len(other.regions):
        yield Change("bodies", str(len(one.regions)), str(len(other.regions)))
    for place, (x, y) in enumerate(zip(one.regions, other.regions, strict=False)):
        last, end = x.block.last_op, y.block.last_op
        if last is None or end is None:
            continue
        yields = [f"result {n} of body {place}" for n in range(len(last.operands))]
        yield from _values(matching, yields, last.operands, end.operands)


def _values(
    matching: Matching,
    names: Sequence[str],
    mine: Sequence[SSAValue],
    theirs: Sequence[SSAValue],
) -> Iterator[Change]:
    """What is otherwise about operands; what one has more is there, or absent."""
    for place in range(max(len(mine), len(theirs))):
        one = through(mine[place]) if place < len(mine) else None
        other = through(theirs[place]) if place < len(theirs) else None
        if one is not None and other is not None and matching.same(one, other):
            continue
        name = names[place] if place < len(names) else f"operand {place}"
        before = "absent" if one is None else value_text(one)
        after = "absent" if other is None else value_text(other)
        if one is not None and other is not None:
            after += _distance(matching, one, other)
        yield Change(name, before, after)


def _distance(matching: Matching, one: SSAValue, other: SSAValue) -> str:
    """How far a constant is from one of its type."""
    constant = is_constant_value(one) and is_constant_value(other)
    if not constant or one.type != other.type or is_none(one.type):
        return ""
    x = array_of(one, matching.a.model.context.store)
    y = array_of(other, matching.b.model.context.store)
    off = compare("", "", "", y, x)
    return f" (off by {off.absolute:.2g}, {off.relative:.2g} of the largest)"


def _operand_names(op: Operation) -> list[str]:
    if not isinstance(op, OnnxOp) or not op.schema().inputs:
        return [f"operand {place}" for place in range(len(op.operands))]
    formal = [entry.name for entry in op.schema().inputs]
    more = len(op.operands) - len(formal)
    last = [f"{formal[-1]} {n + 2}" for n in range(max(0, more))]
    return [f"operand {name}" for name in (*formal, *last)]


def _interface(matching: Matching) -> Iterator[Change]:
    a, b = matching.a.model, matching.b.model
    for word, mine, theirs in (
        ("input", a.inputs, b.inputs),
        ("output", a.outputs, b.outputs),
    ):
        for place in range(max(len(mine), len(theirs))):
            texts = [
                f"{side[place].name}: {type_text(side[place].type)}"
                if place < len(side)
                else "absent"
                for side in (mine, theirs)
            ]
            if texts[0] != texts[1]:
                yield Change(f"{word} {place}", *texts)
    names = [f"value of output {value.name}" for value in a.outputs]
    yield from _values(matching, names, a.results, b.results)


# --- amounts ---


def deltas(a: Model, b: Model) -> tuple[Delta, ...]:
    """Ops, parameters, FLOPs, bytes and the activation peak of both."""
    columns = zip(_amounts(a), _amounts(b), strict=True)
    return tuple(
        Delta(name, unit, before, after)
        for (name, unit, before), (_, _, after) in columns
    )


def _amounts(model: Model) -> list[tuple[str, str, Dim | None]]:
    found = inspected(model, {}, "")
    row = found.total
    moved = [row.amounts["bytes_read"], row.amounts["bytes_written"]]
    exact = not {"bytes_read", "bytes_written"} & row.unknown.keys()
    known = {
        "flops": None if "flops" in row.unknown else row.amounts["flops"],
        "bytes": total(moved) if exact else None,
        "peak": None if found.unknown_sizes else found.peak,
    }
    return [
        ("ops", "", Dim.of(count_ops(model)) if count_ops(model) else ZERO),
        ("parameters", "", Dim.of(row.parameters) if row.parameters else ZERO),
        ("weights", "B", Dim.of(found.weight_bytes) if found.weight_bytes else ZERO),
        ("FLOPs", "", known["flops"]),
        ("bytes moved", "B", known["bytes"]),
        ("activation peak", "B", known["peak"]),
    ]


# --- results ---


def _run(a: Model, b: Model, seed: int) -> tuple[tuple[Comparison, ...], str]:
    """The outputs compared, or why they are not."""
    names = [{value.name for value in model.inputs} for model in (a, b)]
    if names[0] != names[1]:
        return (), "the inputs have other names"
    try:
        first, second = (
            Executable(model, "numpy", "", lower(model.clone(), "numpy"))
            for model in (a, b)
        )
        arrays = random_by_name(first, {}, seed)
        wanted, found = call_by_name(first, arrays), call_by_name(second, arrays)
    except SardonyxError as error:
        return (), str(error)
    theirs = dict(zip((value.name for value in b.outputs), found, strict=True))
    return tuple(
        compare(value.name, "output", "", theirs[value.name], array)
        for value, array in zip(a.outputs, wanted, strict=True)
        if value.name in theirs
    ), ""

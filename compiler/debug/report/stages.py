"""What the ops were after every pass, and which of them are the same op."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from ....dialects.onnx import OnnxOp, WeightAttr
from ....dialects.onnx.integers import IntegerValues
from ....dialects.onnx.names import name_values
from ....dialects.onnx.provenance import argument_name, node_names, tensor_names
from ....dialects.onnx.types import is_none
from ....passes.analysis.storage import CONSTANTS
from ...collection import collection_paused
from ...inspect import label_of
from ...model import Model, Value
from ...pipelines import Instrument, PassRun
from ..diff import attribute_text
from ..elided import ElidingPrinter
from .facts import Sizes, cost_entry, kind_text, memory_entry

MAX_TEXT = 20_000
"""How many characters of an op's text are kept: a loop's body may be long."""

Source = tuple[int, int]
"""The op that a value is of, and which of its results."""


@dataclass
class State:
    """An op as it is at one stage."""

    track: int
    """Which op it is: the same number at every stage at which it is there."""
    record: int
    """Its place among the records: what is told of it."""
    sources: tuple[Source, ...]
    """Where its operands come from, constants left out."""
    signature: tuple[Any, ...]
    """All that it is but where its operands come from."""


@dataclass
class Stage:
    """The module after a pass, or as it was imported."""

    run: PassRun | None
    states: list[State]
    memory: dict[str, Any]
    added: list[int] = field(default_factory=list[int])
    removed: list[int] = field(default_factory=list[int])
    changed: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """The ops that are otherwise than before, and what is."""
    rewired: list[int] = field(default_factory=list[int])
    """The ops whose operands come from other ops, which are otherwise the same."""
    same: int | None = None
    """The stage that this one is in all, if nothing at all was done to the module."""

    @property
    def is_changed(self) -> bool:
        """Whether anything differs from the stage before."""
        return any((self.added, self.removed, self.changed, self.rewired))


@dataclass
class Recorder(Instrument):
    """
    Keeps every stage of a pipeline, and one record for every form of an op.

    An op is the same after a pass if it is the same object, or one that took the place
    of an op of its kind from the same nodes.
    """

    sizes: Sizes
    stages: list[Stage] = field(default_factory=list[Stage])
    records: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    last_ops: dict[int, Operation] = field(default_factory=dict[int, Operation])
    """The ops of the last stage by their tracks."""
    _tracks: dict[Operation, int] = field(default_factory=dict[Operation, int])
    _known: dict[tuple[Any, ...], int] = field(
        default_factory=dict[tuple[Any, ...], int]
    )
    _count: int = 0
    _print: list[Any] = field(default_factory=list[Any])
    """The fingerprint of the last stage."""

    def begin(self, model: Model) -> None:
        self._take(model, None)

    def after(self, model: Model, run: PassRun) -> None:
        self._take(model, run)

    @collection_paused()
    def _take(self, model: Model, run: PassRun | None) -> None:
        found = fingerprint(model)
        if self.stages and found == self._print:
            last = self.stages[-1]
            same = len(self.stages) - 1 if last.same is None else last.same
            self.stages.append(Stage(run, last.states, last.memory, same=same))
            return
        self._print = found
        ops = [op for op in model.main.body.block.ops if op.name not in CONSTANTS]
        self._track(ops)
        block = model.main.body.block
        texts = op_texts(model)
        integers = IntegerValues(model.context.store)
        states = [
            self._argument(place, value, argument)
            for place, (value, argument) in enumerate(
                zip(model.inputs, block.args, strict=True)
            )
        ]
        states += [self._state(op, texts[op], integers) for op in ops[:-1]]
        states += [
            self._output(place, value, result)
            for place, (value, result) in enumerate(
                zip(model.outputs, model.results, strict=True)
            )
        ]
        self.last_ops = {self._tracks[op]: op for op in ops[:-1]}
        memory = memory_entry(model, self.sizes)
        stage = Stage(run, states, memory)
        if self.stages:
            compare_stages(self.stages[-1], stage)
        self.stages.append(stage)

    # --- which op is which ---

    def _track(self, ops: Sequence[Operation]) -> None:
        """Give every op its track; one that is new may take that of one that went."""
        here = set(ops)
        gone: dict[tuple[str, Attribute], deque[int]] = defaultdict(deque)
        for op, track in self._tracks.items():
            if op not in here:
                gone[op.name, op.location].append(track)
        found: dict[Operation, int] = {}
        for op in ops:
            track = self._tracks.get(op)
            if track is None:
                left = gone.get((op.name, op.location))
                track = left.popleft() if left else self._fresh()
            found[op] = track
        self._tracks = found

    def _fresh(self) -> int:
        self._count += 1
        return self._count

    # Inputs and outputs stand beside the ops, under tracks of their own below zero.

    def _argument(self, place: int, value: Value, argument: SSAValue) -> State:
        entry = {
            "kind": "input",
            "op": "input",
            "nodes": [],
            "tensors": [value.name],
            "out": [[value.name, kind_text(argument.type)]],
        }
        signature = ("input", value.name, argument.type)
        return State(-2 * place - 1, self._record(signature, entry), (), signature)

    def _output(self, place: int, value: Value, result: SSAValue) -> State:
        entry = {
            "kind": "output",
            "op": "output",
            "nodes": [],
            "tensors": [value.name],
            "in": [["", value.name, kind_text(result.type)]],
        }
        signature = ("output", value.name, result.type)
        source = self._source(result)
        sources = () if source is None else (source,)
        record = self._record(signature, entry)
        return State(-2 * place - 2, record, sources, signature)

    # --- what an op is ---

    def _state(self, op: Operation, text: str, integers: IntegerValues) -> State:
        wanted = [v for inner in op.walk() for v in inner.operands]
        # A value from within the op's own regions has no source.
        sources = [s for v in dict.fromkeys(wanted) if (s := self._source(v))]
        signature = _signature(op, text)
        key = (*signature, text)
        record = self._known.get(key)
        if record is None:
            record = self._record(key, self._entry(op, text, integers))
        return State(self._tracks[op], record, tuple(sources), signature)

    def _source(self, value: SSAValue) -> Source | None:
        owner = value.owner
        if isinstance(value, BlockArgument):
            assert isinstance(owner, Block), "an argument is of a block"
            track = -2 * value.index - 1
            return (track, 0) if owner.parent_op() in self._functions else None
        track = self._tracks.get(owner) if isinstance(owner, Operation) else None
        if track is None or not isinstance(owner, Operation):
            return None
        return track, owner.results.index(value)

    @property
    def _functions(self) -> set[Operation | None]:
        return {op.parent_op() for op in self._tracks}

    def _record(self, key: tuple[Any, ...], entry: dict[str, Any]) -> int:
        place = self._known.get(key)
        if place is None:
            place = self._known[key] = len(self.records)
            self.records.append(entry)
        return place

    def _entry(
        self, op: Operation, text: str, integers: IntegerValues
    ) -> dict[str, Any]:
        cut = len(text) > MAX_TEXT
        tensors = tensor_names(op)
        return {
            "kind": "op",
            "op": label_of(op),
            "nodes": list(node_names(op)),
            "tensors": list(tensors),
            "text": text[:MAX_TEXT] + ("\n... (cut)" if cut else ""),
            "in": _operands(op),
            "out": [
                [tensors[n] if n < len(tensors) else "", kind_text(result.type)]
                for n, result in enumerate(op.results)
                if not is_none(result.type)
            ],
            "cost": cost_entry(op, integers, self.sizes),
        }


def _operands(op: Operation) -> list[list[str]]:
    """Each operand's formal name, what it is, and its type."""
    found: list[list[str]] = []
    names = operand_labels(op)
    for label, value in zip(names, op.operands, strict=True):
        if not is_none(value.type):
            found.append([label, _said(value), kind_text(value.type)])
    return found


def fingerprint(model: Model) -> list[Any]:
    """All that is told of a module: equal as long as nothing is done to it."""
    return [
        (op, dict(op.properties), op.operands[:], op.result_types, op.location)
        for op in model.main.walk()
    ]


def operand_labels(op: Operation) -> list[str]:
    """The names that ONNX gives to the operands: ``X``, ``W``, ``inputs[2]``."""
    if not isinstance(op, OnnxOp):
        return [str(n) for n in range(len(op.operands))]
    labels: list[str] = []
    for name, definition in op.get_irdl_definition().operands:
        held = getattr(op, name)
        several = isinstance(held, Sequence)
        del definition
        labels += [f"{name}[{n}]" for n in range(len(held))] if several else [name]  # pyright: ignore[reportUnknownArgumentType]
    return labels if len(labels) == len(op.operands) else [""] * len(op.operands)


def _said(value: SSAValue) -> str:
    owner = value.owner
    if isinstance(owner, OnnxOp) and owner.name == "onnx.Constant":
        held = owner.properties.get("value")
        return f"weight {held.data}" if isinstance(held, WeightAttr) else f"{held}"
    if isinstance(owner, Operation):
        names = tensor_names(owner)
        place = owner.results.index(value)
        return names[place] if place < len(names) else value.name_hint or ""
    return argument_name(value) or value.name_hint or ""


def _signature(op: Operation, text: str) -> tuple[Any, ...]:
    """All of an op but where its operands come from."""
    operands = [_kept(value) for value in op.operands]
    body = text if op.regions else ""
    types = tuple(result.type for result in op.results)
    return op.name, tuple(sorted(op.properties.items())), types, tuple(operands), body


def _kept(value: SSAValue) -> Attribute | str | None:
    """What an operand is: a constant's value, ``value``, or nothing."""
    owner = value.owner
    if isinstance(owner, OnnxOp) and owner.name == "onnx.Constant":
        return owner.properties.get("value")
    return None if is_none(value.type) else "value"


def compare_stages(before: Stage, after: Stage) -> None:
    """Say in `after` how its ops differ from those of `before`."""
    old = {state.track: state for state in before.states}
    new = {state.track: state for state in after.states}
    after.removed = [track for track in old if track not in new]
    for track, state in new.items():
        was = old.get(track)
        if was is None:
            after.added.append(track)
        elif was.signature != state.signature:
            after.changed.append((track, _difference(was.signature, state.signature)))
        elif was.sources != state.sources:
            after.rewired.append(track)


def _difference(before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    if len(before) != len(after) or len(before) < 5:
        return "type"
    parts: list[str] = []
    old, new = dict(before[1]), dict(after[1])
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            was, now = attribute_text(old.get(name)), attribute_text(new.get(name))
            parts.append(f"{name}: {was} -> {now}")
    if before[2] != after[2]:
        pairs = zip(before[2], after[2], strict=False)
        parts += [f"{kind_text(a)} -> {kind_text(b)}" for a, b in pairs if a != b]
    if before[3] != after[3]:
        parts.append("operands")
    if before[4] != after[4]:
        parts.append("body")
    return "; ".join(parts)


# --- text ---


class _SpanPrinter(ElidingPrinter):
    """Notes where each op begins and ends in the text."""

    def __init__(self, stream: StringIO):
        super().__init__(stream, print_debuginfo=True)
        self.text = stream
        self.spans: list[tuple[Operation, int, int]] = []

    def print_op(self, op: Operation) -> None:
        begun = self.text.tell()
        super().print_op(op)
        self.spans.append((op, begun, self.text.tell()))


def op_texts(model: Model) -> dict[Operation, str]:
    """The text of every op of the function, as it stands in the module's."""
    # Looking must leave the names as they are: a copy is printed.
    copy = model.module.clone()
    name_values(copy)
    printer = _SpanPrinter(StringIO())
    printer.print_op(copy)
    whole = printer.text.getvalue()
    originals = dict(zip(copy.walk(), model.module.walk(), strict=True))
    main = model.main
    return {
        originals[op]: _dedented(whole[begun:ended])
        for op, begun, ended in printer.spans
        if originals[op].parent_op() is main
    }


def _dedented(text: str) -> str:
    lines = text.splitlines()
    strip = len(lines[-1]) - len(lines[-1].lstrip(" "))
    margin = " " * strip
    return "\n".join([lines[0], *(line.removeprefix(margin) for line in lines[1:])])

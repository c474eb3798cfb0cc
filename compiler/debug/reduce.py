"""
``sardonyx reduce``: the smallest model that still shows a fault.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
Input", 2002) on the ops of the model as it is before the pass at fault; then outputs,
inputs, single ops, sizes and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from xdsl.ir import Operation, SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx.journal import Rewrite
from ...dialects.onnx.types import DTYPE_NAMES, element_of
from ..driver import specialize
from ..inputs import input_specs
from ..model import Model
from .guard import ignored
from .search import Judge, applied, is_crash
from .shrink import SMALL_SIZES, bypassed, plainer, resized, sizes_of
from .subgraph import Case, Graph, body_ops, captured
from .trial import Trial

Item = TypeVar("Item")

STEPS = (0, 1, 2, 4, 8)
"""How far around the rewrite to blame is looked first, in edges of the graph."""
FEW_OPS = 40
"""With so many ops at most, every one of them is tried for itself."""


# --- what a case shows ---


@dataclass(frozen=True)
class WrongResult:
    """A pass gives another result: on the same inputs, beyond the tolerance."""

    spec: str
    tolerance: float | None = None
    runner: str = "numpy"
    unable: bool = False
    """What is wrong is that the model cannot run after the pass."""

    def __call__(self, case: Case) -> bool:
        """Whether `case` shows it."""
        if case.inputs is None:
            return False
        try:
            trial = Trial.of(case.model, case.inputs, self.tolerance, self.runner)
            changed = applied(case.model, self.spec)
        except Exception as error:
            # A pass may raise anything on a model that nobody has seen: another fault.
            if isinstance(error, MemoryError):
                raise
            return False
        verdict = trial(changed)
        return verdict.ok is False and (verdict.worst is None) == self.unable


@dataclass(frozen=True)
class Crash:
    """A pass raises an exception of one type, or leaves what does not verify."""

    spec: str
    kind: str
    """The exception's type."""

    def __call__(self, case: Case) -> bool:
        """Whether `case` shows it."""
        error = crash_of(case.model, self.spec)
        return error is not None and type(error).__name__ == self.kind


@dataclass(frozen=True)
class Judged:
    """A script (or any judge) finds wrong what the pass makes of the model."""

    judge: Judge
    spec: str = ""
    """Empty to judge the model as it is."""

    def __call__(self, case: Case) -> bool:
        """Whether `case` shows it."""
        model = case.model
        if self.spec:
            try:
                model = applied(model, self.spec)
            except Exception as error:
                if not is_crash(error):
                    raise
                return False
        return self.judge(model).ok is False


def crash_of(model: Model, spec: str) -> Exception | None:
    """The crash of pass `spec` on `model`, which stays as it is; None if it is none."""
    try:
        applied(model, spec)
    except Exception as error:
        # A pass may raise anything: that it does is what is asked.
        return error if is_crash(error) else None
    return None


# --- delta debugging ---


def minimized(
    items: Sequence[Item], shows: Callable[[Sequence[Item]], bool]
) -> list[Item]:
    """
    A part of `items` that still shows it, and that no longer does without any chunk.

    `items` show it; their order is kept.
    """
    current: list[Item] = list(items)
    parts = 2
    while len(current) >= 2:
        parts = min(parts, len(current))
        chunks = _chunks(current, parts)
        smaller = next((c for c in chunks if shows(c)), None)
        if smaller is not None:
            current, parts = smaller, 2
            continue
        rests = [_without(current, chunk) for chunk in chunks] if parts > 2 else []
        smaller = next((rest for rest in rests if shows(rest)), None)
        if smaller is not None:
            current, parts = smaller, max(parts - 1, 2)
        elif parts == len(current):
            break
        else:
            parts *= 2
    return current


def _chunks(items: list[Item], parts: int) -> list[list[Item]]:
    bounds = [len(items) * i // parts for i in range(parts + 1)]
    return [items[a:b] for a, b in pairwise(bounds)]


def _without(items: list[Item], some: Iterable[Item]) -> list[Item]:
    gone = set(some)
    return [item for item in items if item not in gone]


@dataclass
class Reducer:
    """Makes a case smaller as long as `shows` says that it shows the fault."""

    shows: Callable[[Case], bool]
    tell: Callable[[str], object] = ignored
    checks: int = 0
    """How many candidates were tried."""
    _ops: int = field(default=0, init=False)

    def reduce(
        self, case: Case, rewrites: Sequence[Rewrite] = (), shown: bool = False
    ) -> Case:
        """
        The smallest case found; `rewrites` say where to look first.

        Raises SardonyxError if `case` does not show the fault; with `shown` it is
        known to.
        """
        self._ops = len(body_ops(case.model))
        if not shown and not self._check(case):
            raise SardonyxError(
                "reduce: found no fault in the model on these inputs, wanted one that "
                "shows it"
            )
        case = self._to_settled(self._fewer_ops(case, rewrites))
        return self._plainer(self._smaller(case))

    def _check(self, case: Case) -> bool:
        self.checks += 1
        count = len(body_ops(case.model))
        self.tell(f"reducing: {self._ops} ops; candidate {self.checks} has {count}")
        if not self.shows(case):
            return False
        self._ops = min(self._ops, count)
        return True

    # --- ops ---

    def _fewer_ops(self, case: Case, rewrites: Sequence[Rewrite]) -> Case:
        values = None
        if case.inputs is not None:
            self.tell("reducing: running the model once for the values of all its ops")
            values = captured(case.model, case.inputs)
        graph = Graph(case.model, values)
        if len(graph.ops) < 2:
            return case
        known: dict[frozenset[Operation], bool] = {}

        def shows(ops: Sequence[Operation]) -> bool:
            key = frozenset(graph.closed(ops))
            if key not in known:
                known[key] = bool(graph.outputs(key)) and self._check(graph.cut(key))
            return known[key]

        start = self._around(graph, rewrites, shows)
        kept = minimized(graph.ops if start is None else start, shows)
        if len(graph.closed(kept)) == len(graph.ops):
            return case
        return graph.cut(kept)

    def _around(
        self,
        graph: Graph,
        rewrites: Sequence[Rewrite],
        shows: Callable[[Sequence[Operation]], bool],
    ) -> list[Operation] | None:
        """The least surroundings of where `rewrites` began that show it; or None."""
        begun = {(rewrite.op, rewrite.location) for rewrite in rewrites}
        seeds = [op for op in graph.ops if (op.name, op.location) in begun]
        if not seeds:
            return None
        near = (graph.around(seeds, steps) for steps in STEPS)
        return next((ops for ops in near if shows(ops)), None)

    def _to_settled(self, case: Case) -> Case:
        """Fewer outputs, constants for inputs, ops bypassed, until none helps."""
        while True:
            before = len(body_ops(case.model)), len(case.model.outputs)
            case = self._fewer_outputs(case)
            if len(body_ops(case.model)) <= FEW_OPS:
                case = self._fewer_producers(case)
                case = self._bypassed(case)
            if (len(body_ops(case.model)), len(case.model.outputs)) == before:
                return case

    def _graph(self, case: Case) -> Graph:
        values = None if case.inputs is None else captured(case.model, case.inputs)
        return Graph(case.model, values)

    def _fewer_outputs(self, case: Case) -> Case:
        """Only the outputs that are needed, and the ops that these need."""
        outputs = list(dict.fromkeys(case.model.results))
        if len(outputs) < 2:
            return case
        graph = self._graph(case)

        def cut(some: Sequence[SSAValue]) -> Case:
            return graph.cut(graph.cone(some, graph.ops), some)

        kept = minimized(outputs, lambda some: self._check(cut(some)))
        return cut(kept) if len(kept) < len(outputs) else case

    def _fewer_producers(self, case: Case) -> Case:
        """Constants, of the values that were computed, for ops that matter no more."""
        if case.inputs is None:
            return case
        graph = self._graph(case)
        outputs = list(case.model.results)
        for op in graph.ops[:-1]:
            rest = [other for other in graph.ops if other is not op]
            if any(element_of(r.type) is None for r in op.results) or any(
                value.owner is op for value in outputs
            ):
                continue
            smaller = graph.cut(graph.cone(outputs, rest), outputs, op.results)
            if self._check(smaller):
                return self._fewer_producers(smaller)
        return case

    def _bypassed(self, case: Case) -> Case:
        for candidate in bypassed(case):
            graph = Graph(candidate.model, _inputs_of(candidate))
            # An output that an input has become shows nothing of any op.
            outputs = [v for v in candidate.model.results if v.owner in graph.ops]
            kept = graph.cone(outputs, graph.ops)
            if not kept:
                continue
            smaller = graph.cut(kept, outputs)
            if self._check(smaller):
                return self._bypassed(smaller)
        return case

    # --- sizes and values ---

    def _smaller(self, case: Case) -> Case:
        case = self._fixed(case)
        for old in sizes_of(case):
            for new in [size for size in SMALL_SIZES if size < old]:
                tried = (resized(case, old, new, values) for values in (False, True))
                found = next((c for c in tried if c and self._check(c)), None)
                if found is not None:
                    case = found
                    break
        return case

    def _fixed(self, case: Case) -> Case:
        """Symbolic dimensions with the sizes that the inputs have."""
        if case.inputs is None:
            return case
        sizes: dict[str, int] = {}
        for spec in input_specs(case.model):
            shape = getattr(case.inputs[spec.name], "shape", ())
            for dim, size in zip(spec.shape or (), shape, strict=False):
                if isinstance(dim, str) and dim.isidentifier():
                    sizes[dim] = size
        if not sizes:
            return case
        fixed = Case(case.model.clone(), case.inputs)
        try:
            specialize(fixed.model, sizes)
        except SardonyxError:
            # A size may be tied to others in a way that the cut has lost.
            return case
        return fixed if self._check(fixed) else case

    def _plainer(self, case: Case) -> Case:
        """Zeros, ones or small numbers for weights and inputs, one after another."""
        count = len(list(_places(case)))
        for _ in range(count):
            found = next((c for c in plainer(case) if self._check(c)), None)
            if found is None:
                return case
            case = found
        return case


def _inputs_of(case: Case) -> dict[SSAValue, object] | None:
    """What the arguments of ``@main`` are, by argument."""
    if case.inputs is None:
        return None
    arguments = case.model.main.body.block.args
    pairs = zip(arguments, case.model.inputs, strict=True)
    return {argument: case.inputs[value.name] for argument, value in pairs}


def _places(case: Case) -> Iterable[SSAValue]:
    """The inputs and constants of floats, whose values may become plain."""
    block = case.model.main.body.block
    results = [op.results[0] for op in block.ops if op.name == "onnx.Constant"]
    for value in [*block.args, *results]:
        element = element_of(value.type)
        if element is not None and "float" in DTYPE_NAMES.get(element, ""):
            yield value

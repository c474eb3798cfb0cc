"""The pipelines: what -O0 … -O3 run, and how a pipeline is written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from xdsl.ir import Operation
from xdsl.passes import ModulePass, PassPipeline
from xdsl.universe import Universe
from xdsl.utils.arg_spec import ParameterType, PipelineLexer, SpecTokenKind
from xdsl.utils.arg_spec import parse_pipeline as parse_pipeline_spec
from xdsl.utils.exceptions import ArgSpecParseError, ParseError, VerifyException

from ..dialects.errors import SardonyxError
from ..dialects.fusion import RegionOp
from ..dialects.onnx.journal import Journal
from ..dialects.onnx.provenance import describe
from ..passes.fixpoint import FixpointPass
from ..passes.spare import SparePass
from .collection import collection_paused
from .model import Model

CLEAN = (
    "fold-constants",
    "inline-control-flow",
    "remove-identities",
    "remove-neutral",
    "simplify-views",
    "simplify-shapes",
    "simplify-transposes",
    "simplify-slices",
    "cse",
    "dce",
)
NAME = (
    "fuse-softmax",
    "fuse-layer-norm",
    "fuse-gelu",
    "fuse-rotary",
    "fuse-attention",
)
"""Passes that find the operators that decompositions spell."""
FUSE = (
    "fuse-pads",
    "fold-affine",
    "fold-batch-norm",
    "fuse-gemm",
    "fuse-activations",
    "simplify-views",
    "simplify-reductions",
    "merge-constants",
    "cse",
    "dce",
)


def until_settled(*passes: str) -> str:
    """The spec of a fixpoint of `passes`, which have no options."""
    return f'fixpoint{{passes="{",".join(passes)}"}}'


SOMETIMES = ("simplify-algebra", "merge-products")
"""Passes that make some programs faster and others slower: measuring tells."""

_NAMED = (until_settled(*CLEAN), *NAME, until_settled(*CLEAN))
PIPELINES: dict[str, tuple[str, ...]] = {
    "O0": (),
    "O1": (until_settled(*CLEAN),),
    "O2": (*_NAMED, until_settled(*FUSE), "infer-types"),
    "O3": (*_NAMED, *SOMETIMES, until_settled(*FUSE), "infer-types"),
}
"""
The passes of each optimization level, in order.

-O3 has those of -O2 and more, which are worth it only where what they do is measured:
`compile -O3` undoes what is slower (`debug.refuse`).
"""

QUICK_ORDER = "reorder{states=300 largest=512}"
"""The order of least memory, wherever it is found in no time that one would notice."""

LOWERING: dict[str, tuple[str, ...]] = {
    "jax": (
        'convolve-by-spectra{backend="jax"}',
        "block-shuffles",
        "split-concats",
        "pool-early",
        "assign-layout",
        "cse",
    ),
    "numpy": (
        "convolve-by-spectra",
        "assign-layout",
        "cse",
        "depth-first",
        "fuse-regions",
        QUICK_ORDER,
        "plan-memory",
    ),
}
"""What runs after a level's passes, by the backend that the model is compiled for."""

LOWERING_LEVELS = frozenset(["O2", "O3"])
"""The levels that it runs after."""

TELLING = frozenset([*CLEAN, *NAME, *FUSE])
"""
Passes of which the journal has every rewrite, and those that only remove ops: whether
they changed something is known without a look at the text.
"""

HARMLESS = frozenset(
    [
        *CLEAN,
        "canonicalize",
        "infer-types",
        "merge-constants",
        "reorder",
        "simplify-reductions",
        "specialize-dims",
    ]
)
"""
Passes that only take work away, or say what is wanted: they are not undone.

Neither are those that quantize or shard.
"""

XDSL_PASSES = ("canonicalize", "cse", "dce")
"""The passes of xDSL's that models need."""


class PipelineError(SardonyxError):
    """A pipeline that cannot be read, or that does not fit the model."""


@dataclass(frozen=True)
class PassRun:
    """What one pass did: its spec, its time, and the ops before and after."""

    place: int
    """How many passes ran before it, those of a fixpoint's rounds counted."""
    spec: str
    seconds: float
    """How long the pass took, without what follows it."""
    ops_before: int
    ops_after: int
    journal: Journal = field(default_factory=Journal, repr=False, compare=False)
    """The rewrites that it made and the near misses, where the pass is one of ours."""
    verify_seconds: float = 0.0
    """How long verifying the module took then."""
    lost: tuple[str, ...] = ()
    """The shardings that no value has any more: a line for each."""

    @property
    def name(self) -> str:
        """The pass's name."""
        return self.spec.partition("{")[0]


class Instrument:
    """Looks on as a pipeline runs; a subclass overrides what it wants to see."""

    def begin(self, model: Model) -> None:
        """Called once, with the model as it is before the first pass."""

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        """Called before pass `one` runs; it may limit the journal's rewrites."""

    def after(self, model: Model, run: PassRun) -> None:
        """Called when a pass has run and the module verifies."""

    def failed(self, place: int, one: ModulePass, error: Exception) -> None:
        """Called when a pass raised `error` or left a module that does not verify."""

    def end(self, model: Model, runs: Sequence[PassRun]) -> None:
        """Called once when every pass has run."""


def spec_of(pipeline: str, backend: str = "") -> str:
    """
    The spec that `pipeline` stands for: a spec in which levels may stand among passes.

    ``O1`` is the passes of -O1, and ``O1,fold-batch-norm`` those and one more. For a
    `backend`, a level that lowers ends with what `LOWERING` has for it; not where the
    program is partitioned, whose values are lists of parts on NumPy.
    """
    parts = split_spec(pipeline)
    if parts is None or not any(part in PIPELINES for part in parts):
        return pipeline
    specs = [spec for part in parts for spec in PIPELINES.get(part, (part,))]
    divided = any(part.partition("{")[0] == "partition" for part in parts)
    if not LOWERING_LEVELS.isdisjoint(parts) and not divided:
        specs += LOWERING.get(backend, ())
    return ",".join(specs)


def split_spec(spec: str) -> list[str] | None:
    """The passes of a spec, each with its options; None if it is not well formed."""
    lexer, parts, depth = PipelineLexer(spec), [""], 0
    try:
        while (token := lexer.lex()).kind is not SpecTokenKind.EOF:
            depth += token.kind is SpecTokenKind.L_BRACE
            depth -= token.kind is SpecTokenKind.R_BRACE
            if token.kind is SpecTokenKind.COMMA and depth == 0:
                parts.append("")
            else:
                parts[-1] += token.span.text
    except ArgSpecParseError:
        return None
    return parts


_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|#.*')


def read_pipeline(path: Path) -> str:
    """
    The spec in a pipeline file: one pass, level or spec per line, run in their order.

    What follows a ``#`` outside quotes is a comment. Raises PipelineError with the line
    for one that is not well formed; whether its passes exist is asked when it runs.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise PipelineError(f"{path}: cannot be read: {reason}") from error
    specs: list[str] = []
    for number, line in enumerate(lines, start=1):
        spec = _COMMENT.sub(lambda match: match[1] or "", line).strip().rstrip(",")
        try:
            list(parse_pipeline_spec(spec))
        except ArgSpecParseError as error:
            reason = _last_line(error)
            raise PipelineError(f"{path}:{number}: {spec!r}: {reason}") from error
        if spec:
            specs.append(spec)
    return ",".join(specs)


def spec_text(one: ModulePass) -> str:
    """
    The spec of a pass, which parses back to it: quotes within strings are escaped.

    ``fixpoint{passes="specialize-dims{dims=\\"batch=1\\"},cse"}``
    """
    spec = one.pipeline_pass_spec()
    if not spec.parameters:
        return spec.name
    options = [
        f"{name}={','.join(map(_value_text, values))}" if values else name
        for name, values in spec.parameters.items()
    ]
    return f"{spec.name}{{{' '.join(options)}}}"


def _value_text(value: ParameterType) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # The lexer takes 1e-05 for a word; an exponent needs a decimal point before it.
        digits, _, exponent = str(value).partition("e")
        point = "" if "." in digits or not exponent else ".0"
        return f"{digits}{point}e{exponent}" if exponent else digits
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Every pass that a pipeline may name: xDSL's, ours, and other packages'."""
    return Universe.get_multiverse().all_passes


def parse_pipeline(spec: str) -> tuple[ModulePass, ...]:
    """
    The passes of a spec such as ``cse,specialize-dims{dims="batch=1"}``.

    Raises PipelineError that names the unknown pass or option.
    """
    if not spec:
        return ()
    known = all_passes()
    try:
        for one in parse_pipeline_spec(spec):
            if one.name not in known:
                close = get_close_matches(one.name, known, 1)
                meant = f" (did you mean {close[0]}?)" if close else ""
                raise PipelineError(
                    f"pipeline {spec!r}: found pass {one.name!r}, wanted one that "
                    f"`sardonyx passes` lists{meant}"
                )
        passes = PassPipeline.parse_spec(known, spec).passes
    except ArgSpecParseError as error:
        raise PipelineError(f"pipeline {spec!r}: {_last_line(error)}") from error
    except (ParseError, UnicodeDecodeError) as error:
        # An escape in a string that is none.
        found = "found an unknown escape in a string"
        raise PipelineError(f"pipeline {spec!r}: {found}") from error
    except Exception as error:
        # xDSL reports an unknown pass or option as a bare Exception.
        if type(error) not in (Exception, ValueError):
            raise
        raise PipelineError(f"pipeline {spec!r}: {_first_line(error)}") from error
    for one in passes:
        _parse_within(one)
    return passes


def _parse_within(one: ModulePass) -> None:
    """Raise PipelineError unless the passes that `one` runs can be read."""
    if isinstance(one, FixpointPass):
        parse_pipeline(spec_of(one.passes))
    elif isinstance(one, SparePass):
        parse_pipeline(one.passes)


@collection_paused()
def run_pipeline(
    model: Model,
    pipeline: str,
    instruments: Sequence[Instrument] = (),
    verify: bool = True,
) -> list[PassRun]:
    """
    Run a level or spec on `model` in place, verifying after each pass.

    The rounds of a `fixpoint` are runs of their own. Raises PassError for a module that
    does not verify afterwards, and whatever a pass raises.
    """
    passes = parse_pipeline(spec_of(pipeline))
    runner = _Runner(model, instruments, verify)
    for instrument in instruments:
        instrument.begin(model)
    for one in passes:
        runner.run(one)
    for instrument in instruments:
        instrument.end(model, runner.runs)
    return runner.runs


def passes_in(pipeline: str) -> list[ModulePass]:
    """Every pass that a level or spec runs, those within fixpoints once each."""
    found: list[ModulePass] = []
    for one in parse_pipeline(spec_of(pipeline)):
        inside = isinstance(one, FixpointPass)
        found += passes_in(one.passes) if inside else [one]
    return found


class PassError(SardonyxError):
    """A pass that left a module which does not verify."""


@dataclass
class _Runner:
    model: Model
    instruments: Sequence[Instrument]
    verify: bool
    runs: list[PassRun] = field(default_factory=list[PassRun])

    def run(self, one: ModulePass) -> None:
        if isinstance(one, FixpointPass):
            self._until_settled(one)
            return
        place = len(self.runs)
        self.model.context.journal = Journal()
        for instrument in self.instruments:
            instrument.before(self.model, place, one)
        try:
            run = self._run(place, one)
        except Exception as error:
            for instrument in self.instruments:
                instrument.failed(place, one, error)
            raise
        self.runs.append(run)
        for instrument in self.instruments:
            instrument.after(self.model, run)

    def _run(self, place: int, one: ModulePass) -> PassRun:
        model = self.model
        # Between passes an instrument may have put another module there.
        counted = self.runs and not self.instruments
        before = self.runs[-1].ops_after if counted else count_ops(model)
        noted = _noted(model)
        start = time.perf_counter()
        one.apply(model.context, model.module)
        done = time.perf_counter()
        journal, after = model.context.journal, count_ops(model)
        # What did nothing has left a module that was verified before.
        changed = bool(journal.rewrites) or after != before or not _tells(one)
        if self.verify and (changed or place == 0):
            _verify(model, one)
        verified = time.perf_counter()
        spent = done - start
        spec, verifying = spec_text(one), verified - done
        gone = noted() if noted is not None else ()
        return PassRun(place, spec, spent, before, after, journal, verifying, gone)

    def _until_settled(self, group: FixpointPass) -> None:
        passes = parse_pipeline(spec_of(group.passes))
        telling = all(map(_tells, passes))
        for _ in range(group.max_rounds):
            start, before = len(self.runs), self._state(telling)
            for one in passes:
                self.run(one)
            rewritten = any(run.journal.rewrites for run in self.runs[start:])
            if not (telling and rewritten) and self._state(telling) == before:
                return
        raise group.unsettled()

    def _state(self, telling: bool) -> str | int:
        """What differs when the module does, beside what journals tell."""
        module = self.model.module
        return sum(1 for _ in module.walk()) if telling else str(module)


def _noted(model: Model) -> Callable[[], tuple[str, ...]] | None:
    """What tells, after a pass, which shardings it has lost; None without a mesh."""
    module = model.module
    if not any(op.name == "sdy.mesh" for op in module.ops):
        return None
    from ..passes.sharding.lost import lost, noted_in

    before = noted_in(module) or []
    return lambda: tuple(map(str, lost(before, module)))


def _tells(one: ModulePass) -> bool:
    """Whether what `one` changes is known from its journal and the number of ops."""
    if isinstance(one, SparePass):
        return all(map(_tells, one.pipeline()))
    return one.name in TELLING


def _verify(model: Model, one: ModulePass) -> None:
    """Raise PassError, which names the first op at fault, if the module is none."""
    try:
        model.module.verify()
    except VerifyException as error:
        told = " ".join(_first_line(error).split())
        where = _culprit(model.module)
        raise PassError(
            f"pass {one.name} left a module that does not verify: {where}{told}"
        ) from error


def _culprit(module: Operation) -> str:
    for op in module.walk():
        try:
            op.verify(verify_nested_ops=False)
        except VerifyException:
            return f"{describe(op)}: "
    return ""


_QUIET = frozenset(
    [
        "builtin.module",
        "func.func",
        "func.return",
        "fusion.yield",
        "onnx.Constant",
        "onnx.none",
        "onnx.yield",
    ]
)


def count_ops(model: Model) -> int:
    """
    How many ops the module has, constants, absent values and functions aside.

    A fused region is one op.
    """
    return sum(map(_counted, model.module.walk()))


def _counted(op: Operation) -> int:
    # What is within a region is walked over too.
    return 1 - len(op.ops) if isinstance(op, RegionOp) else op.name not in _QUIET


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1].strip()

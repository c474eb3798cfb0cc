"""
Proves rules on random inputs: both sides run, and an oracle beside them.

The left side runs with our NumPy kernels and, exported, in ONNX's reference evaluator;
the right side is what the rule makes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import SSAValue

from ..backends.kernels import KERNELS
from ..backends.kernels.apply import apply
from ..dialects.errors import SardonyxError
from ..dialects.onnx import OnnxContext, OnnxOp
from ..dialects.onnx.journal import Journal
from ..dialects.onnx.types import Array
from ..passes.fold_constants import constant_of
from ..passes.rules.engine import RulePatterns
from ..passes.rules.samples import Sample, draw
from ..passes.rules.syntax import Rule
from ..passes.rules.values import array_text
from .driver import call_by_name, compile_model
from .exporter import ExportError, to_proto
from .model import Model
from .oracle import OracleError, run_oracle

TRIES = 2000
"""How many left sides are drawn before a rule counts as never applying."""
SAMPLES = 40
"""On how many inputs a rule is proved."""

TOLERANCE = {
    "float64": 1e-11,
    "complex128": 1e-11,
    "float32": 2e-5,
    "complex64": 2e-5,
    "float16": 2e-2,
    "bfloat16": 1e-1,
}
"""max|a-b| / max|b| that passes for a rule that is not exact; the others are equal."""

Results: TypeAlias = list[Any]


@dataclass(frozen=True)
class Sides:
    """What both sides gave, and the oracle for the left one (None if it refuses)."""

    left: Results
    right: Results | str
    """Or why it cannot run."""
    oracle: Results | None


@dataclass(frozen=True)
class Counterexample:
    """An input on which the sides of a rule differ."""

    sample: Sample
    sides: Sides
    reason: str

    def __str__(self) -> str:
        lines = [self.reason]
        lines += [f"  {name}: {text}" for name, text in self.sample.given]
        for word, results in (
            ("left", self.sides.left),
            ("right", self.sides.right),
            ("reference, left", self.sides.oracle or []),
        ):
            if isinstance(results, str):
                lines.append(f"  {word}: {results}")
            else:
                lines += [f"  {word}: {array_text(np.asarray(r))}" for r in results]
        return "\n".join(lines)


@dataclass
class Proof:
    """What came of proving one rule."""

    rule: Rule
    tried: int = 0
    held: int = 0
    """On how many inputs both sides agreed."""
    by_oracle: int = 0
    """On how many of these the reference evaluator agreed with the left side too."""
    dtypes: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    """Why the rule declined, and how often."""
    wrong: Counterexample | None = None

    @property
    def ok(self) -> bool:
        """Whether the rule applied, and the sides always agreed."""
        return self.wrong is None and self.held > 0

    def __str__(self) -> str:
        if self.wrong is not None:
            return f"wrong: {self.wrong}"
        if not self.held:
            return (
                f"no input of {self.tried} tries satisfies the conditions{self._why()}"
            )
        kinds = ", ".join(sorted(self.dtypes))
        return (
            f"holds on {self.held} inputs ({kinds}; {self.by_oracle} by the reference)"
        )

    def as_json(self) -> dict[str, Any]:
        """What came of it, for JSON."""
        wrong = None if self.wrong is None else str(self.wrong)
        return {
            "rule": self.rule.name,
            "ok": self.ok,
            "tried": self.tried,
            "held": self.held,
            "by_reference": self.by_oracle,
            "dtypes": sorted(self.dtypes),
            "declined": dict(self.reasons.most_common()),
            "wrong": wrong,
        }

    def _why(self) -> str:
        most = self.reasons.most_common(1)
        return f" (most often: {most[0][0]})" if most else ""


def prove(
    rule: Rule, samples: int = SAMPLES, seed: int = 0, tries: int = TRIES
) -> Proof:
    """
    Try `rule` on random inputs until it held on `samples`, or differed.

    Of the inputs on which it differs the smallest of a few is kept.
    """
    proof = Proof(rule)
    rng = np.random.default_rng(seed)
    wrong: list[Counterexample] = []
    while proof.tried < tries and proof.held < samples and len(wrong) < 8:
        proof.tried += 1
        sample = draw(rule, rng)
        if sample is None:
            continue
        found = _try(proof, sample)
        if found is not None:
            wrong.append(found)
        if wrong and proof.tried > 3 * samples:
            break
    proof.wrong = min(wrong, key=lambda w: w.sample.size, default=None)
    return proof


def _try(proof: Proof, sample: Sample) -> Counterexample | None:
    """Both sides on one input; None where nothing is shown or both agree."""
    rule = proof.rule
    left = Model(sample.module, OnnxContext(store=sample.store))
    right = left.clone()
    # Each rewrite is right or wrong by itself.
    right.context.journal = Journal(limit=1)
    patterns = RulePatterns([rule], right.context.store, right.context.journal)
    patterns.rewrite_module(right.module)
    journal = right.context.journal
    if not journal.rewrites:
        proof.reasons.update(journal.reasons() or journal.far)
        return None
    before = _run(left, sample)
    if isinstance(before, str) or not (rule.exact or all(map(_finite, before))):
        return None
    right.module.verify()
    after = _run(right, sample)
    oracle = _oracle(left, sample)
    sides = Sides(before, after, oracle)
    if isinstance(after, str):
        return Counterexample(sample, sides, "the right side cannot run")
    reason = difference(before, after, rule.exact)
    if reason is not None:
        return Counterexample(sample, sides, f"the sides differ: {reason}")
    proof.held += 1
    proof.by_oracle += oracle is not None and _agree(before, oracle)
    arrays = sample.inputs or [np.asarray(result) for result in before]
    names = {"string" if a.dtype == object else a.dtype.name for a in arrays}
    proof.dtypes.update(names)
    return None


def _run(model: Model, sample: Sample) -> Results | str:
    """What `model` gives on the sample's inputs; why, if it cannot run on them."""
    try:
        if _has_kernels(model):
            return _interpreted(model, sample.inputs)
        executable = compile_model(model, "numpy", "O0")
        names = [spec.name for spec in executable.inputs]
        given = dict(zip(names, sample.inputs, strict=True))
        return [*call_by_name(executable, given)]
    except (SardonyxError, *_REFUSALS) as error:
        return str(error) or type(error).__name__


_REFUSALS = (ValueError, TypeError, IndexError, ArithmeticError)
"""What kernels raise on operands that their operator does not take."""


def _has_kernels(model: Model) -> bool:
    ops = (op for op in model.main.body.block.ops if isinstance(op, OnnxOp))
    return all(op.name in KERNELS or op.name == "onnx.Constant" for op in ops)


def _interpreted(model: Model, inputs: Sequence[Array]) -> Results:
    """The results by the kernels, op by op: writing a program takes longer."""
    block, store = model.main.body.block, model.context.store
    known: dict[SSAValue, Array | None] = dict(zip(block.args, inputs, strict=True))
    for op in block.ops:
        if not isinstance(op, OnnxOp):
            known.update((result, None) for result in op.results)
            continue
        held = constant_of(op.results[0], store)
        if held is not None:
            known[op.results[0]] = held()
            continue
        found = apply(op, [known[value] for value in op.operands])
        known.update(zip(op.results, found, strict=True))
    return [known[value] for value in model.results]


def _oracle(model: Model, sample: Sample) -> Results | None:
    """What the reference evaluator gives; None if it refuses."""
    try:
        proto = to_proto(model)
        names = [info.name for info in proto.graph.input]
        given = dict(zip(names, sample.inputs, strict=True))
        outputs = [info.name for info in proto.graph.output]
        with np.errstate(all="ignore"):
            found = run_oracle("reference", proto, given, outputs)
        return [found[name] for name in outputs]
    except (ExportError, OracleError):
        return None


def _finite(result: Any) -> bool:
    array = np.asarray(result)
    if array.dtype.name not in TOLERANCE:
        return True
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    return bool(np.isfinite(wide).all())


def _agree(ours: Results, theirs: Results) -> bool:
    return difference(ours, theirs, exact=False) is None


def difference(left: Results, right: Results, exact: bool) -> str | None:
    """How the results of two sides differ; None if they do not."""
    for a, b in zip(left, right, strict=True):
        reason = _differs(np.asarray(a), np.asarray(b), exact)
        if reason is not None:
            return reason
    return None


def _differs(left: Array, right: Array, exact: bool) -> str | None:
    if left.dtype != right.dtype or left.shape != right.shape:
        kinds = [f"{a.dtype.name}{list(a.shape)}" for a in (left, right)]
        return f"left gives {kinds[0]}, right {kinds[1]}"
    if left.dtype.name not in TOLERANCE:
        bad = np.asarray(left != right)
    else:
        a, b = (x.astype(np.complex128) for x in (left, right))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(all="ignore"):
            known = np.abs(a)[np.isfinite(a)]
            scale = max(float(known.max(initial=0)), 1.0)
            close = np.abs(a - b) <= TOLERANCE[left.dtype.name] * scale
        bad = ~same if exact else ~(same | close)
    if not bad.any():
        return None
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = f" at {list(where)}" if where else ""
    return f"left is {left[where]}, right {right[where]}{place}"

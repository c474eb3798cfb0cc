"""
Runs a model as it stands between two passes, and says how far its outputs are off.

What guard, bisect and reduce ask of every candidate. Nothing is optimized on the way:
the NumPy backend runs the ops one by one, ONNX Runtime what the exporter wrote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...backends.program import InputSpec
from ...dialects.errors import SardonyxError
from ..arguments import random_for, read_inputs
from ..driver import Executable, InputError, call_by_name, lower
from ..exporter import to_proto
from ..inputs import input_specs
from ..model import Model
from ..oracle import run_oracle
from ..verify import (
    Comparison,
    compare,
    expose,
    logits_of,
    magnitude,
    softened,
    tensor_of,
)

RUNNERS = ("numpy", "onnxruntime")
"""Who may run the models that are compared."""


class Divergence(SardonyxError):
    """A pass that changed a result: the command exits with 1, as `verify` does."""

    exit_code = 1


@dataclass(frozen=True)
class Inputs:
    """Where the inputs of a trial come from: files, else drawn at random."""

    files: tuple[str, ...] = ()
    """``NAME=FILE.npy`` each."""
    seed: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Of symbolic dimensions."""

    def of(self, model: Model, later: Model | None = None) -> dict[str, Any]:
        """
        The inputs of `model`, of sizes that `later`, made from it by passes, takes too.

        Raises SardonyxError for a file that is no input's, or an input of which there
        is no random value.
        """
        takes = _Takes(input_specs(model))
        given = read_inputs(self.files, takes.inputs)
        sizes = dict(self.sizes)
        for wide, narrow in zip(
            takes.inputs, () if later is None else input_specs(later), strict=False
        ):
            for dim, size in zip(wide.shape or (), narrow.shape or (), strict=False):
                if isinstance(dim, str) and isinstance(size, int):
                    sizes.setdefault(dim, size)
        return random_for(takes, sizes, self.seed, given)


@dataclass(frozen=True)
class _Takes:
    """What `random_for` asks of an executable."""

    inputs: tuple[InputSpec, ...]


@dataclass(frozen=True)
class Values:
    """A model's outputs, and the logits of those that are softmaxes."""

    names: tuple[str, ...]
    outputs: tuple[Any, ...]
    logits: Mapping[str, tuple[str | None, Any]]
    """By output: the logits' tensor, if it is known, and their value."""


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate is right; `ok` is None for one that cannot be judged."""

    ok: bool | None
    worst: Comparison | None = None
    """The output that is most over its tolerance or, if none is, nearest to it."""
    trouble: str = ""
    """Why it is wrong or cannot be judged, where no values were compared."""

    def __str__(self) -> str:
        if self.worst is None:
            return self.trouble or "right"
        c = self.worst
        if c.relative == math.inf:
            return f"{c.kind} {c.name!r} differs in shape, type or what is not finite"
        return (
            f"{c.kind} {c.name!r} differs by {c.relative:.3g} of its largest element "
            f"(tolerance {c.tolerance:.1g})"
        )

    @property
    def error(self) -> float | None:
        """``max|a-b| / max|b|`` of the worst output, where values were compared."""
        return None if self.worst is None else self.worst.relative


def values_of(model: Model, inputs: Mapping[str, Any], runner: str = "numpy") -> Values:
    """
    What `model` gives for `inputs`; it stays as it is.

    Raises SardonyxError if it cannot run.
    """
    shown = model.clone()
    names = tuple(value.name for value in shown.outputs)
    behind = {
        name: logits
        for name, value in zip(names, shown.results, strict=True)
        if (logits := logits_of(value)) is not None
    }
    expose(shown, list(behind.values()))
    found = run_model(shown, inputs, runner)
    logits = {
        name: (tensor_of(value), array)
        for (name, value), array in zip(
            behind.items(), found[len(names) :], strict=True
        )
    }
    return Values(names, tuple(found[: len(names)]), logits)


def run_model(model: Model, inputs: Mapping[str, Any], runner: str) -> Sequence[Any]:
    """The outputs of `model`, which is not used afterwards, in their order."""
    if runner == "onnxruntime":
        proto = to_proto(model)
        wanted = [info.name for info in proto.graph.output]
        found = run_oracle(runner, proto, inputs, wanted)
        return [found[name] for name in wanted]
    program = lower(model, "numpy")
    try:
        return call_by_name(Executable(model, "numpy", "", program), inputs)
    except (ArithmeticError, AssertionError, LookupError, AttributeError) as error:
        # What a kernel raises on operands that no right model would give it.
        said = f"{type(error).__name__}: {error}"
        raise InputError(f"the program fails: {said}") from error


def judged(found: Values, wanted: Values, tolerance: float | None = None) -> Verdict:
    """
    How far `found` is from `wanted`, by the rules and tolerances of `verify`.

    A softmax's output is held to what its logits' tolerance implies, and the logits,
    where both have the same tensor, to that tolerance.
    """
    if found.names != wanted.names:
        said = f"found outputs {list(found.names)}, wanted {list(wanted.names)}"
        return Verdict(False, None, said)
    compared: list[Comparison] = []
    for name, ours, theirs in zip(
        wanted.names, found.outputs, wanted.outputs, strict=True
    ):
        one = compare(name, "output", "", ours, theirs, tolerance)
        if name in wanted.logits:
            tensor, logits = wanted.logits[name]
            one = softened(one, magnitude(logits))
            same, ours = found.logits.get(name, (None, None))
            if tensor is not None and same == tensor:
                one_more = compare(tensor, "logits", "", ours, logits, tolerance)
                compared.append(one_more)
        compared.append(one)
    worst = max(compared, key=_excess, default=None)
    return Verdict(all(c.ok for c in compared), worst)


def _excess(compared: Comparison) -> tuple[bool, float]:
    limit = compared.tolerance or 1.0
    return (not compared.ok, compared.relative / limit)


@dataclass(frozen=True)
class Trial:
    """Judges models by what the first of them gave on the same inputs."""

    inputs: Mapping[str, Any]
    wanted: Values
    tolerance: float | None = None
    runner: str = "numpy"

    @classmethod
    def of(
        cls,
        model: Model,
        inputs: Mapping[str, Any],
        tolerance: float | None = None,
        runner: str = "numpy",
    ) -> Trial:
        """The trial in which `model` is right; SardonyxError if it cannot run."""
        return cls(inputs, values_of(model, inputs, runner), tolerance, runner)

    def __call__(self, model: Model) -> Verdict:
        """How far `model` is off; one that cannot run is wrong."""
        return self.run(model)[0]

    def run(self, model: Model) -> tuple[Verdict, Values | None]:
        """How far `model` is off, and what it gives, if it can run."""
        try:
            found = values_of(model, self.inputs, self.runner)
        except SardonyxError as error:
            return Verdict(False, None, f"it cannot run any more: {error}"), None
        return judged(found, self.wanted, self.tolerance), found

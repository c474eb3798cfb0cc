"""A NumPy program that says when each of its ops began and ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from ...dialects.fusion import RegionOp
from ...dialects.onnx import OnnxOp, WeightStore
from ..program import InputSpec, assemble
from . import TABLE, call
from .prepared import PreparingEmitter

Span = tuple[int, float, float]
"""The place of an op, and when it began and ended by the clock."""


@dataclass
class TimedEmitter(PreparingEmitter):
    """Writes a line before and a line after each of the ops that have places."""

    places: Mapping[Operation, int] = field(default_factory=dict[Operation, int])
    taken: ClassVar[tuple[str, str]] = ("clock", "spent")
    """The names that whoever runs the program gives it."""

    def _emit_op(self, op: OnnxOp | RegionOp) -> None:
        place = self.places.get(op)
        if place is None:
            super()._emit_op(op)
            return
        # What is nested stands deeper: a name for each depth is enough.
        begun = f"begun_{self.level}"
        self.line(f"{begun} = clock()")
        super()._emit_op(op)
        self.line(f"spent({place}, {begun}, clock())")

    def prepare(self, main: FuncOp) -> None:
        super().prepare(main)
        depths = [f"begun_{level}" for level in range(1, 1 + len(self.places))]
        self.reserve(*self.taken, *depths)


@dataclass(frozen=True)
class TimedProgram:
    """A program to be run with a clock."""

    source: str
    weights: tuple[str, ...]

    def prepared(
        self, clock: Callable[[], float], weights: Mapping[str, Any]
    ) -> Callable[[Sequence[Any]], list[Span]]:
        """
        A function that runs the program on inputs and returns what each op took.

        The spans are in the order in which the ops ended, seconds by `clock`.
        """
        spans: list[Span] = []

        def spent(place: int, begun: float, ended: float) -> None:
            spans.append((place, begun, ended))

        namespace: dict[str, Any] = {"__name__": "sardonyx_program", "clock": clock}
        namespace["spent"] = spent
        exec(compile(self.source, "<sardonyx timed>", "exec"), namespace)
        given = namespace["prepared"](weights) if "prepared" in namespace else weights

        def run(inputs: Sequence[Any]) -> list[Span]:
            spans.clear()
            call(namespace["forward"], given, inputs)
            return list(spans)

        return run


def timed_program(
    main: FuncOp,
    store: WeightStore,
    places: Mapping[Operation, int],
    inputs: Sequence[InputSpec],
) -> TimedProgram:
    """The timed program of `main`; LoweringError names what has no kernel."""
    emitter = TimedEmitter(TABLE, store, places=places)
    forward = emitter.emit(main, [spec.name for spec in inputs])
    source = assemble("Timed.", emitter, forward, inputs, (), [call], "")
    return TimedProgram(source, tuple(emitter.weights))

"""What the options of `opt`, `compile` and `verify` say of guarding and of crashes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import typer

from ...dialects.errors import SardonyxError
from ..arguments import fraction, natural
from ..pipelines import Instrument
from .guard import Guard, ignored
from .reproducer import CrashReporter
from .trial import RUNNERS, Inputs

BY_DTYPE = "auto"
"""What ``--guard`` without a number says: `verify`'s tolerance of each dtype."""


@dataclass(frozen=True)
class Trusting:
    """What is asked for, as the command line says it."""

    inputs: Inputs
    guard: str | None = None
    """A tolerance, or `BY_DTYPE`; None for no guard."""
    runner: str = RUNNERS[0]
    reproducer: bool = True
    compares: bool = False
    """Whether the command runs the inputs by itself too, as `verify` does."""

    def instruments(
        self, pipeline: str, source: str, tell: Callable[[str], object] = ignored
    ) -> list[Instrument]:
        """The instruments for a run of `pipeline` on the model from file `source`."""
        found: list[Instrument] = []
        if self.inputs.files and not self.compares and self.guard is None:
            raise SardonyxError("-i: found an input without --guard, wanted both")
        if self.guard is not None:
            found.append(Guard(self.inputs, self.tolerance(), self.runner, tell))
        # The last, as what it raises is what the user reads.
        crash = CrashReporter(pipeline, source, self.reproducer)
        return [*found, crash]

    def tolerance(self) -> float | None:
        """The tolerance of the guard; SardonyxError for what is no number."""
        if self.guard in (None, BY_DTYPE):
            return None
        try:
            return fraction(self.guard)
        except typer.BadParameter as error:
            raise SardonyxError(f"--guard: {error.message}") from error


def add_trusting_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for `opt`, whose parser is xDSL's."""
    group = parser.add_argument_group("trusting")
    group.add_argument(
        "--guard",
        metavar="TOL",
        nargs="?",
        const=BY_DTYPE,
        help="run the model before and after each pass and stop, with exit code 1, at "
        "the first that changes an output by more than TOL (by dtype if not given; "
        "write --guard=TOL)",
    )
    group.add_argument(
        "--guard-with",
        choices=RUNNERS,
        default=RUNNERS[0],
        help="who runs it: numpy unless given",
    )
    group.add_argument(
        "-i",
        "--input",
        metavar="NAME=FILE.npy",
        action="append",
        default=[],
        help="an input's array for --guard; others are random",
    )
    group.add_argument("--seed", default="0", help="seeds the random inputs")
    group.add_argument(
        "--no-reproducer",
        action="store_true",
        help="write no folder when a pass crashes",
    )


def trusting_of(args: argparse.Namespace) -> Trusting:
    """What the options of `opt` say."""
    try:
        seed = natural(args.seed)
    except typer.BadParameter as error:
        raise SardonyxError(f"--seed: {error.message}") from error
    inputs = Inputs(tuple(args.input), seed)
    return Trusting(inputs, args.guard, args.guard_with, not args.no_reproducer)

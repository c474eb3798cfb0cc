"""
Run passes again and again until none of them changes the module.

    fixpoint{passes="fold-constants,cse"}   ->   fold-constants, cse, fold-constants, …

A quote within the quotes is escaped:

    fixpoint{passes="expand-functions{ops=\\"Mish\\"},cse"}

Whatever shows passes (``opt --statistics`` …) shows each pass of each round.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass, PassPipeline
from xdsl.universe import Universe

from ..dialects.errors import SardonyxError


@dataclass(frozen=True)
class FixpointPass(ModulePass):
    """
    Run `passes` (a pipeline spec) until a round changes nothing.

    Passes that undo each other never come to rest: after `max_rounds` that is an error.
    """

    name = "fixpoint"

    passes: str = ""
    max_rounds: int = 16

    def pipeline(self) -> tuple[ModulePass, ...]:
        """The passes of a round; raises what xDSL's parser of specs raises."""
        known = Universe.get_multiverse().all_passes
        return PassPipeline.parse_spec(known, self.passes).passes

    def unsettled(self) -> SardonyxError:
        """The error for passes that never come to rest."""
        return SardonyxError(
            f"fixpoint: found {self.passes!r} still changing the module after "
            f"{self.max_rounds} rounds, wanted a round that changes nothing"
        )

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        passes = self.pipeline()
        for _ in range(self.max_rounds):
            before = str(op)
            for one in passes:
                one.apply(ctx, op)
            if str(op) == before:
                return
        raise self.unsettled()

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FixpointPass, ...]:
        return ()

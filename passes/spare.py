"""
Run passes, and leave the ops of some nodes as they are.

    spare{nodes="gelu_3","gelu_7" passes="fuse-gelu"}   ->   fuse-gelu, but for two

What `--refuse-slower` writes where a rewrite makes some ops slower and others not. In
these passes no rewrite begins at an op that came from one of the nodes; one that begins
elsewhere may still take such an op in. A node that the module does not have counts for
nothing: passes before may have removed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass, PassPipeline
from xdsl.universe import Universe

from .patterns import journal_of


@dataclass(frozen=True)
class SparePass(ModulePass):
    """
    Run `passes` (a pipeline spec), but rewrite nothing at the ops of `nodes`.

    Passes that keep no journal of their rewrites, as xDSL's own, heed it not.
    """

    name = "spare"

    nodes: tuple[str, ...] = ()
    passes: str = ""

    def pipeline(self) -> tuple[ModulePass, ...]:
        """The passes within; raises what xDSL's parser of specs raises."""
        known = Universe.get_multiverse().all_passes
        return PassPipeline.parse_spec(known, self.passes).passes

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        journal = journal_of(ctx)
        before = journal.spared
        journal.spared = before | {*self.nodes}
        try:
            for one in self.pipeline():
                one.apply(ctx, op)
        finally:
            journal.spared = before

    @classmethod
    def schedule_space(cls, ctx: Context, module_op: ModuleOp) -> tuple[SparePass, ...]:
        return ()

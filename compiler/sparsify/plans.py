"""Which passes a pruning is: perhaps a search for groups, then the pruning itself."""

from __future__ import annotations

from ...passes.sparsity.importance import check_method
from ...passes.sparsity.patterns import GROUPED, pattern_of
from ...passes.sparsity.prune import PrunePass
from ...passes.sparsity.regroup_outputs import RegroupOutputsPass
from ..compression.plans import Plan, Stage

GOALS = ("none", "time", "bytes")
"""What weights are stored without their zeros for; with ``none`` zeros stay."""


def plan_of(prune: PrunePass, regroup: bool) -> Plan:
    """
    The plan that ends with `prune`; with `regroup`, outputs are reordered before.

    Raises SardonyxError for a method or a pattern that there is not. A pattern without
    groups of outputs is not regrouped.
    """
    check_method("prune", prune.method)
    wanted = pattern_of("prune", prune.pattern, prune.sparsity, prune.group, prune.run)
    stages = [Stage(prune, second=True)]
    if regroup and wanted.kind in GROUPED:
        first = RegroupOutputsPass(
            prune.method, prune.pattern, prune.sparsity, prune.group, prune.run
        )
        stages.insert(0, Stage(first, second=True))
    return Plan(tuple(stages))

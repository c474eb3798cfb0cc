"""Which passes a pruning is: perhaps a search for groups, then the pruning itself."""

from __future__ import annotations

from dataclasses import replace

from ...passes.sparsity.importance import check_method
from ...passes.sparsity.patterns import GROUPED, pattern_of
from ...passes.sparsity.prune import PrunePass
from ...passes.sparsity.regroup_outputs import RegroupOutputsPass
from ..compression.plans import Plan, Stage

GOALS = ("none", "time", "bytes")
"""What weights are stored without their zeros for; with ``none`` zeros stay."""


def plan_of(prune: PrunePass, regroup: bool, milder: bool = False) -> Plan:
    """
    The plan that ends with `prune`; with `regroup`, outputs are reordered before.

    With `milder`, layers that lose too much may keep half of what they would lose,
    unless the pattern says by itself how much that is (N:M).

    Raises SardonyxError for a method or a pattern that there is not. A pattern without
    groups of outputs is not regrouped.
    """
    check_method("prune", prune.method)
    wanted = pattern_of("prune", prune.pattern, prune.sparsity, prune.group, prune.run)
    stages = [Stage(prune, second=True)]
    if regroup and wanted.kind in GROUPED:
        first = RegroupOutputsPass(
            prune.method,
            prune.pattern,
            prune.sparsity,
            prune.group,
            prune.run,
            power=prune.power,
        )
        stages.insert(0, Stage(first, second=True))
    gentle = replace(prune, sparsity=prune.sparsity / 2) if milder else None
    return Plan(tuple(stages), None if wanted.m else gentle)

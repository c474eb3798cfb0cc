"""
Apply rules without choosing between them, and take the cheapest program that they give.

    %p = onnx.MatMul(%b, %c)  // 512x512   ->   %p = onnx.MatMul(%a, %b)  // 1x512
    %y = onnx.MatMul(%a, %p)  // 1x512          %y = onnx.MatMul(%p, %c)  // 1x512

A greedy pass rewrites a program into another, and what it rewrote is gone: which rule
comes first decides what the others find. Here every program that the rules reach is
kept, as classes of equal values (`graph`), and one is chosen by what it costs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx import WeightStore, store_of
from ...dialects.onnx.journal import Declined, Journal
from ..patterns import journal_of
from ..rules import Rule, RuleSet, load_rules
from ..simplify_algebra import algebra
from .costs import Machine
from .greedy import GAIN, extract_greedily
from .integer import extract_by_program
from .problem import Problem, Selection
from .region import Region, Rewriting, choice_of
from .saturation import Saturation

EXTRACTIONS = ("ilp", "greedy")


@cache
def equalities() -> RuleSet:
    """The rules that are for saturation only: they pay here and not there."""
    return load_rules(Path(__file__).parents[1] / "rules" / "equalities.rules")


@dataclass(frozen=True)
class SaturatePass(ModulePass):
    """
    Apply rules without choosing between them, and take the cheapest program.

    `rules` are names of rules, or files of them: ``algebra``, ``equalities``, or the
    path of one that ends in ``.rules``; without any, both files. A function's graph
    grows to `nodes` nodes and for half of `seconds`; in the rest a program is chosen,
    by ``ilp`` or ``greedy``. Sizes that are symbols are taken to be `size`. Whatever is
    not cheaper than the function leaves it as it is.
    """

    name = "saturate"

    rules: tuple[str, ...] = ()
    nodes: int = 2_000
    seconds: int | float = 10
    extract: str = "ilp"
    size: int = 16

    def chosen(self) -> list[Rule]:
        """The rules that this applies; SardonyxError for a name that is none."""
        known = {"algebra": algebra().rules, "equalities": equalities().rules}
        known |= {r.name: (r,) for rules in tuple(known.values()) for r in rules}
        names = [n.strip() for text in self.rules for n in text.split(",")]
        found: dict[str, Rule] = {}
        for name in names or ("algebra", "equalities"):
            if name.endswith(".rules"):
                rules = load_rules(Path(name)).rules
            elif name in known:
                rules = known[name]
            else:
                wanted = ", ".join(known)
                raise SardonyxError(
                    f"saturate: found rule {name!r}, wanted a path to a file of "
                    f"rules, or some of: {wanted}"
                )
            found |= {rule.name: rule for rule in rules}
        return list(found.values())

    def check(self) -> None:
        """Raise SardonyxError for options that say nothing."""
        if self.extract not in EXTRACTIONS:
            wanted = " or ".join(EXTRACTIONS)
            raise SardonyxError(
                f"saturate: found extract {self.extract!r}, wanted {wanted}"
            )
        for name in ("nodes", "seconds", "size"):
            if getattr(self, name) <= 0:
                raise SardonyxError(
                    f"saturate: found {name} {getattr(self, name)}, wanted more than 0"
                )

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        self.check()
        rules, journal = self.chosen(), journal_of(ctx)
        store = store_of(ctx)
        store = WeightStore() if store is None else store
        for function in [f for f in op.ops if isinstance(f, FuncOp)]:
            if len(function.body.blocks) == 1 and journal.permits():
                _Run(self, function, rules, journal).run(store)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SaturatePass, ...]:
        return tuple(cls(extract=extract) for extract in EXTRACTIONS)


@dataclass
class _Run:
    """One function being saturated."""

    options: SaturatePass
    function: FuncOp
    rules: list[Rule]
    journal: Journal

    def run(self, store: WeightStore) -> None:
        """Rewrite the function if there is a cheaper one."""
        start = time.monotonic()
        end = start + self.options.seconds
        region = Region(self.function, store)
        saturation = Saturation(
            region.graph,
            self.rules,
            self.journal,
            self.options.nodes,
            (start + end) / 2,
        )
        limit = saturation.run()
        if limit is not None:
            self.declined(f"saturation ended before its end: {limit}")
        choice = choice_of(region, Machine(size=self.options.size))
        selection = self.extract(choice.problem, end)
        after = choice.problem.cost(selection)
        if after > choice.before * (1 - GAIN):
            self.declined(f"no program is cheaper than {1e6 * choice.before:.4g} us")
            return
        rewriting = Rewriting(region, choice, selection)
        made = rewriting.made()
        first = rewriting.gone[0][0] if rewriting.gone else self.function
        rules = rewriting.rules(saturation.united) or ["equal-values"]
        self.journal.rewrote("+".join(rules), first, rewriting.new)
        rewriting.write(made, store)

    def declined(self, reason: str) -> None:
        self.journal.declined("saturate", self.function, Declined(reason))

    def extract(self, problem: Problem, end: float) -> Selection:
        """The cheapest selection that the chosen way finds by `end`."""
        greedy = extract_greedily(problem, (time.monotonic() + end) / 2)
        if self.options.extract == "greedy":
            return greedy
        found = extract_by_program(problem, end - time.monotonic())
        if isinstance(found, str):
            self.declined(found)
            return greedy
        return min(greedy, found, key=problem.cost)

"""
Simplify by algebra that holds for every value.

    %y = onnx.Add(%x, 0)                ->   %x
    %y = onnx.Neg(onnx.Neg(%x))         ->   %x
    %y = onnx.Div(%x, 8)                ->   onnx.Mul(%x, 0.125)

The rules are text, in ``rules/algebra.rules``: ``sardonyx passes simplify-algebra``
lists them, and ``sardonyx rules check`` proves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .rules import RuleSet, load_rules
from .rules.engine import RulesPass


@cache
def algebra() -> RuleSet:
    """The rules, read when they are first needed."""
    return load_rules(Path(__file__).parent / "rules" / "algebra.rules")


@dataclass(frozen=True)
class SimplifyAlgebraPass(RulesPass):
    """Simplify by algebra that holds for every value; `only` names rules."""

    name = "simplify-algebra"

    @classmethod
    def rules(cls) -> RuleSet:
        return algebra()

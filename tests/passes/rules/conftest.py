"""What the tests of rules share: a rule in a text, applied to a module in a text."""

from collections.abc import Callable
from typing import Any

import pytest
from sardonyx.compiler.context import make_context
from sardonyx.dialects.onnx.store import OnnxContext
from sardonyx.passes.rules import RulePatterns, parse_rules
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser


class Rewritten:
    """What the rules of a text made of a module."""

    def __init__(self, rules: str, function: str):
        self.context: OnnxContext = make_context()
        self.module: ModuleOp = Parser(self.context, function).parse_module()
        self.module.verify()
        ruleset = parse_rules(rules, "my.rules")
        patterns = RulePatterns(ruleset.rules, self.context.store, self.context.journal)
        patterns.rewrite_module(self.module)
        self.module.verify()

    @property
    def names(self) -> list[str]:
        """The ops that are left, constants aside."""
        quiet = ("onnx.Constant", "onnx.none", "func.func", "builtin.module")
        names = [op.name for op in self.module.walk() if op.name not in quiet]
        return [name.removeprefix("onnx.") for name in names if name != "func.return"]

    @property
    def applied(self) -> list[str]:
        """The rules that were applied, in their order."""
        return [rewrite.pattern for rewrite in self.context.journal.rewrites]

    @property
    def reasons(self) -> list[str]:
        """Why rules nearly applied."""
        return list(self.context.journal.reasons())

    @property
    def far(self) -> list[str]:
        """Why rules did not, where their shape was not there."""
        return list(self.context.journal.far)

    def op(self, name: str) -> Any:
        """The one op of a name."""
        (found,) = [op for op in self.module.walk() if op.name == f"onnx.{name}"]
        return found


@pytest.fixture(name="rewritten")
def rewritten_fixture() -> Callable[[str, str], Rewritten]:
    """``rewritten(rules, function)``: a module after the rules of a text."""
    return Rewritten

"""
Rewrites as text: the language of .rules files.

`reading` and `typing` turn text into the rules of `syntax`; `matching`, `evaluation`
(with the functions of `library`), `fitting` and `writing` apply them; `engine` makes
passes of them; `samples` writes modules on which a rule must hold.
"""

from .engine import RulePattern, RulePatterns, RulesPass, rules_pass
from .reading import load_rules, parse_rules
from .syntax import Rule, RuleError, RuleSet

__all__ = [
    "Rule",
    "RuleError",
    "RulePattern",
    "RulePatterns",
    "RuleSet",
    "RulesPass",
    "load_rules",
    "parse_rules",
    "rules_pass",
]

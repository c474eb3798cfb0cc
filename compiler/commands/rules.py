"""``sardonyx rules check``: are the rules of a file right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..arguments import natural, positive
from ..show import err, print_json, printable, show
from .options import JsonOption

if TYPE_CHECKING:
    from ...passes.rules import Rule
    from ..rule_proofs import Proof

rules = typer.Typer(
    no_args_is_help=True, help="Files of rewrite rules: see docs/writing-passes.md."
)


@rules.callback()
def about() -> None:
    """Files of rewrite rules."""


@rules.command()
def check(
    file: Annotated[Path, typer.Argument(help="A .rules file.")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="RULE", help="Prove this rule alone."),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            parser=positive, metavar="N", help="On how many inputs each is proved."
        ),
    ] = 40,
    seed: Annotated[
        int, typer.Option(parser=natural, metavar="N", help="Seeds the inputs.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """
    Check the types of FILE's rules, then prove each on random inputs.

    Both sides run on NumPy, the left one by ONNX's reference evaluator too. A rule that
    is wrong, or that no input satisfies, is told with an example; then the exit code
    is 1.
    """
    from ..rule_proofs import prove

    proofs: list[Proof] = []
    for rule in _chosen(file, only):
        proof = prove(rule, samples, seed)
        proofs.append(proof)
        if not as_json:
            show(f"{rule.name}: {_shown(str(proof))}")
    if as_json:
        print_json([proof.as_json() for proof in proofs])
    else:
        right = sum(proof.ok for proof in proofs)
        show(f"{file}: {right} of {len(proofs)} rules hold")
    if not all(proof.ok for proof in proofs):
        raise typer.Exit(1)


def _shown(text: str) -> str:
    return "\n".join(map(printable, text.splitlines()))


def _chosen(file: Path, only: list[str] | None) -> list[Rule]:
    """The rules to prove; says all that is wrong with the file's types, if it is."""
    from ...dialects.errors import SardonyxError
    from ...passes.rules.reading import rules_in

    found, faults = rules_in(file)
    for fault in faults[:-1]:
        err.print(f"{fault}\n{fault.excerpt}", markup=False, soft_wrap=True)
    if faults:
        raise faults[-1]
    known = {rule.name: rule for rule in found}
    for name in only or ():
        if name not in known:
            wanted = ", ".join(known)
            raise SardonyxError(f"{file}: found rule {name!r}, wanted one of: {wanted}")
    return [rule for rule in found if not only or rule.name in only]

"""The page that says which ONNX operators run, how exactly, and what fails and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from judge import BACKENDS, Result

WHY = {
    "test_bernoulli": "the expected values are one random draw of many",
    "test_attention_4d_causal_fp16_expanded": "one unit in the last place of float16 "
    "is more than the tolerance: each step of ours is added up in float32 and rounded",
}
"""Why a test whose name begins so fails, where a number does not tell."""

_HEAD = """\
# What of the ONNX backend suite runs

The {tests} CPU tests (node, simple, pytorch-converted, pytorch-operator) that onnx
{version} brings, each compiled at -O2 and run, and judged by the suite's own comparison
and tolerances. `make coverage` writes this page.

| backend | pass | of | in JAX alone | with a part on the host |
|---|---|---|---|---|
{scores}

"On the host" are strings, sequences, optionals, and results whose size depends on data:
NumPy runs these nodes between the segments that JAX compiles. Where the values of an
input fix shapes, JAX compiles once per value; that is not the host.
"""

_OPERATORS = """\
## By operator

How many of the tests that are about an operator pass, an expanded one counting for the
operator whose function body it is, and one of several nodes for each of its operators.
ULP is the largest distance from an expected float, in units in the last place, in tests
of that operator alone; where a result is close to zero it is large though the error is
within the tolerance. "host" is in how many tests a part ran on NumPy.

| operator | tests | NumPy | ULP | JAX | ULP | host |
|---|---|---|---|---|---|---|
"""


def coverage_page(results: Iterable[Result], names: Sequence[str], version: str) -> str:
    """The page in Markdown; every test in `names` is in it, by score or by reason."""
    found = {(result.backend, result.name): result for result in results}
    missing = [(b, n) for b in BACKENDS for n in names if (b, n) not in found]
    assert not missing, f"no result of {missing[:3]}"
    parts = [
        _HEAD.format(tests=len(names), version=version, scores=_scores(found)),
        _OPERATORS + "\n".join(_operator_rows(found)) + "\n",
        _failures(found, names),
        _host(found, names),
    ]
    return "\n".join(parts)


def _scores(found: Mapping[tuple[str, str], Result]) -> str:
    rows: list[str] = []
    for backend in BACKENDS:
        here = [r for (b, _), r in found.items() if b == backend]
        passed = [r for r in here if r.status == "pass"]
        hosted = sum(bool(r.host) for r in passed)
        alone = "" if backend == "numpy" else str(len(passed) - hosted)
        share = "" if backend == "numpy" else str(hosted)
        rows.append(f"| {backend} | {len(passed)} | {len(here)} | {alone} | {share} |")
    return "\n".join(rows)


def _operator_rows(found: Mapping[tuple[str, str], Result]) -> list[str]:
    tests: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in found.values():
        for operator in result.operators:
            tests[operator][result.backend].append(result)
    rows: list[str] = []
    for operator in sorted(tests, key=lambda name: ("." in name, name)):
        by_backend = tests[operator]
        count = max(len(here) for here in by_backend.values())
        cells = [operator, str(count)]
        for backend in BACKENDS:
            here = by_backend[backend]
            passed = sum(r.status == "pass" for r in here)
            cells.append(str(passed) if passed == count else f"**{passed}**")
            cells.append(_worst(here))
        cells.append(str(sum(bool(r.host) for r in by_backend["jax"]) or ""))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _worst(results: Sequence[Result]) -> str:
    known = [r.ulp for r in results if r.ulp is not None and len(r.operators) == 1]
    return f"{max(known):.0f}" if known else ""


def _failures(found: Mapping[tuple[str, str], Result], names: Sequence[str]) -> str:
    lines = ["## What fails", ""]
    for backend in BACKENDS:
        failed = [found[backend, n] for n in names]
        failed = [r for r in failed if r.status != "pass"]
        lines += [f"### {backend}", "", *(_failure(r) for r in failed)]
        lines += [] if failed else ["Nothing."]
        lines.append("")
    return "\n".join(lines)


def _failure(result: Result) -> str:
    told = [why for start, why in WHY.items() if result.name.startswith(start)]
    reason = told[0] if told else _plain(result.reason)
    return f"- `{result.name}` {result.status}: {reason}"


def _host(found: Mapping[tuple[str, str], Result], names: Sequence[str]) -> str:
    """Which tests ran in part on the host, by the operator that did."""
    lines = ["## What runs on the host", ""]
    for name in names:
        result = found["jax", name]
        if result.host:
            more = f" (and {len(result.host) - 1} more)" if len(result.host) > 1 else ""
            lines.append(f"- `{name}`: {_plain(result.host[0])}{more}")
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    """`text` as Markdown shows it."""
    return f"`` {text} ``" if text else "no reason given"

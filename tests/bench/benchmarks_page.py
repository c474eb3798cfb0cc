"""The page of the benchmarks: what was measured, beside the limits it is held to."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sardonyx.compiler.bench.contenders import PEERS, absence
from sardonyx.compiler.bench.protocol import geometric_mean

LEAST_PEER_MS = 2.0
"""Transformers that take the peer less than this count in no mean of JAX's."""
PEER = "onnxruntime"
COLUMNS = (PEER, "openvino", "jax", "numpy", "jaxonnxruntime")

Rows = Mapping[str, Mapping[str, Any]]


def rows_of(model: Mapping[str, Any]) -> Rows:
    """The rows of a model by contender; those that failed too."""
    return {row["contender"]: row for row in model.get("rows", ())}


def ratio(model: Mapping[str, Any], ours: str) -> float | None:
    """Our time over the peer's; None where one failed or ours is wrong."""
    row = rows_of(model).get(ours)
    if row is None or row["failure"] or row["agrees"] is False:
        return None
    return row["ratio"] if model.get("ratio_to") == PEER else None


def times_faster(model: Mapping[str, Any]) -> float | None:
    """The evaluator's time over NumPy's."""
    found = model.get("reference") or {}
    row = rows_of(found).get("numpy")
    if row is None or found.get("ratio_to") != "reference" or not row["ratio"]:
        return None
    return 1 / row["ratio"]


# --- limits ---


@dataclass(frozen=True)
class Limit:
    """A number that issue 6 sets, and what was found."""

    what: str
    models: int
    found: float | None
    limit: float
    goal: float | None = None
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> str:
        """Whether it is met; the goal's name where that is met too."""
        if self.found is None:
            return "not measured"
        if not self._within(self.limit):
            return "**no**"
        return "yes, and the goal" if self.goal and self._within(self.goal) else "yes"

    def _within(self, bound: float) -> bool:
        assert self.found is not None, "asked of what was measured"
        return self.found >= bound if self.at_least else self.found <= bound

    def cells(self) -> list[str]:
        """The row of the table."""
        found = "" if self.found is None else f"{self.found:.2f}{self.unit}"
        word = "at least" if self.at_least else "at most"
        goal = "" if self.goal is None else f"{self.goal:g}{self.unit}"
        bound = f"{word} {self.limit:g}{self.unit}"
        return [self.what, str(self.models), found, bound, goal, self.met]


def limits(content: Mapping[str, Any]) -> list[Limit]:
    """Every limit beside what was found."""
    models: Mapping[str, Mapping[str, Any]] = content["models"]
    classifiers = [m for m in models.values() if m["group"] == "classifier"]
    large = [
        m
        for m in models.values()
        if m["group"] == "transformer" and _peer_ms(m) >= LEAST_PEER_MS
    ]
    jax = "JAX / ONNX Runtime"
    found = [
        *_pair(f"{jax}, classifiers", _ratios(classifiers, "jax"), 1.35, 1.2, 1.8),
        *_pair(
            f"{jax}, transformers and speech of {LEAST_PEER_MS:g} ms or more",
            _ratios(large, "jax"),
            1.15,
            1.0,
            1.6,
        ),
        *_pair(
            "NumPy / ONNX Runtime, the same models",
            _ratios([*classifiers, *large], "numpy"),
            2.5,
            None,
            5.0,
        ),
    ]
    faster = [f for m in (*classifiers, *large) if (f := times_faster(m)) is not None]
    mean = geometric_mean(faster) if faster else None
    what = "onnx.reference / NumPy, geometric mean"
    found.append(Limit(what, len(faster), mean, 5.0, at_least=True))
    for name, cold in content["cold"].items():
        seconds = statistics.median(cold["seconds"])
        what = f"first result of {name} with JAX, cold"
        found.append(Limit(what, 1, seconds, cold["limit"], unit=" s"))
    return found


def _pair(
    what: str,
    ratios: Sequence[float],
    mean: float,
    goal: float | None,
    most: float,
) -> list[Limit]:
    """The limits of a geometric mean and of the greatest."""
    found = geometric_mean(ratios) if ratios else None
    count = len(ratios)
    return [
        Limit(f"{what}: geometric mean", count, found, mean, goal),
        Limit(f"{what}: the greatest", count, max(ratios, default=None), most),
    ]


def _ratios(models: Iterable[Mapping[str, Any]], ours: str) -> list[float]:
    return [r for model in models if (r := ratio(model, ours)) is not None]


def _peer_ms(model: Mapping[str, Any]) -> float:
    row = rows_of(model).get(PEER)
    return 0.0 if row is None or row["failure"] else row["median_ms"]


# --- tables ---


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; numbers to the right."""
    rule = ["---", *("---:" for _ in header[1:])]
    lines = [header, rule, *rows]
    return "\n".join(f"| {' | '.join(_cell(c) for c in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _named(content: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The models that ran, in order."""
    models = content["models"]
    return {n: models[n] for n in order if n in models and models[n].get("rows")}


def _times(models: Mapping[str, Any], columns: Sequence[str]) -> str:
    rows: list[list[str]] = []
    for name, model in models.items():
        cells = [name]
        for column in columns:
            row = rows_of(model).get(column)
            ok = row is not None and not row["failure"]
            cells.append(f"{row['median_ms']:.3g}" if ok and row else "failed")
            if column in ("jax", "numpy"):
                cells.append(_ratio_text(row) if ok and row else "")
        rows.append(cells)
    header = ["model"]
    for column in columns:
        header += [column, "ratio"] if column in ("jax", "numpy") else [column]
    return table(header, rows)


def _ratio_text(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    wrong = " WRONG" if row["agrees"] is False else ""
    cut = "*" if row["cut_by_budget"] else ""
    ends = f"{row['ratio_low']:.2f} - {row['ratio_high']:.2f}"
    return f"{row['ratio']:.2f}{cut} ({ends}){wrong}"


def _spreads(models: Mapping[str, Any], columns: Sequence[str]) -> str:
    rows: list[list[str]] = []
    for name, model in models.items():
        found = rows_of(model)
        cells = [name]
        for column in columns:
            row = found.get(column)
            ok = row is not None and not row["failure"]
            cells.append(f"{row['p10_ms']:.3g} - {row['p90_ms']:.3g}" if ok else "")
        rows.append(cells)
    return table(["model", *columns], rows)


def _firsts(models: Mapping[str, Any], columns: Sequence[str]) -> str:
    rows: list[list[str]] = []
    for name, model in models.items():
        found = rows_of(model)
        cells = [name]
        for column in columns:
            seconds = (found.get(column) or {}).get("first_result_seconds")
            cells.append("" if seconds is None else f"{seconds:.2f}")
        rows.append(cells)
    return table(["model", *columns], rows)


def _references(models: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for name, model in models.items():
        theirs = rows_of(model.get("reference") or {}).get("reference")
        faster = times_faster(model)
        if theirs is None or theirs["failure"]:
            why = "not measured" if theirs is None else theirs["failure"]
            rows.append([name, why, ""])
        else:
            said = "" if faster is None else f"{faster:.1f}"
            rows.append([name, f"{theirs['median_ms']:.3g}", said])
    return table(["model", "onnx.reference, ms", "NumPy is faster by"], rows)


def _failures(content: Mapping[str, Any], order: Sequence[str]) -> list[str]:
    """Who is absent or failed, and what others disturbed; a line each."""
    absent = [line for line in map(absence, PEERS) if line is not None]
    lines = [f"- {line}" for line in absent]
    missing = [name for name in order if name not in content["models"]]
    if missing:
        lines.append(f"- not run: {', '.join(missing)}")
    for name in (name for name in order if name not in missing):
        model = content["models"][name]
        if model.get("failure"):
            lines.append(f"- {name}: {_cell(str(model['failure']))}")
        for row in model.get("rows", ()):
            if row["failure"]:
                lines.append(f"- {name}, {row['contender']}: {_cell(row['failure'])}")
        busy = model.get("processors_busy_with_others") or 0.0
        if busy > 0.1:
            lines.append(f"- {name}: other programs kept {busy:.1f} cores busy")
    return lines


# --- the page ---

TEXT = """# Benchmarks

Written by `make bench` (`python tests/bench/benchmarks.py`), in {seconds:.0f} s.

- Machine: {machine}
- Versions: {versions}
- {threads} threads for everyone, batch 1 unless the name says otherwise, float32,
  our programs at -O2, random inputs. Each contender has a process; while one is timed
  the others are stopped. Rounds of blocks of back-to-back calls, the first of which do
  not count; a ratio is the median of the rounds' ratios to ONNX Runtime (in brackets
  the least and the greatest), above 1 is slower. `*`: the budget cut a block short.

## Beside the limits

{limits}

## Latency

Medians in ms.

{times}

## Spread

The middle 80 % of the calls, in ms.

{spreads}

## First result

Seconds from a started interpreter to the first result, nothing cached: libraries,
import, passes, compilation, one call.

{firsts}

{cold}

## Beside onnx.reference

Few calls of each, apart from the others.

{references}

## Not in these tables

{failures}
"""


def benchmarks_page(content: Mapping[str, Any], order: Sequence[str]) -> str:
    """The page in Markdown; models in `order`."""
    models = _named(content, order)
    ran = {name for model in models.values() for name in rows_of(model)}
    columns = [column for column in COLUMNS if column in ran]
    header = ["what", "models", "found", "limit", "goal", "met"]
    cold = [
        f"A new process has its first result of {name} with JAX after "
        + " and ".join(f"{s:.2f} s" for s in one["seconds"])
        + ", the interpreter's start included."
        for name, one in content["cold"].items()
    ]
    failures = _failures(content, order)
    return TEXT.format(
        seconds=content["seconds"],
        machine=_machine(content["setting"]["machine"]),
        versions=_versions(content["setting"]),
        threads=content["setting"]["threads"],
        limits=table(header, [limit.cells() for limit in limits(content)]),
        times=_times(models, columns),
        spreads=_spreads(models, columns),
        firsts=_firsts(models, columns),
        cold="\n".join(cold) or "No cold start was measured.",
        references=_references(models),
        failures="\n".join(failures) or "Nothing is missing.",
    )


def _machine(machine: Mapping[str, Any]) -> str:
    memory = machine["memory_bytes"]
    parts = [
        machine["processor"],
        f"{machine['cores']} cores",
        " ".join(machine["flags"]),
        "" if memory is None else f"{memory / 2**30:.0f} GiB of memory",
        machine["system"],
    ]
    return ", ".join(part for part in parts if part)


def _versions(setting: Mapping[str, Any]) -> str:
    there = {n: v for n, v in setting["versions"].items() if v}
    python = f"python {setting['machine']['python']}"
    return ", ".join([python, *(f"{name} {number}" for name, number in there.items())])

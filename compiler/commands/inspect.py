"""``sardonyx inspect``: what a model costs, by operator."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from ...dialects.onnx import Dim
from ...passes.analysis.storage import evaluated
from ..arguments import Level, parse_dims, pipeline_of
from ..inspect import Inspection, NodeCost, Row, inspect_model, value_json
from ..model import Value
from ..show import out, print_json, printable, shape_text, show
from .options import DimOption, JsonOption, LevelOption, ModelPath, PassesOption

SHOWN_TERMS = 2
SHOWN_PEAKS = 3


def inspect(
    model: ModelPath,
    level: LevelOption = Level.O0,
    passes: PassesOption = None,
    dim: DimOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Count MODEL's parameters, FLOPs, bytes and peak memory, by operator; runs nothing.
    """
    found = inspect_model(model, pipeline_of(level, passes), parse_dims(dim))
    if as_json:
        print_json(found.as_json())
        return
    print_interface(found)
    print_rows(found)
    print_peak(found)
    print_heaviest(found)


def print_interface(found: Inspection) -> None:
    """The model's name, opsets, inputs and outputs."""
    stated = [f"{printable(d) or 'onnx'} {v}" for d, v in sorted(found.opset.items())]
    opset = f"opset {', '.join(stated)}; " if stated else ""
    made = f", made by {printable(found.producer)}" if found.producer else ""
    name = printable(found.name) or "model"
    show(f"{name} ({opset}inspected as opset {found.ir_opset}{made})")
    if found.pipeline:
        show(f"  after {found.pipeline}")
    for word, values in (("input", found.inputs), ("output", found.outputs)):
        for value in values:
            show(f"  {word:6} {printable(value.name)}: {kind_text(value)}")
    if found.dims:
        free = ", ".join(map(printable, found.dims))
        show(f"  free   {free} (amounts are polynomials in them; --dim NAME=N)")
    if found.ops_in_regions:
        show(
            f"  {found.ops_in_regions} ops in regions, counted with the op around them"
        )


def print_rows(found: Inspection) -> None:
    """A row for every operator, and the total."""
    table = Table(box=None)
    table.add_column("operator", overflow="fold")
    for column in ("count", "parameters", "FLOPs", "exp, sqrt …", "read", "written"):
        table.add_column(column, justify="right", overflow="fold")
    for row in found.rows:
        table.add_row(*row_cells(row, found.ranked_at))
    table.add_section()
    table.add_row(*row_cells(found.total, found.ranked_at), style="bold")
    out.print(table)
    weights = scaled(found.weight_bytes, "B")
    show(f"weights and constants: {weights}; FLOPs count a multiply-add as 2")
    if found.total.unknown:
        missing = ", ".join(f"{n} of {k}" for k, n in found.total.unknown.items())
        show(f"'>=' leaves out ops whose amounts are not known: {missing}")


def row_cells(row: Row, sample: Mapping[str, int]) -> list[str]:
    """The cells of a row: at least what is known, '?' where nothing is."""

    def cell(name: str, text: str) -> str:
        missing = row.unknown.get(name, 0)
        if missing == row.count:
            return "?"
        return f">= {text}" if missing else text

    parameters = scaled(row.parameters) if row.parameters else ""
    cells = [cell("parameters", parameters)]
    for name in ("flops", "transcendentals"):
        cells.append(cell(name, amount_text(row.amounts[name], sample)))
    for name in ("bytes_read", "bytes_written"):
        cells.append(cell(name, amount_text(row.amounts[name], sample, "B")))
    return [escape(printable(row.label)), str(row.count), *map(escape, cells)]


def print_peak(found: Inspection) -> None:
    """The activation peak, and where it is."""
    several = len(found.peaks) > 1
    least = "at least " if found.unknown_sizes else ""
    if several:
        show(f"activation peak: {least}the largest of these, by the free sizes")
    for peak in found.peaks[:SHOWN_PEAKS]:
        text = amount_text(peak.bytes, found.ranked_at, "B", 0)
        where = f"{printable(peak.name)} ({peak.label})" if peak.name else peak.label
        head = "  " if several else f"activation peak: {least}"
        show(f"{head}{text} while {where} runs")
    hidden = len(found.peaks) - SHOWN_PEAKS
    if hidden > 0:
        more = "" if found.peaks_complete else "at least "
        show(f"  {more}{hidden} more in --json")
    if found.unknown_sizes:
        show(f"  {found.unknown_sizes} values of unknown size are left out")


def print_heaviest(found: Inspection) -> None:
    """The nodes with the most FLOPs."""
    title = "heaviest nodes, by FLOPs"
    if found.ranked_at:
        sizes = ", ".join(f"{printable(d)}={n}" for d, n in found.ranked_at.items())
        title += f" (and all that is in order: at {sizes})"
    show(title)
    table = Table(box=None)
    for column in ("node", "operator", "output"):
        table.add_column(column, overflow="fold")
    for column in ("FLOPs", "share", "read", "written"):
        table.add_column(column, justify="right", overflow="fold")
    for node in found.heaviest:
        table.add_row(*map(escape, node_cells(node, found)))
    out.print(table)


def node_cells(node: NodeCost, found: Inspection) -> list[str]:
    """The cells of a node; its share is of the FLOPs that are known."""
    sample, cost = found.ranked_at, node.cost
    whole = evaluated(found.total.amounts["flops"], sample)
    part = None if cost.flops is None else evaluated(cost.flops, sample)
    share = f"{100 * part / whole:.1f} %" if whole and part is not None else ""
    return [
        printable(node.name),
        printable(node.label),
        kind_text(node.result),
        amount_text(cost.flops, sample),
        share,
        amount_text(cost.bytes_read, sample, "B"),
        amount_text(cost.bytes_written, sample, "B"),
    ]


def kind_text(value: Value) -> str:
    """A type: ``float32[batch, 3]``."""
    entry = value_json(value)
    shape = entry["shape"]
    dims = None if shape is None else ["?" if dim is None else dim for dim in shape]
    return f"{printable(str(entry['dtype']))}{shape_text(dims)}"


def amount_text(
    amount: Dim | None,
    sample: Mapping[str, int],
    unit: str = "",
    terms: int = SHOWN_TERMS,
) -> str:
    """
    An amount in human units, the largest `terms` (0: all) of a polynomial.

    ``1.2 G``; ``1.2 M*batch*seq + 30 k*batch``; '?' for what is not known.
    """
    if amount is None:
        return "?"
    if amount.constant is not None:
        return scaled(amount.constant, unit)
    parts = [Dim((term,)) for term in amount.terms]
    parts.sort(key=lambda part: -(evaluated(part, sample) or 0))
    shown = parts[: terms or None]
    text = " + ".join(term_text(part, unit) for part in shown).replace("+ -", "- ")
    rest = len(parts) - len(shown)
    return text + (f" + {rest} more" if rest else "")


def term_text(term: Dim, unit: str) -> str:
    """A term of a polynomial, its coefficient in human units, powers as ``seq^2``."""
    ((monomial, coefficient),) = term.terms
    powers: dict[str, int] = {}
    for atom in monomial:
        powers[printable(str(atom))] = powers.get(printable(str(atom)), 0) + 1
    names = [f"{name}^{n}" if n > 1 else name for name, n in powers.items()]
    bare = coefficient == 1 and names and not unit
    return "*".join(names if bare else [scaled(coefficient, unit), *names])


def scaled(number: int, unit: str = "") -> str:
    """A number with three digits and a decimal prefix: ``25.6 M``, ``102 MB``."""
    size, prefix = float(number), ""
    for larger in "kMGTPEZY":
        if abs(size) < 999.5:
            break
        size, prefix = size / 1000, larger
    text = f"{size:.3g}" if prefix else str(number)
    return f"{text} {prefix}{unit}".rstrip()

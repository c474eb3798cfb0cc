"""ONNX Runtime operators for decoders: shapes of experts, streams, states, drafts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .contrib_sizes import number, part, size_of, times
from .dims import Dim
from .facts import Facts
from .types import Shape


def _unpacked_rows(facts: Facts) -> Sequence[Shape | None]:
    indices = facts.shape(1)
    return [None if indices is None else (*indices, number(facts, "K"))]


def _turned_heads(facts: Facts) -> Sequence[Shape | None]:
    """RMSNormRotary: heads one behind the other, and the heads before they turn."""
    shape, scale = facts.shape(0), facts.shape(1)
    if shape is None or len(shape) != 4:
        return [None, None]
    width = size_of(scale, 0)
    batch, length, heads, _ = shape
    first = (batch, length, times(heads, width))
    if facts.attribute("flatten_batch", 0):
        first = (Dim.of(1), times(batch, length), times(heads, width))
    return [first, (batch, length, heads, width)]


def _streams(facts: Facts) -> Sequence[Shape | None]:
    """HyperConnectionLowRankMix: the block's input, a gate per stream, the streams."""
    shape, count = facts.shape(0), number(facts, "num_branches")
    if shape is None:
        return [None] * 3
    return [(*shape[:-1], part(shape[-1], count)), (*shape[:-1], count), shape]


def _mamba(facts: Facts) -> Sequence[Shape | None]:
    states, rows = facts.shape(1), size_of(facts.shape(0), 0)
    width = Dim.of(facts.attribute("head_dim", 64))
    inner = (rows, times(number(facts, "heads"), width))
    return [inner, states, facts.shape(2), (rows, size_of(states, 1)), inner]


def _routed(facts: Facts) -> Sequence[Shape | None]:
    """MoEGroupRouter: a row of experts per token, three times."""
    logits = facts.shape(0)
    if logits is None:
        return [None] * 3
    rows: Dim | None = Dim.of(1)
    for dim in logits[:-1]:
        rows = times(rows, dim)
    projected = facts.present(2)
    experts = size_of(facts.shape(2), 0) if projected else logits[-1]
    return [(rows, experts)] * 3


def _router_and_gate(facts: Facts) -> Sequence[Shape | None]:
    x, size = facts.shape(0), number(facts, "router_size")
    if x is None:
        return [None, None]
    columns = size_of(facts.shape(1), 1)
    rest = None if columns is None or size is None else columns - size
    return [(*x[:-1], size), (*x[:-1], part(rest, Dim.of(2)))]


def _merged(facts: Facts) -> Sequence[Shape | None]:
    """PackedSparseAttentionIndexerMerge: indices, their numbers, a status per query."""
    queries, width = size_of(facts.shape(2), 0), number(facts, "max_output_entries")
    return [(queries, width), (queries,), (queries,)]


def _committed(facts: Facts) -> Sequence[Shape | None]:
    tokens = facts.shape(0)
    if tokens is None:
        return [(None,), facts.shape(3), facts.shape(4)]
    batch = tokens[0] if len(tokens) == 2 else Dim.of(1)
    return [(batch,), facts.shape(3), facts.shape(4)]


def _gated(facts: Facts) -> Sequence[Shape | None]:
    """SwiGLU: as the gate, or as one of two halves."""
    shape = facts.shape(0)
    if shape is None or facts.present(1):
        return [shape]
    return [(*shape[:-1], part(shape[-1], Dim.of(2)))]


DECODER_SHAPES: Mapping[str, Callable[[Facts], Sequence[Shape | None]]] = {
    "GatherPacked": _unpacked_rows,
    "HyperConnectionLowRankMix": _streams,
    "Mamba2Verify": _mamba,
    "MoEGroupRouter": _routed,
    "PackedSparseAttentionIndexerMerge": _merged,
    "RMSNormRotary": _turned_heads,
    "RouterGateUpProj": _router_and_gate,
    "SpeculativePrefixCommit": _committed,
    "SwiGLU": _gated,
}

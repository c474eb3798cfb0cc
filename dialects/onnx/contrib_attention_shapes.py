"""The shapes of ONNX Runtime's attention operators, by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .contrib_sizes import number, part, plus, times
from .dims import Dim
from .facts import Facts
from .types import Shape


def _projected(past: int) -> Callable[[Facts], Sequence[Shape | None]]:
    """
    Attention that projects its input: ``[batch, length, hidden]`` and its cache.
    """

    def rule(facts: Facts) -> Sequence[Shape | None]:
        x, w = facts.shape(0), facts.shape(1)
        if x is None or w is None or len(x) != 3:
            return [None, None]
        sizes = facts.attribute("qkv_hidden_sizes")
        third = part(w[1], Dim.of(3))
        hidden = Dim.of(sizes[2]) if sizes else third
        heads = number(facts, "num_heads")
        size = part(Dim.of(sizes[1]) if sizes else third, heads)
        return [(x[0], x[1], hidden), _present(facts, past, x, heads, size)]

    return rule


def _present(
    facts: Facts, past: int, x: Shape, heads: Dim | None, size: Dim | None
) -> Shape:
    before = facts.shape(past) if facts.present(past) else None
    if facts.attribute("past_present_share_buffer", 0) and before is not None:
        return before
    length = x[1]
    if facts.present(past):
        length = None if before is None else plus(before[3], x[1])
    return (Dim.of(2), x[0], heads, length, size)


def _multi_head(facts: Facts) -> Sequence[Shape | None]:
    query = facts.shape(0)
    if query is None:
        return [None] * 4
    heads = number(facts, "num_heads")
    size = query[4] if len(query) == 5 else part(query[2], heads)
    hidden, length = _values(facts, query, heads, size)
    total, stored = _cached(facts, 6, 8, length)
    value = part(hidden, heads)
    return [
        (query[0], query[1], hidden),
        (query[0], heads, stored, size),
        (query[0], heads, stored, value),
        (query[0], heads, query[1], total),
    ]


def _values(
    facts: Facts, query: Shape, heads: Dim | None, size: Dim | None
) -> tuple[Dim | None, Dim | None]:
    """The hidden size of the values, and how many there are."""
    if not facts.present(1):
        return times(heads, size), query[1]
    key = facts.shape(1)
    if not facts.present(2):
        return times(heads, size), None if key is None else key[1]
    value = facts.shape(2)
    if value is None:
        return None, None
    if len(value) == 4:
        return times(heads, value[3]), value[2]
    return value[2], value[1]


def _cached(
    facts: Facts, past: int, shared: int, length: Dim | None
) -> tuple[Dim | None, Dim | None]:
    """How many keys are attended to, and how many the present state holds."""
    if not facts.present(past):
        return length, length
    before = facts.shape(past)
    if before is None:
        return None, None
    if facts.present(shared):
        return None, before[2]
    total = plus(before[2], length)
    return total, total


def _decoder_masked(facts: Facts) -> Sequence[Shape | None]:
    query = facts.shape(0)
    if query is None:
        return [None] * 4
    heads = number(facts, "num_heads")
    packed = not facts.present(1)
    hidden = part(query[2], Dim.of(3)) if packed else query[2]
    out, length = hidden, query[1]
    if not packed:
        out, length = _values(facts, query, heads, part(hidden, heads))
    total, stored = _cached(facts, 5, 7, length)
    state = (query[0], heads, stored, part(hidden, heads))
    result = (query[0], query[1], out)
    value = (*state[:3], part(out, heads))
    return [result, state, value, (query[0], heads, query[1], total)]


def _grouped(facts: Facts) -> Sequence[Shape | None]:
    query = facts.shape(0)
    if query is None:
        return [None] * 4
    heads, groups = number(facts, "num_heads"), number(facts, "kv_num_heads")
    all_heads = heads
    if not facts.present(1) and heads is not None and groups is not None:
        all_heads = heads + groups + groups
    size = part(query[2], all_heads)
    values = facts.values(6)
    total = values[0] if values else None
    stored = total
    if facts.present(3):
        past = facts.shape(3)
        before = None if past is None else past[2]
        stored = None
        if before is not None and total is not None:
            stored = total.maximum(before)
    if facts.attribute("sliding_window_cache", 0):
        stored = None
    packed = facts.attribute("kv_cache_bit_width", 0) == 4
    states: list[Shape] = []
    for kind in ("k_quant_type", "v_quant_type"):
        halved = packed and facts.attribute(kind, "NONE") != "NONE"
        held = part(size, Dim.of(2)) if halved else size
        states.append((query[0], groups, stored, held))
    scores = (query[0], heads, query[1], total)
    return [(query[0], query[1], times(heads, size)), *states, scores]


def _sparse(facts: Facts) -> Sequence[Shape | None]:
    query = facts.shape(0)
    heads, groups = number(facts, "num_heads"), number(facts, "kv_num_heads")
    states = [facts.shape(3), facts.shape(4)]
    if query is None or heads is None or groups is None:
        return [None, *states]
    count = heads if facts.present(1) else heads + groups + groups
    hidden = times(heads, part(query[2], count))
    return [(query[0], query[1], hidden), *states]


def _packed(facts: Facts) -> Sequence[Shape | None]:
    x, w = facts.shape(0), facts.shape(1)
    if x is None or w is None:
        return [None]
    sizes = facts.attribute("qkv_hidden_sizes")
    hidden = Dim.of(sizes[2]) if sizes else part(w[1], Dim.of(3))
    return [(x[0], hidden)]


def _packed_multi_head(facts: Facts) -> Sequence[Shape | None]:
    query, value = facts.shape(0), facts.shape(2)
    if query is None:
        return [None]
    if facts.present(2):
        return [(query[0], None if value is None else value[1])]
    heads = number(facts, "num_heads")
    return [(query[0], times(heads, query[3]) if len(query) == 4 else None)]


def _position_bias(facts: Facts) -> Sequence[Shape | None]:
    table = facts.shape(0)
    lengths = [facts.values(1), facts.values(2)]
    sizes = [None if not values else values[0] for values in lengths]
    return [(Dim.of(1), None if table is None else table[1], *sizes)]


def _gated_bias(facts: Facts) -> Sequence[Shape | None]:
    query, bias = facts.shape(0), facts.shape(2)
    if query is None or bias is None:
        return [None]
    offsets = facts.shape(6) if facts.present(6) else query
    return [(None if offsets is None else offsets[0], *bias[1:])]


ATTENTION_SHAPES: Mapping[str, Callable[[Facts], Sequence[Shape | None]]] = {
    "Attention": _projected(4),
    "DecoderMaskedMultiHeadAttention": _decoder_masked,
    "DecoderMaskedSelfAttention": _projected(4),
    "GatedRelativePositionBias": _gated_bias,
    "GroupQueryAttention": _grouped,
    "MultiHeadAttention": _multi_head,
    "PackedAttention": _packed,
    "PackedMultiHeadAttention": _packed_multi_head,
    "QAttention": _projected(8),
    "RelativePositionBias": _position_bias,
    "SparseAttention": _sparse,
}

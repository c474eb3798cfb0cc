"""Mutations that know no meaning: of bytes, and of a protobuf's fields by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

INTEGERS = (
    *(0, 1, -1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 21, 27, 63, 64, 65, 127, 128, 255, 256),
    *(1 << 10, 1 << 16, 1 << 20, 1 << 30, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 40),
    *((1 << 53) + 1, 1 << 62, (1 << 63) - 1, -2, -7, -128, -(1 << 31), -(1 << 63)),
)
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e30, 3.4e38, -3.4e38),
    *(float("nan"), float("inf"), float("-inf")),
)
NAMES = (
    *("", " ", "\0", "\n", "a\nb", "x", "y", "batch", "..", "../x", "/etc/passwd"),
    *("%s%n", '"', "'", "\\", "{x}", "__class__", "None", "é" * 9, "🪨", "\u202ea"),
    *("a" * 5000, "a/" * 300, "ai.onnx", "ai.onnx.ml", "If", "Loop", "Constant"),
    *("0", "-1", "9" * 30, "1e9", "batch*batch", "(" * 50, "a//0", "max(a, b)"),
    *("a+" * 99 + "a", "__metadata__", "onnx.none", "then_branch", "body", "value"),
)


# --- bytes ---


def truncated(rng: Random, content: bytes) -> bytes:
    """The beginning of `content`."""
    return content[: rng.randrange(len(content) + 1)]


def flipped(rng: Random, content: bytes) -> bytes:
    """`content` with some bits changed."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(rng: Random, content: bytes) -> bytes:
    """`content` with a byte, or a few behind each other, of another value."""
    place, count = rng.randrange(len(content) + 1), rng.choice((1, 1, 2, 9))
    filler = rng.choice((b"\xff", b"\x00", b"\x80", bytes([rng.randrange(256)])))
    return content[:place] + filler * count + content[place + count :]


def spliced(rng: Random, content: bytes) -> bytes:
    """`content` with a piece of it put elsewhere, over what is there or not."""
    start, goal = (rng.randrange(len(content) + 1) for _ in range(2))
    piece = content[start : start + rng.choice((1, 4, 16, 64, 400))]
    over = rng.choice((0, len(piece)))
    return content[:goal] + piece + content[goal + over :]


def removed(rng: Random, content: bytes) -> bytes:
    """`content` without a piece in the middle."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 8, 50)) :]


def doubled(rng: Random, content: bytes) -> bytes:
    """`content` and its end again: protobuf merges what comes twice."""
    return content + content[rng.choice((0, rng.randrange(len(content) + 1))) :]


BYTES: Sequence[Callable[[Random, bytes], bytes]] = (
    truncated,
    flipped,
    flipped,
    overwritten,
    spliced,
    removed,
    doubled,
)


# --- fields ---


def messages(message: Message) -> Iterator[Message]:
    """`message` and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                yield from messages(inner)


def mutate_field(rng: Random, model: onnx.ModelProto) -> str:
    """Change one field somewhere in `model`; returns which."""
    known = list(messages(model))
    message = rng.choice(known)
    present = [field for field, _ in message.ListFields()]
    declared = [f for f in message.DESCRIPTOR.fields if f.name != "doc_string"]
    field = rng.choice(present if present and rng.random() < 0.8 else declared)
    alike = [m for m in known if m.DESCRIPTOR is field.message_type]
    _change(rng, message, field, alike, _words(known))
    return f"{message.DESCRIPTOR.name}.{field.name}"


def _words(known: Sequence[Message]) -> list[str]:
    """Every text in the model: a name that is meant for something else tells most."""
    texts: list[str] = []
    for message in known:
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_STRING:
                texts += [value] if isinstance(value, str) else list(value)
    return texts


def _change(
    rng: Random,
    message: Message,
    field: FieldDescriptor,
    alike: Sequence[Message],
    words: Sequence[str],
) -> None:
    if rng.random() < 0.15:
        message.ClearField(field.name)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        _change_message(rng, message, field, alike)
    elif isinstance(getattr(message, field.name), str | bytes | int | float):
        setattr(message, field.name, _value(rng, message, field, words))
    else:
        _change_list(rng, message, field, words)


def _change_message(
    rng: Random, message: Message, field: FieldDescriptor, alike: Sequence[Message]
) -> None:
    # A copy: what is copied may hold the place that it is copied to.
    donor = type(rng.choice(alike))() if alike else None
    if donor is not None:
        donor.CopyFrom(rng.choice(alike))
    value = getattr(message, field.name)
    if isinstance(value, Message):
        if donor is not None:
            value.CopyFrom(donor)
        else:
            value.SetInParent()
        return
    items = [type(item).FromString(item.SerializeToString()) for item in value]
    _rearrange(rng, items, value.add() if donor is None else donor)
    message.ClearField(field.name)
    getattr(message, field.name).extend(items)


def _change_list(
    rng: Random, message: Message, field: FieldDescriptor, words: Sequence[str]
) -> None:
    items = list(getattr(message, field.name))
    _rearrange(rng, items, _value(rng, message, field, words))
    if rng.random() < 0.1:
        items = items[:4] * rng.choice((2, 70, 3000))
    message.ClearField(field.name)
    getattr(message, field.name).extend(items)


def _rearrange(rng: Random, items: list[Any], donor: Any) -> None:
    place = rng.randrange(len(items) + 1)
    match rng.choice(("insert", "insert", "replace", "drop", "shuffle", "swap")):
        case "insert":
            items.insert(place, donor)
        case "shuffle":
            rng.shuffle(items)
        case "replace":
            items[place : place + 1] = [donor]
        case "drop":
            del items[place : place + 1]
        case _:
            items[:] = items[place:] + items[:place]


def _value(
    rng: Random, message: Message, field: FieldDescriptor, words: Sequence[str]
) -> Any:
    kind = field.cpp_type
    if field.type == FieldDescriptor.TYPE_BYTES:
        value = getattr(message, field.name)
        given = value if isinstance(value, bytes) else b"".join(value[:1])
        return rng.choice(BYTES)(rng, given or b"abcdefgh")
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(words) if words and rng.random() < 0.6 else rng.choice(NAMES)
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    number = rng.choice(INTEGERS)
    if kind == FieldDescriptor.CPPTYPE_UINT64:
        return abs(number)
    if kind == FieldDescriptor.CPPTYPE_INT32:
        return max(-(1 << 31), min(number, (1 << 31) - 1))
    return number

"""
Any text as an MLIR string, and back.

Names, docs and strings come from strangers' models and may hold anything. xDSL's lexer
reads a string literal with a non-ASCII character as bytes, so every such character (and
the backslash) is written as a Python escape: ``é`` is ``\\xe9``. A name that is not
UTF-8 arrives here with surrogate escapes (PEP 383) and survives as ``\\udc..``.
"""

import re

from xdsl.dialects.builtin import StringAttr

_ESCAPED = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_TO_ESCAPE = re.compile(r"[^ -\[\]-~]")


def text_attr(text: str) -> StringAttr:
    """The attribute that stands for `text` in the IR."""
    return StringAttr(_TO_ESCAPE.sub(_escape, text))


def attr_text(attr: StringAttr) -> str:
    """The text that `attr` stands for; the inverse of `text_attr`."""
    return _ESCAPED.sub(_unescape, attr.data)


def decode(raw: bytes) -> str:
    """Bytes of a model as text; what is not UTF-8 survives as surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that `decode` read."""
    return text.encode("utf-8", "surrogateescape")


def _escape(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return "\\\\"
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape(match: re.Match[str]) -> str:
    return "\\" if match[1] == "\\" else chr(int(match[1][1:], 16))

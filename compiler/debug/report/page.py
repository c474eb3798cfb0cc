"""One HTML file: our page, style and script, and the report's data."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_SLOT = re.compile(r"@@(\w+)@@")
_TAB = '<button type="button" role="tab" data-tab="{}">{}</button>'


def page(content: Mapping[str, Any]) -> str:
    """
    The page that shows `content`.

    The page's policy lets the browser load nothing and run no script but ours, known by
    its hash; the data is JSON in which no tag can end or begin.
    """
    style, script = _part("report.css"), _part("report.js")
    name = content["model"]["name"] or content["model"]["file"] or "model"
    schedule: Mapping[str, str] | None = content.get("schedule")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    slots = {
        "TITLE": html.escape(f"{name} - sardonyx"),
        "POLICY": policy,
        "STYLE": style,
        "SCRIPT": script,
        "TABS": _tabs(content),
        "GANTT": "" if schedule is None else schedule["svg"],
        "DATA": escaped_json({**content, "schedule": schedule and schedule["said"]}),
    }
    # In one go: what is put in is not looked at again.
    return _SLOT.sub(lambda found: slots[found[1]], _part("page.html"))


def _tabs(content: Mapping[str, Any]) -> str:
    """The tabs that only some reports have."""
    some = (("schedule", "Schedule"), ("traffic", "Collectives"))
    return "".join(_TAB.format(key, text) for key, text in some if content.get(key))


def escaped_json(content: object) -> str:
    """JSON that may stand in a script element: it has no ``<``, ``>`` or ``&``."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _part(name: str) -> str:
    assert __package__, "the page stands beside this module"
    return (files(__package__) / name).read_text(encoding="utf-8")

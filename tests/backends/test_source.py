"""Pasting kernels: what they use comes along, once, under names that do not collide."""

import ast
import builtins
import dis
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pytest
from sardonyx.backends import runtime
from sardonyx.backends.jax import TABLE as JAX
from sardonyx.backends.numpy import TABLE as NUMPY
from sardonyx.backends.source import Pasted

ONE = '''
"""A module of kernels."""

from __future__ import annotations

import math
import numpy as np
from functools import reduce as fold

SCALE = 2
LIMITS: dict[str, int] = {"top": SCALE * 10}
FIRST, SECOND = 3, 4


def half(x):
    return x / SCALE


def first(x):
    """Doubled, é and all."""
    return half(x) * 4  # half of é, half again: half


def limited(x):
    return min(x, LIMITS["top"])


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def pair():
    return FIRST, SECOND


def total(items):
    return fold(lambda a, b: a + b, items, math.floor(0.5)) + np.int64(0)


def shadowed(half):
    SCALE = half
    return SCALE + 1


def wide():
    return "é" + str(half(6)) + "ü" + str(half(8))
'''

TWO = """
from .one import first as base, total

SCALE = 100


def half(x):
    return x * SCALE


def second(x):
    return half(base(x)) + total([1, 2])


def third(x):
    return half(x)
"""


@pytest.fixture(name="kernels")
def kernels_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``kernels(one)``: a function of the package above, which stands on disk."""
    package = f"pasted_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    folder.mkdir()
    for name, text in (("__init__", ""), ("one", ONE), ("two", TWO)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def kernels(name: str) -> Callable[..., Any]:
        module, _, function = name.partition(".")
        return getattr(importlib.import_module(f"{package}.{module}"), function)

    yield kernels
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]


def text_of(pasted: Pasted) -> str:
    return "\n\n".join([*pasted.import_lines(), *pasted.blocks])


def namespace_of(pasted: Pasted) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(text_of(pasted), namespace)
    return namespace


def paste(*functions: Callable[..., Any]) -> tuple[Pasted, list[str]]:
    pasted = Pasted()
    return pasted, [pasted.add(function) for function in functions]


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("one.first", (3,), 6),
        ("one.limited", (50,), 20),
        ("one.factorial", (5,), 120),
        ("one.even", (7,), False),
        ("one.pair", (), (3, 4)),
        ("one.total", ([1, 2, 3],), 6),
        ("one.shadowed", (4,), 5),
        ("one.wide", (), "é3.0ü4.0"),
        ("two.second", (3,), 603),
    ],
)
def test_a_pasted_function_gives_the_same(
    kernels: Any, name: str, arguments: Any, wanted: Any
) -> None:
    function = kernels(name)
    pasted, (given,) = paste(function)
    assert function(*arguments) == wanted
    assert namespace_of(pasted)[given](*arguments) == wanted


def test_only_what_is_used_comes_along(kernels: Any) -> None:
    pasted, _ = paste(kernels("one.first"))
    assert pasted.names == {"SCALE", "half", "first"}
    assert not pasted.imports
    defined = [ast.unparse(s).split("\n")[0] for s in ast.parse(text_of(pasted)).body]
    assert defined == ["SCALE = 2", "def half(x):", "def first(x):"]


def test_everything_comes_once(kernels: Any) -> None:
    one, two = kernels("one.first"), kernels("one.limited")
    pasted, names = paste(one, two, one, two)
    assert names == ["first", "limited"] * 2
    assert len(pasted.blocks) == len(set(pasted.blocks)) == 5


def test_colliding_names_are_told_apart(kernels: Any) -> None:
    pasted, (first, second) = paste(kernels("one.first"), kernels("two.second"))
    namespace = namespace_of(pasted)
    assert namespace[first](3) == 6
    assert namespace[second](3) == 603
    assert {"SCALE", "SCALE_two", "half", "half_two"} <= pasted.names
    assert "# half of é, half again: half" in text_of(pasted), "comments are no names"


def test_the_order_does_not_matter(kernels: Any) -> None:
    pasted, (second, first) = paste(kernels("two.third"), kernels("one.first"))
    namespace = namespace_of(pasted)
    assert namespace[second](3) == 300
    assert namespace[first](3) == 6


def test_imports_are_sorted_and_joined(kernels: Any) -> None:
    pasted, _ = paste(kernels("one.total"))
    assert pasted.import_lines() == [
        "import math",
        "import numpy as np",
        "from functools import reduce as fold",
    ]


def test_what_is_not_a_definition_is_refused(kernels: Any) -> None:
    function = kernels("one.first")
    function.__name__ = "nowhere"
    with pytest.raises(ValueError, match="no definition of 'nowhere'"):
        Pasted().add(function)


def test_an_import_that_would_hide_a_definition_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    texts = {
        "hidden_a": "def math():\n    return 1\n",
        "hidden_b": "import math\ndef root(x):\n    return math.sqrt(x)\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    modules: list[ModuleType] = [importlib.import_module(name) for name in texts]
    pasted = Pasted()
    pasted.add(modules[0].math)
    with pytest.raises(ValueError, match="hides the definition of 'math'"):
        pasted.add(modules[1].root)


# --- the real kernels ---


@pytest.mark.parametrize("table", [NUMPY, JAX], ids=["numpy", "jax"])
def test_every_kernel_can_be_pasted_beside_every_other(table: Any) -> None:
    pasted = Pasted()
    for needed in ("import jax", "import jax.numpy as jnp", "from jax import lax"):
        if table is JAX:
            pasted.imports[needed] = None
    names = {pasted.add(kernel): kernel for kernel in table.values()}
    text = text_of(pasted)
    assert "sardonyx" not in "\n".join(pasted.import_lines())
    namespace = namespace_of(pasted)
    for name, kernel in names.items():
        assert namespace[name].__doc__ == kernel.__doc__
    defined = [
        name
        for statement in ast.parse(text).body
        for name in [getattr(statement, "name", None)]
        if name is not None
    ]
    assert len(defined) == len(set(defined))


@pytest.mark.parametrize("table", [NUMPY, JAX], ids=["numpy", "jax"])
def test_every_kernel_can_be_pasted_alone(table: Any) -> None:
    for name, kernel in table.items():
        pasted, (given,) = paste(kernel)
        for needed in ("import jax.numpy as jnp", "import numpy as np"):
            pasted.imports[needed] = None
        namespace = namespace_of(pasted)
        missing = globals_of(namespace[given].__code__) - namespace.keys()
        assert not missing - set(dir(builtins)), name


def globals_of(code: CodeType) -> set[str]:
    """The global names that a function and those within it read."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return names.union(*map(globals_of, inner))


def test_the_runtime_can_be_pasted() -> None:
    pasted, names = paste(runtime.bind, runtime.read_weights, runtime.main)
    assert names == ["bind", "read_weights", "main"]
    entry = [("x", "float32", (2,), None)]
    bound = namespace_of(pasted)["bind"](entry, [np.zeros(2, "f")], {})
    assert bound[0].shape == (2,)

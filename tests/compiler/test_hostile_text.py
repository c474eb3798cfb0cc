"""
Model text is data: whatever a name or a doc holds, it stays text.

Every text of a model is taken from `TEXTS` in turn: it compiles for both backends, runs
right, survives the round trip through MLIR, its artifact runs, and nothing that it says
is executed or disturbs a terminal.
"""

import ast
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from sardonyx.compiler import compile_model, import_model, load_artifact
from sardonyx.compiler.artifact import FILES
from sardonyx.compiler.text import parse_text, read_text, write_text

CANARY = "canary-of-a-model"
"""The file that every attack would create in the working folder."""
CALL = f"__import__('pathlib').Path('{CANARY}').touch()"

TEXTS = {
    "newline": f"a\n{CALL}\n#",
    "carriage return": f"a\r{CALL}\r#",
    "form feed": f"a\x0c{CALL}\x0b{CALL}\x1c{CALL}\x85{CALL}",
    "double quotes": f'a"); {CALL}; ("',
    "single quotes": f"a'); {CALL}; ('",
    "triple double quotes": f'a"""\n{CALL}\n"""',
    "triple single quotes": f"a'''\n{CALL}\n'''",
    "trailing quote": 'a"',
    "trailing backslash": "a\\",
    "backslashes": "\\n\\x00\\u2028\\N{BULLET}\\\\'\\\"",
    "backslash and quotes": f'\\"""\n{CALL}\n\\"""',
    "comment": f"# a\n{CALL}",
    "html": f"</script><script>{CALL}</script><!-- ]]>",
    "path": "../../../../etc/passwd",
    "absolute path": "/etc/passwd",
    "dots": "..",
    "braces": "{x!r} {0} {} {{}} {" + CALL + "}",
    "percent": "%s %d %(x)s %n",
    "markup": "[red]a[/red] [link=file:///etc/passwd]b[/link] [/]",
    "mlir": f'"> : tensor<1xf32> loc("{CALL}") }} // #onnx.weight<"x">',
    "mlir comment": "// a /* b */ ^bb0(%x) @main !t #a",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9b",
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\x9b31m",
    "separators": f"a\u2028{CALL}\u2029{CALL}",
    "right to left": "\u202ea\u2066b\u200f\u200b\ufeff",
    "emoji": "🪨 é ß Ⅷ ﬁ",
    "call": CALL,
    "keyword": "lambda",
    "soft keyword": "match",
    "constant": "None",
    "numpy": "np",
    "jax": "jnp",
    "lax": "lax",
    "weights": "w",
    "forward": "forward",
    "run": "run",
    "dunder": "__import__",
    "name": "__name__",
    "builtin": "open",
    "kernel": "add",
    "digits": "123",
    "blank": " ",
    "tabs": "\t\t",
    "long": "layer/" * 3000,
    "shell": f"$(touch {CANARY}) `touch {CANARY}`; touch {CANARY} | & > {CANARY}",
    "safetensors": "__metadata__",
    "json": '"}, {"__metadata__": {"logical": "',
}

HOSTILE = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
BACKENDS = ("numpy", "jax")


def hostile_model(text: str) -> onnx.ModelProto:
    """``(2 x + w) @ w + c``, every text of which is `text` and a number."""
    count = iter(range(1000))

    def name() -> str:
        return f"{text}{next(count) or ''}"

    x, w, two, bias, doubled, added, product, y, chosen = (name() for _ in range(9))
    # A dimension's text is an expression, and that of a number is the number.
    dim, other = f"{name()}d", f"{name()}d"
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal((5, 5)).astype(np.float32), w),
        numpy_helper.from_array(np.float32(2), two),
        numpy_helper.from_array(rng.standard_normal((3, 5)).astype(np.float32), bias),
    ]
    nodes = [
        helper.make_node("Mul", [x, two], [doubled], name=name(), doc_string=text),
        helper.make_node("Add", [doubled, w], [added], name=name()),
        helper.make_node("MatMul", [added, w], [product], name=text),
        helper.make_node("Mul", [product, two], [y], name=text),
        helper.make_node("Gather", [bias, x + "i"], [chosen], name=name()),
    ]
    graph = helper.make_graph(
        nodes,
        text,
        [
            helper.make_tensor_value_info(x, TensorProto.FLOAT, [5, 5], text),
            helper.make_tensor_value_info(x + "i", TensorProto.INT64, [dim]),
        ],
        [
            helper.make_tensor_value_info(y, TensorProto.FLOAT, [5, 5], text),
            helper.make_tensor_value_info(chosen, TensorProto.FLOAT, [other, 5]),
        ],
        weights,
        doc_string=text,
    )
    model = helper.make_model(
        graph,
        producer_name=text,
        producer_version=text,
        doc_string=text,
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    helper.set_model_props(model, {text: text})
    return model


def wanted(model: onnx.ModelProto, x: Any, i: Any) -> list[Any]:
    w, _, bias = (numpy_helper.to_array(t) for t in model.graph.initializer)
    return [((2 * x + w) @ w) * 2, bias[i]]


X = np.random.default_rng(1).standard_normal((5, 5)).astype(np.float32)
I = np.array([2, 0, 1, 1])  # noqa: E741


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fails the test if any text was executed."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob(CANARY)), "a text of the model was executed"


def test_the_canary_sings(tmp_path: Path) -> None:
    exec(CALL)
    assert (tmp_path / CANARY).exists()
    (tmp_path / CANARY).unlink()


def safe_source(source: str) -> None:
    """The program is ASCII, and has no statement that its model's text wrote."""
    assert source.isascii()
    assert not re.search(r"[^\n -~]", source)
    tree = ast.parse(source)
    allowed = (ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    for statement in tree.body[1:]:
        main = isinstance(statement, ast.If) and "__main__" in ast.unparse(statement)
        assert isinstance(statement, allowed) or main, ast.unparse(statement)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    assert not [n for n in calls if n.attr == "touch"]


@HOSTILE
@pytest.mark.parametrize("backend", BACKENDS)
def test_it_compiles_and_runs(
    text: str, backend: str, assert_close: Any, tmp_path: Path
) -> None:
    model = hostile_model(text)
    executable = compile_model(model, backend)
    safe_source(executable.source)
    expected = wanted(model, X, I)
    names = [info.name for info in model.graph.input]
    assert [spec.name for spec in executable.inputs] == names
    found = executable(**dict(zip(names, (X, I), strict=True)))
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b)
    artifact = load_artifact(executable.save(tmp_path / "out"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    assert set(FILES) <= {p.name for p in (tmp_path / "out").iterdir()}
    assert (tmp_path / "out" / "model.py").read_text() == executable.source
    if backend == "numpy":
        for a, b in zip(artifact(X, I), found, strict=True):
            assert a.tobytes() == b.tobytes()
    assert artifact.manifest["model"] == text
    assert [spec.name for spec in artifact.inputs] == names
    (tmp_path / "out" / "manifest.json").read_bytes().decode("ascii")


@HOSTILE
def test_text_and_back(text: str, tmp_path: Path) -> None:
    proto = hostile_model(text)
    model = import_model(proto)
    printed = model.text()
    assert not re.search(r"[^\n -~]", printed)
    path = tmp_path / "x.mlir"
    write_text(model, path)
    written = path.read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.mlir", "x.safetensors"]
    again = read_text(path)
    assert again.text() == written
    assert parse_text(again.text(), path).text() == written
    assert again.name == text
    assert [v.name for v in again.inputs] == [i.name for i in proto.graph.input]
    assert [v.name for v in again.outputs] == [o.name for o in proto.graph.output]
    found = compile_model(path, "numpy", "O0")(X, I)
    direct = compile_model(proto, "numpy", "O0")(X, I)
    for a, b in zip(found, direct, strict=True):
        assert a.tobytes() == b.tobytes()


@HOSTILE
def test_the_terminal_gets_only_what_it_can_show(
    text: str, sardonyx: Any, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(hostile_model(text), path)
    name = onnx.load(path).graph.input[0].name
    for arguments in (
        ["compile", path, "-o", tmp_path / "out", "-b", "numpy"],
        ["run", path, "-b", "numpy"],
        ["run", tmp_path / "out"],
        ["run", path, "-b", "numpy", "-o", tmp_path / "outputs"],
        ["verify", path, "-b", "numpy", "--per-op", "--against", "reference"],
        ["verify", path, "-b", "numpy", "--json", "--against", "reference"],
        ["run", path, "-b", "numpy", "--json"],
        ["opt", path],
        ["run", path, "-b", "numpy", "-i", f"{name}=none.npy"],
        ["run", path, "-b", "numpy", "--dim", f"{text}=3"],
        ["compile", path, "-o", tmp_path / "o", "-b", "numpy", "-p", text],
    ):
        said = sardonyx(*arguments)
        for character in said.out.replace("\n", "") + said.err.replace("\n", ""):
            assert character.isprintable(), (arguments[0], said)
        if "--json" in arguments:
            json.loads(said.out)
    written = sorted(p.name for p in (tmp_path / "outputs").iterdir())
    assert [entry[:2] for entry in written] == ["0-", "1-"]
    known = {"m.onnx", "out", "outputs"}
    assert {p.name for p in tmp_path.iterdir()} == known


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_artifact_of_all_of_them_at_once_runs(
    backend: str, tmp_path: Path, assert_close: Any
) -> None:
    nodes, outputs = [], []
    for number, (name, text) in enumerate(TEXTS.items()):
        output = f"{text}{number}"
        nodes.append(helper.make_node("Neg", ["x"], [output], name=text))
        outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [5, 5]))
        del name
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 5])
    graph = helper.make_graph(nodes, "\n".join(TEXTS.values()), [x], outputs)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    executable = compile_model(model, backend, "O0")
    safe_source(executable.source)
    for found in executable(X):
        assert_close(found, -X)
    executable.save(tmp_path / "out")
    ran = subprocess.run(
        [sys.executable, tmp_path / "out" / "model.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.count("\noutput ") == len(TEXTS)
    assert not re.search(r"[^\n -~]", ran.stdout)


@HOSTILE
@pytest.mark.parametrize("raw", [False, True], ids=["text", "bytes"])
def test_string_tensors_and_attributes(text: str, raw: bool, tmp_path: Path) -> None:
    items = [text.encode(), b"plain", b""] + ([b"\xff\xfe" + text.encode()] * raw)
    constant = helper.make_node("Constant", [], ["s"], value_strings=items)
    join = helper.make_node("StringConcat", ["s", "x"], ["y"], name=text)
    given = np.array(["-é"], object)
    infos = [
        helper.make_tensor_value_info(name, TensorProto.STRING, shape)
        for name, shape in (("x", [1]), ("y", [len(items)]))
    ]
    graph = helper.make_graph([constant, join], "g", infos[:1], infos[1:])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    expected = [i.decode("utf-8", "surrogateescape") + "-é" for i in items]
    for pipeline in ("O0", "O2"):
        executable = compile_model(model, "numpy", pipeline)
        safe_source(executable.source)
        (found,) = executable(given)
        assert found.tolist() == expected
        (again,) = load_artifact(executable.save(tmp_path / "out"))(given)
        assert again.tolist() == expected
        (read,) = compile_model(tmp_path / "out" / "ir.mlir", "numpy")(given)
        assert read.tolist() == expected


def test_names_that_differ_only_in_what_python_cannot_say() -> None:
    names = [
        "a.b",
        "a/b",
        "a b",
        "a_b",
        "a_b_1",
        "a\nb",
        "é",
        "è",
        "_",
        "__",
        "1",
        "v1",
    ]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in names
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [len(names)])
    node = helper.make_node("Concat", names, ["y"], axis=0)
    graph = helper.make_graph([node], "g", infos, [output])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    given = {name: np.full(1, n, "f") for n, name in enumerate(names)}
    for backend in BACKENDS:
        (found,) = compile_model(model, backend)(**given)
        assert np.asarray(found).tolist() == list(range(len(names)))


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe\xfd", b"\xed\xa0\x80", b"\xc0\xaf"], ids=bytes.hex
)
def test_names_that_are_no_utf_8(sardonyx: Any, tmp_path: Path, raw: bytes) -> None:
    content = hostile_model("QQQ").SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content.replace(b"QQQ", raw))
    said = sardonyx("run", tmp_path / "m.onnx", "-b", "numpy")
    assert said.code in (0, 2)
    if said.code == 2:
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert str(tmp_path / "m.onnx") in said.err
    for character in said.out.replace("\n", "") + said.err.replace("\n", ""):
        assert character.isprintable()


def test_markup_is_not_rendered(sardonyx: Any, tmp_path: Path) -> None:
    text = TEXTS["markup"]
    buffer = io.StringIO()
    Console(file=buffer).print("[red]a[/red]")
    assert "[red]" not in buffer.getvalue(), "which is what rich does by itself"
    onnx.save(hostile_model(text), tmp_path / "m.onnx")
    said = sardonyx("run", tmp_path / "m.onnx", "-b", "numpy")
    assert text in said.out

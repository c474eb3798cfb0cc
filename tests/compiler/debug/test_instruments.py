"""What ``opt`` shows of the passes: printed IR, dumps, timing, statistics."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler.debug.elided import shown_text
from sardonyx.compiler.debug.instruments import DumpIR
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.text import parse_text
from sardonyx.dialects.errors import SardonyxError

HEADER = re.compile(r"^// -----// IR (before|after) pass (\d+): (.*) //----- //$", re.M)


@pytest.fixture(name="net")
def net_fixture(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> Path:
    """Two convolutions, each with a normalization; of the second another use."""
    rng = np.random.default_rng(3)

    def floats(*shape: int) -> Any:
        return rng.uniform(0.5, 1, shape).astype(np.float32)

    parameters = ["s", "o", "m", "v"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c1"], name="conv1"),
        helper.make_node("BatchNormalization", ["c1", *parameters], ["n1"], name="bn1"),
        helper.make_node("Conv", ["n1", "w"], ["c2"], name="conv2"),
        helper.make_node("BatchNormalization", ["c2", *parameters], ["n2"], name="bn2"),
        helper.make_node("Identity", ["n2"], ["i"], name="same"),
        helper.make_node("Add", ["i", "c2"], ["y"], name="both"),
    ]
    weights = [tensor_proto("w", floats(5, 5, 1, 1))]
    weights += [tensor_proto(name, floats(5)) for name in parameters]
    inputs = [value_info("x", ["batch", 5, 4, 4])]
    outputs = [value_info("y", ["batch", 5, 4, 4])]
    path = tmp_path / "net.onnx"
    onnx.save(model_of(nodes, inputs, outputs, weights, "net"), path)
    return path


# --- printing ---


def headers(text: str) -> list[tuple[str, ...]]:
    return [match.groups() for match in HEADER.finditer(text)]


BEFORE = [("before", "1", "remove-identities"), ("before", "2", "cse")]
AFTER = [
    ("after", "1", "remove-identities"),
    ("after", "2", "cse"),
    ("after", "3", "dce"),
]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--print-ir-after", "cse"], AFTER[1:2]),
        (["--print-ir-before", "cse, remove-identities"], BEFORE),
        (["--print-ir-after-all"], AFTER),
        (
            ["--print-ir-before-all", "--print-ir-after", "dce"],
            [*BEFORE, ("before", "3", "dce"), AFTER[2]],
        ),
        (["--print-ir-after-change"], AFTER[:2]),
        (["--print-between-passes"], AFTER),
    ],
)
def test_the_ir_is_printed(
    sardonyx: Any, net: Path, options: list[str], wanted: list[Any]
) -> None:
    spec = "remove-identities,cse,dce"
    plain = sardonyx("opt", net, "-p", spec)
    said = sardonyx("opt", net, "-p", spec, *options)
    assert said.code == 0
    assert said.out == plain.out
    assert headers(said.err) == wanted
    parts = HEADER.split(said.err)[4::4]
    for (when, number, _), text in zip(wanted, parts, strict=True):
        runs = int(number) - (when == "before")
        model = load(net)
        run_pipeline(model, ",".join(spec.split(",")[:runs]))
        assert text.strip() == model.text().strip()


def test_options_are_told_with_the_pass(sardonyx: Any, net: Path) -> None:
    spec = 'specialize-dims{dims="batch=2"}'
    said = sardonyx("opt", net, "-p", spec, "--print-ir-after-all")
    assert headers(said.err) == [("after", "1", spec)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pass_that_does_not_run_is_refused(
    sardonyx: Any, net: Path, when: str
) -> None:
    said = sardonyx("opt", net, "-p", "cse,dce", f"--print-ir-{when}", "dce,sce")
    assert said.code == 2
    assert f"--print-ir-{when}: found pass 'sce', wanted one of cse, dce" in said.err


def test_looking_changes_nothing(net: Path) -> None:
    """Passes name weights after values, which printing renames."""
    model, plain = load(net), load(net)
    for one in (model, plain):
        for place, op in enumerate(one.main.body.walk()):
            for result in op.results:
                result.name_hint = f"v_{place}_0"
    hints = [r.name_hint for op in model.main.walk() for r in op.results]
    assert any(hint and hint.endswith("_3") for hint in hints)
    shown_text(model)
    assert hints == [r.name_hint for op in model.main.walk() for r in op.results]
    run_pipeline(model, "fold-batch-norm", [DumpIR(net.parent / "dump")])
    run_pipeline(plain, "fold-batch-norm")
    assert model.text() == plain.text()


# --- what is long is elided ---


def test_nothing_long_is_shown(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    words = np.array([f"a word {n}" for n in range(500)], object)
    nodes = [
        helper.make_node("Gather", ["words", "i"], ["found"], name="look"),
        helper.make_node(
            "LabelEncoder",
            ["found"],
            ["y"],
            name="encode",
            domain="ai.onnx.ml",
            keys_strings=[f"key {n}" for n in range(400)],
            values_int64s=list(range(1000, 1400)),
        ),
    ]
    inputs, outputs = [value_info("i", [2], "INT64")], [value_info("y", [2], "INT64")]
    proto = model_of(nodes, inputs, outputs, [tensor_proto("words", words)])
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 4))
    proto.doc_string = "long " * 1000
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    model = load(path)
    text = shown_text(model)
    assert len(model.text()) > 15_000
    assert len(text) < 2_500
    assert "dense<elided> : tensor<500x!onnx.string>" in text
    assert "[elided, 400 entries]" in text
    assert "elided, 400 elements>" in text
    assert "elided, string of 5000 characters" in text
    assert 'loc("look"("found"))' in text
    generic = shown_text(model, generic=True)
    assert len(generic) < 4_000
    assert '"onnx.Gather"' in generic


def test_what_is_short_stays(net: Path) -> None:
    model = load(net)
    assert shown_text(model) == model.text()
    assert '#onnx.weight<"w"> : tensor<5x5x1x1xf32>' in shown_text(model)


# --- dumps ---


def index(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "index.json").read_text())["stages"]


def test_a_dump_has_every_stage(sardonyx: Any, net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "dump"
    said = sardonyx("opt", net, "-p", "dce,fold-batch-norm,dce", "--dump-dir", folder)
    assert (said.code, said.err) == (0, "")
    stages = index(folder)
    assert [(s["pass"], s["file"], s["changed"]) for s in stages] == [
        ("import", "0000-import.mlir", True),
        ("dce", "0000-import.mlir", False),
        ("fold-batch-norm", "0002-fold-batch-norm.mlir", True),
        ("dce", "0002-fold-batch-norm.mlir", False),
    ]
    files = {"index.md", "index.json"} | {s["file"] for s in stages}
    assert {path.name for path in folder.iterdir()} == files
    assert [(s["ops_before"], s["ops_after"]) for s in stages] == [
        (6, 6),
        (6, 6),
        (6, 5),
        (5, 5),
    ]
    table = (folder / "index.md").read_text().splitlines()
    assert len(table) == 2 + len(stages)
    assert "[0002-fold-batch-norm.mlir](0002-fold-batch-norm.mlir)" in table[4]
    model = load(net)
    run_pipeline(model, "dce,fold-batch-norm")
    assert (folder / "0002-fold-batch-norm.mlir").read_text() == model.text()


def test_a_dump_replaces_a_dump_and_nothing_else(
    sardonyx: Any, net: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dump"
    sardonyx("opt", net, "-O2", "--dump-dir", folder)
    assert sardonyx("opt", net, "--dump-dir", folder).code == 0
    assert {p.name for p in folder.iterdir()} == {
        "0000-import.mlir",
        "index.json",
        "index.md",
    }
    (folder / "thesis.mlir").write_text("years")
    before = {p.name: p.read_text() for p in folder.iterdir()}
    said = sardonyx("opt", net, "-O2", "--dump-dir", folder)
    assert said.code == 2
    assert "holds other files" in said.err
    assert {p.name: p.read_text() for p in folder.iterdir()} == before


def test_a_dump_onto_a_file_is_refused(sardonyx: Any, net: Path) -> None:
    said = sardonyx("opt", net, "--dump-dir", net)
    assert said.code == 2
    assert "cannot be written" in said.err


def test_a_pass_that_fails_is_dumped(net: Path, tmp_path: Path) -> None:
    model, dump = load(net), DumpIR(tmp_path / "dump")
    with pytest.raises(SardonyxError, match="found dimension 'nope'"):
        run_pipeline(model, 'cse,specialize-dims{dims="nope=2"},dce', [dump])
    *_, last = index(dump.folder)
    assert last["file"] == "0002-specialize-dims.failed.mlir"
    assert "found dimension 'nope'" in last["error"]
    assert '"onnx.Conv"' in (dump.folder / last["file"]).read_text()
    assert "| failed |" in (dump.folder / "index.md").read_text()


def test_what_is_dumped_parses(tmp_path: Path, pair: Path) -> None:
    """Of a model whose constants all stand in the text."""
    dump = DumpIR(tmp_path / "dump")
    run_pipeline(load(pair), "O2", [dump])
    for path in dump.folder.glob("*.mlir"):
        assert parse_text(path.read_text(), path).text() == path.read_text()


# --- numbers ---


def test_statistics(sardonyx: Any, net: Path) -> None:
    spec = "fold-batch-norm,remove-identities,cse"
    said = sardonyx("opt", net, "-p", spec, "--statistics", "--json")
    found = json.loads(said.err)
    assert [entry["spec"] for entry in found] == spec.split(",")
    first = found[0]
    assert first["seconds"] >= 0
    assert first["verify_seconds"] > 0
    assert (first["ops_before"], first["ops_after"]) == (6, 5)
    assert (first["matched"], first["rewritten"]) == (2, 1)
    assert first["rewritten_by_pattern"] == {"batch-norm-into-conv": 1}
    assert first["declined"] == {"the convolution has other uses": 1}
    assert (found[1]["rewritten"], found[1]["declined"]) == (1, {})
    assert found[2]["matched"] is found[2]["declined"] is None
    table = sardonyx("opt", net, "-p", spec, "--statistics").err.splitlines()
    assert len(table) == 4
    assert re.search(r"fold-batch-norm +2 +1 +1 +6 -> 5 .*1 x the conv", table[1])
    assert re.search(r"cse +- +- +- +4 ", table[3])


def test_timing(sardonyx: Any, net: Path) -> None:
    spec = "fold-constants,remove-identities,cse,dce"
    said = sardonyx("opt", net, "-p", spec, "--timing")
    lines = said.err.splitlines()
    assert [line.split()[0] for line in lines] == [
        "pass",
        "fold-constants",
        "remove-identities",
        "cse",
        "dce",
        "all",
    ]
    parts = [float(line.split()[1]) for line in lines[1:]]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], abs=0.05)
    assert sardonyx("opt", net, "-O1", "--time-passes").err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json"], "found --json alone"),
        (["--dump-dir", "d", "--split-input-file"], "--split-input-file"),
    ],
)
def test_options_that_do_not_fit(
    sardonyx: Any, net: Path, options: list[str], message: str
) -> None:
    said = sardonyx("opt", net, *options)
    assert said.code == 2
    assert message in said.err

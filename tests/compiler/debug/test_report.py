"""The report: what changed, what it costs, where it stands, how it is escaped."""

import itertools
import json
import random
import sys
from html.parser import HTMLParser
from pathlib import Path

import onnx
import pytest
from onnx import helper
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.debug.report import Peaks, ReportError, build_report
from sardonyx.compiler.debug.report.layout import layers_of, sugiyama
from sardonyx.compiler.debug.report.page import page
from sardonyx.compiler.debug.report.scopes import Group, scope_of, tree
from sardonyx.compiler.debug.report.stages import Recorder
from sardonyx.compiler.pipelines import PassRun

PEAKS = Peaks(1e9, 1e9, "made up")

HOSTILE = (
    "</script><script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "line\nbreak\ttab \\ ' \" ` ${window.pwned = 1}",
    "@@DATA@@ @@SCRIPT@@ <!-- ]]> \u2028 \u202e &lt;",
)


@pytest.fixture(name="normalized")
def normalized_fixture(model_of, value_info, tensor_proto):
    """A convolution with a batch normalization that can be folded, and a Relu."""
    floats = {"s": [1.0, 2.0], "h": [0.5, 0.0], "m": [0.0, 1.0], "v": [1.0, 4.0]}
    weights = [tensor_proto("w", [[[[1.0]]], [[[2.0]]]])]
    weights += [tensor_proto(name, values) for name, values in floats.items()]
    for weight in weights:
        weight.CopyFrom(
            onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(weight).astype("float32"), weight.name
            )
        )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="/net/conv"),
        helper.make_node(
            "BatchNormalization", ["c", "s", "h", "m", "v"], ["n"], name="/net/bn"
        ),
        helper.make_node("Relu", ["n"], ["y"], name="/relu"),
    ]
    shapes = [1, 1, 4, 4], [1, 2, 4, 4]
    ends = [[value_info(n, s)] for n, s in zip("xy", shapes, strict=True)]
    return model_of(nodes, *ends, weights, "net")


def ops_of(report, stage, kind="op"):
    """The records of a stage's ops by track."""
    told = report["stages"][stage]
    entries = report["stages"][told.get("same", stage)]["ops"]
    found = {track: report["records"][record] for track, record, _ in entries}
    return {t: record for t, record in found.items() if record["kind"] == kind}


def build(source, pipeline="O0", **options):
    return build_report(source, pipeline, peaks=PEAKS, **options)


# --- the stages ---


def test_a_fusion_is_what_came_what_went_and_what_follows(normalized):
    report = build(import_model(normalized), "fold-batch-norm")
    before, after = ops_of(report, 0), ops_of(report, 1)
    stage = report["stages"][1]
    assert [before[t]["nodes"] for t in stage["removed"]] == [
        ["/net/conv"],
        ["/net/bn"],
    ]
    assert [after[t]["nodes"] for t in stage["added"]] == [["/net/conv", "/net/bn"]]
    assert [after[t]["op"] for t in stage["rewired"]] == ["Relu"]
    assert stage["changed"] == []
    assert (stage["ops_before"], stage["ops_after"], stage["rewritten"]) == (3, 2, 1)


def test_a_pass_that_does_nothing_changes_nothing(normalized):
    report = build(import_model(normalized), "cse")
    stage = report["stages"][1]
    assert not any(stage[n] for n in ("added", "removed", "changed", "rewired"))
    # Nothing is told, or laid out, twice.
    assert stage["same"] == 0
    assert "ops" not in stage


def test_an_attribute_that_changes_is_told(mlp_proto):
    from xdsl.dialects.builtin import IntegerAttr, i64

    model, recorder = import_model(mlp_proto), Recorder({"batch": 2})
    recorder.begin(model)
    (soft,) = (op for op in model.module.walk() if op.name == "onnx.Softmax")
    soft.properties["axis"] = IntegerAttr(0, i64)
    recorder.after(model, PassRun(0, "mine", 0.0, 5, 5))
    ((track, why),) = recorder.stages[1].changed
    assert recorder.last_ops[track] is soft
    assert why == "axis: absent -> 0 : i64"


def test_an_op_that_replaces_its_like_is_the_same(mlp_proto):
    model, recorder = import_model(mlp_proto), Recorder({"batch": 2})
    recorder.begin(model)
    (relu,) = (op for op in model.module.walk() if op.name == "onnx.Relu")
    twin = relu.clone()
    relu.parent.insert_op_before(twin, relu)
    relu.results[0].replace_all_uses_with(twin.results[0])
    relu.detach()
    recorder.after(model, PassRun(0, "mine", 0.0, 5, 5))
    assert not recorder.stages[1].is_changed


def test_recording_leaves_the_model_as_it_is(mlp_proto):
    plain, seen = import_model(mlp_proto), import_model(mlp_proto)
    hints = [r.name_hint for op in seen.module.walk() for r in op.results]
    Recorder({"batch": 2}).begin(seen)
    assert [r.name_hint for op in seen.module.walk() for r in op.results] == hints
    assert seen.text() == plain.text()


# --- what is told ---


def test_costs_and_memory_are_those_of_the_sizes(mlp_proto):
    report = build(import_model(mlp_proto), dims={"batch": 2})
    first, shift, *_ = ops_of(report, 0).values()
    # x is 2 x 8, w 8 x 6, and their product 2 x 6, of 4 bytes an element.
    assert first["cost"]["flops"] == [2 * 2 * 8 * 6]
    assert first["cost"]["bytes_read"] == [4 * (2 * 8 + 8 * 6)]
    assert first["out"] == [["xw", "float32[2, 6]"]]
    assert first["in"][1] == ["B", "weight w", "float32[8, 6]"]
    assert shift["in"][0] == ["A", "xw", "float32[2, 6]"]
    held = report["stages"][0]["memory"]["bytes"]
    assert held[:2] == [4 * (2 * 8 + 2 * 6), 4 * (2 * 6 + 2 * 6)]
    assert len(held) == len(ops_of(report, 0)) == 5


def test_free_sizes_are_said_and_counted(mlp_proto):
    report = build(import_model(mlp_proto))
    assert report["model"]["sizes"] == {"batch": 1}
    first = next(iter(ops_of(report, 0).values()))
    assert first["cost"]["flops"] == [2 * 8 * 6, "96*batch"]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_lines_are_those_of_the_program(mlp, backend):
    report = build(mlp, "O1", backend=backend)
    written = compile_model(mlp, backend, "O1").source.splitlines()
    ops = ops_of(report, -1)
    for track, ((number, text),) in report["program"]["lines"].items():
        assert written[number - 1].strip() == text
        assert text.endswith(f"# {ops[track]['op']} {', '.join(ops[track]['nodes'])}")
    assert len(report["program"]["lines"]) == len(ops) == 5


def test_text_is_the_op_alone(mlp_proto):
    report = build(import_model(mlp_proto))
    texts = [record["text"] for record in ops_of(report, 0).values()]
    assert [text.partition("onnx.")[2][:6] for text in texts] == [
        "MatMul", "Add(%x", "Relu(%", "MatMul", "Softma",
    ]  # fmt: skip
    assert texts[0].startswith("%xw = onnx.MatMul(%x, ")
    assert 'loc("first"("xw"))' in texts[0]


# --- scopes and layout ---


def record(*nodes):
    return {"kind": "op", "nodes": nodes, "tensors": []}


@pytest.mark.parametrize(
    ("nodes", "scope"),
    [
        (["/encoder/layer.0/attention/MatMul"], ("encoder", "layer.0", "attention")),
        (["/a/b/Conv", "/a/c/Bn"], ("a",)),
        (["n17"], ()),
        (["//a///Add"], ("a",)),
        ([], ()),
    ],
)
def test_scopes_are_what_names_share(nodes, scope):
    assert scope_of(record(*nodes)) == scope


def plain(group: Group):
    """A group as nested lists."""
    parts = [plain(c) if isinstance(c, Group) else c for c in group.children]
    return [group.title, *parts]


def test_groups_that_tell_nothing_are_dissolved():
    scopes = {
        1: ("net", "enc", "a"),
        2: ("net", "enc", "a"),
        3: ("net", "enc", "b"),
        4: ("net", "dec"),
        5: (),
    }
    # One op is no group; 'net/enc' keeps what it says, and 'dec' is one op of 'net'.
    assert plain(tree(scopes)) == ["", ["net", ["enc", ["a", 1, 2], 3], 4], 5]
    assert plain(tree({1: ("x", "y"), 2: ("x", "y")})) == ["", ["x/y", 1, 2]]


def random_edges(seed, count):
    draw = random.Random(seed)
    pairs = {tuple(sorted(draw.sample(range(count), 2))) for _ in range(2 * count)}
    return sorted(pairs)


@pytest.mark.parametrize("seed", range(8))
def test_layouts_go_down_and_do_not_overlap(seed):
    edges = random_edges(seed, 30)
    found = sugiyama(30, edges)
    for a, b in edges:
        assert found["layer"][a] < found["layer"][b]
    places = sorted(zip(found["layer"], found["x"], strict=True))
    for (layer, x), (next_layer, next_x) in itertools.pairwise(places):
        assert layer != next_layer or next_x - x >= 0.999
    for a, b, bends in found["edges"]:
        between = range(found["layer"][a] + 1, found["layer"][b])
        assert [layer for layer, _ in bends] == list(between)


def test_an_edge_against_the_program_bends_too():
    # Two scopes that take turns: the edge up is no matter for the layers.
    found = sugiyama(3, [(0, 1), (1, 2), (2, 0)])
    assert found["layer"] == [0, 1, 2]
    assert [layer for layer, _ in found["edges"][2][2]] == [1]


def test_a_source_stands_above_its_first_user():
    assert layers_of(4, [(0, 1), (1, 3), (2, 3)]) == [0, 1, 1, 2]


def test_every_op_stands_in_the_layout_once(normalized):
    report = build(import_model(normalized), "O2")

    def tracks(place):
        for child in report["layouts"][place]["children"]:
            yield from tracks(child["g"]) if "g" in child else [child["t"]]

    for stage in report["stages"]:
        if "same" in stage:
            continue
        assert sorted(tracks(stage["layout"])) == sorted(op[0] for op in stage["ops"])
    titles = {layout["title"] for layout in report["layouts"]}
    assert titles == {"", "net"}


# --- the page ---


class Scripts(HTMLParser):
    """The script elements of a page, and all its tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_data(self, content):
        if self.scripts and self.tags[-1] == "script":
            self.scripts[-1][1] += content


def hostile_model(model_of, value_info):
    """A chain of Relus whose names, tensors and sizes are all hostile."""
    names = [f"{n} {number}" for number, n in enumerate(HOSTILE)]
    tensors = [f"t {name}" for name in names]
    nodes = [
        helper.make_node("Relu", [a], [b], name=f"/scope {name}/{name}")
        for a, b, name in zip(["x<b>", *tensors], tensors, names, strict=False)
    ]
    ends = [value_info("x<b>", ["<i>n", 2])], [value_info(tensors[-1], ["<i>n", 2])]
    return model_of(nodes, *ends, name=HOSTILE[0])


def test_names_stay_data(model_of, value_info):
    report = build(import_model(hostile_model(model_of, value_info)))
    text = page(report)
    seen, usual = Scripts(text), Scripts(page({**report, "model": {"name": "m"}}))
    assert seen.tags == usual.tags
    (kind, content), (_, script) = seen.scripts
    assert kind == {"type": "application/json", "id": "data"}
    assert json.loads(content) == json.loads(json.dumps(report))
    assert "pwned" not in script
    assert "pwned" in content
    assert not set("<>&") & set(content)


def test_the_page_loads_nothing(mlp):
    text = page(build(mlp))
    (policy,) = (
        line for line in text.splitlines() if "Content-Security-Policy" in line
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for address in ("http://", "https://", "src=", "@import", "url("):
        assert address not in text


def test_a_large_model_is_a_small_page(model_of, value_info, tensor_proto):
    import numpy as np

    weight = tensor_proto("w", np.ones((512, 512), np.float32))
    nodes = [
        helper.make_node(
            "MatMul", [f"t{n}", "w"], [f"t{n + 1}"], name=f"/l{n // 9}/n{n}"
        )
        for n in range(300)
    ]
    ends = [[value_info(name, [1, 512])] for name in ("t0", "t300")]
    proto = model_of(nodes, *ends, [weight])
    # Less than 1.5 kB an op, of every stage; the weights are not in it.
    assert len(page(build(import_model(proto), "O2"))) < 300 * 1500 + 60_000


# --- refusals, and the command ---


def test_without_igraph_it_says_what_to_install(mlp, monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(ReportError, match=r"found no igraph.*'sardonyx\[report\]'"):
        build(mlp)


def test_the_command_writes_a_page(mlp, tmp_path: Path, sardonyx):
    goal, times = tmp_path / "mlp.html", tmp_path / "mlp.json"
    done = sardonyx("profile", mlp, "--json", times, "--seconds", "0.1", "-O", "1")
    assert done.code == 0
    done = sardonyx("view", mlp, "-o", goal, "--profile", times, "-O", "1")
    assert (done.code, done.err) == (0, "")
    content = json.loads(Scripts(goal.read_text("utf-8")).scripts[0][1])
    assert len(content["profile"]["ops"]) == 5
    assert content["profile"]["unmatched_seconds"] == 0
    assert content["peaks"]["source"].startswith("measured here")


def test_the_command_shows_what_was_measured(mlp, tmp_path: Path, sardonyx):
    goal, out = tmp_path / "mlp.html", tmp_path / "out"
    given = ("-b", "numpy", "-p", "merge-products,cse")
    measured = ("--refuse-slower", "--refuse-budget", "0")
    assert sardonyx("compile", mlp, "-o", out, *given, *measured).code == 0
    done = sardonyx("view", mlp, "-o", goal, "--artifact", out)
    assert (done.code, done.err) == (0, "")
    content = json.loads(Scripts(goal.read_text("utf-8")).scripts[0][1])
    manifest = json.loads((out / "manifest.json").read_text())
    assert content["refused"] == manifest["refused"]
    assert content["model"]["pipeline"] == manifest["pipeline"]


def test_a_folder_that_is_no_artifact_is_refused(mlp, tmp_path: Path, sardonyx):
    done = sardonyx("view", mlp, "-o", tmp_path / "no.html", "--artifact", tmp_path)
    assert done.code == 2
    assert "not an artifact" in done.err
    out = tmp_path / "out"
    assert sardonyx("compile", mlp, "-o", out, "-b", "numpy").code == 0
    path = out / "manifest.json"
    path.write_text(path.read_text().replace('"numpy"', '"cobol"', 1))
    done = sardonyx("view", mlp, "-o", tmp_path / "no.html", "--artifact", out)
    assert (done.code, done.out) == (2, "")
    assert "the manifest cannot be used: 'cobol' is not a valid Backend" in done.err


def test_a_profile_of_another_model_is_refused(mlp, pair, tmp_path, sardonyx):
    times = tmp_path / "pair.json"
    assert sardonyx("profile", pair, "--json", times, "--seconds", "0.1").code == 0
    done = sardonyx("view", mlp, "--profile", times, "-o", tmp_path / "no.html")
    assert done.code == 2
    assert "found a profile of 'pair'" in done.err
    assert not (tmp_path / "no.html").exists()


@pytest.mark.parametrize(
    "peaks", [["--peak-gflops", "3"], ["--peak-gflops", "3", "--bandwidth", "0"]]
)
def test_half_of_the_peaks_is_refused(mlp, tmp_path, sardonyx, peaks):
    done = sardonyx("view", mlp, *peaks, "-o", tmp_path / "no.html")
    assert done.code == 2
    assert "wanted both --peak-gflops and --bandwidth" in done.err


def test_a_model_without_a_program_is_shown_and_says_why(
    model_of, value_info, monkeypatch
):
    from sardonyx.backends.numpy import TABLE

    monkeypatch.delitem(TABLE, "onnx.Relu")
    monkeypatch.delitem(TABLE, "onnx.Max", raising=False)
    nodes = [helper.make_node("Det", ["x"], ["y"], name="det")]
    ends = [value_info("x", [2, 2])], [value_info("y", [])]
    monkeypatch.delitem(TABLE, "onnx.Det")
    report = build(import_model(model_of(nodes, *ends)))
    assert "node 'det' (Det): no kernel" in report["program"]["failure"]
    assert [op["op"] for op in ops_of(report, 0).values()] == ["Det"]

"""Profiles: what is timed, to what it is attributed, and how it is read again."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper, parser
from sardonyx.backends.jax.profiling import scopes_of
from sardonyx.backends.numpy.timing import timed_program
from sardonyx.backends.program import LoweringError
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.debug.measure import clock_overhead, profile_model
from sardonyx.compiler.debug.profile import ProfileError, read_profile
from sardonyx.dialects.onnx import OnnxOp

BRIEF = 0.05
BACKENDS = ("numpy", "jax")

LOOP = """<ir_version: 10, opset_import: ["": 21]>
g (float[64,64] x, int64 n) => (float[64,64] y) {
  go = Constant <value = bool {1}> ()
  [turns] y = Loop (n, go, x) <
    body = b (int64 i, bool c, float[64,64] s) => (bool d, float[64,64] t) {
      d = Identity(c)
      [product] p = MatMul(s, s)
      [curve] t = Tanh(p)
    }>
}"""


@pytest.fixture(name="unequal")
def unequal_fixture(model_of, value_info, tensor_proto):
    """A product of 512 x 512 matrices, a product of small ones, and a sum."""
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["xx"], name="large"),
        helper.make_node("MatMul", ["z", "z"], ["zz"], name="small"),
        helper.make_node("Add", ["z", "zz"], ["sum"], name="sum"),
    ]
    inputs = [value_info("x", [512, 512]), value_info("z", ["n", "n"])]
    outputs = [value_info("xx", [512, 512]), value_info("sum", ["n", "n"])]
    return import_model(model_of(nodes, inputs, outputs))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_op_with_the_work_has_the_time(unequal, backend):
    found = profile_model(unequal, backend, "O0", {"n": 8}, budget_seconds=BRIEF)
    seconds = {op.nodes: op.seconds for op in found.ops}
    assert set(seconds) == {("large",), ("small",), ("sum",)}
    assert seconds["large",] > 5 * (seconds["small",] + seconds["sum",])
    (large,) = (op for op in found.ops if op.nodes == ("large",))
    assert large.flops == 2 * 512**3
    assert large.rate(large.flops) == pytest.approx(2 * 512**3 / large.seconds)
    assert large.bytes == 4 * 2 * 512 * 512
    assert found.whole_seconds > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_free_sizes_are_those_of_the_inputs(unequal, backend):
    given = {"z": np.ones((6, 6), np.float32)}
    found = profile_model(unequal, backend, "O0", inputs=given, budget_seconds=BRIEF)
    (small,) = (op for op in found.ops if op.nodes == ("small",))
    assert (dict(found.dims), small.flops) == ({"n": 6}, 2 * 6**3)


def test_what_runs_in_a_loop_is_counted_in_it():
    model = import_model(parser.parse_model(LOOP))
    inputs = {"n": np.array(3), "x": np.zeros((64, 64), np.float32)}
    found = profile_model(model, "numpy", "O0", inputs=inputs, budget_seconds=BRIEF)
    by_name = {op.nodes[0]: op for op in found.ops if op.nodes}
    loop, product, curve = (by_name[n] for n in ("turns", "product", "curve"))
    assert (loop.calls, product.calls, curve.calls) == (1, 3, 3)
    assert (loop.inside, product.inside) == (False, True)
    assert loop.seconds > product.seconds + curve.seconds
    assert product.rate(product.flops) == pytest.approx(3 * 2 * 64**3 / product.seconds)
    # What is inside is no row of its own: it would count twice.
    assert [node.nodes for node in found.nodes()] == [("turns",)]
    assert found.seconds == loop.seconds


def test_a_loop_on_jax_has_the_time_of_its_body():
    model = import_model(parser.parse_model(LOOP))
    inputs = {"n": np.array(3), "x": np.zeros((64, 64), np.float32)}
    found = profile_model(model, "jax", "O0", inputs=inputs, budget_seconds=BRIEF)
    (loop,) = found.ops
    assert (loop.op, loop.inside) == ("Loop", False)
    assert loop.seconds > 0
    total = sum(kernel.seconds for kernel in found.kernels)
    assert found.seconds + found.unattributed_seconds == pytest.approx(total)


def test_the_timed_program_computes_what_the_plain_one_does(mlp_proto):
    model = import_model(mlp_proto)
    executable = compile_model(model, "numpy", "O0")
    ops = [op for op in model.main.body.block.ops if isinstance(op, OnnxOp)]
    places = {op: n for n, op in enumerate(ops) if op.name != "onnx.Constant"}
    program = timed_program(model.main, model.context.store, places, executable.inputs)
    ticks = iter(range(1000))
    x = np.ones((2, 8), np.float32)
    spans = program.prepared(lambda: next(ticks), executable.params)([x])
    # The clock is looked at just before and just after each op, in order.
    wanted = [(place, 2 * n, 2 * n + 1) for n, place in enumerate(places.values())]
    assert spans == wanted
    plain = [line for line in program.source.splitlines() if "# " in line]
    said = compile_model(model, "numpy", "O0").source
    calls = [
        line.strip() for line in plain if line.startswith("    ") and " = " in line
    ]
    assert calls
    assert all(call in said for call in calls)


def test_two_looks_at_the_clock_take_little():
    assert 0 < clock_overhead() < 1e-4


# --- XLA ---

XLA = """HloModule jit_f

%region (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %r = f32[] add(%a, %b), metadata={op_name="jit(f)/sardonyx_op_7/sum"}
}

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  %t = f32[4]{0} tanh(%p), metadata={op_name="jit(f)/sardonyx_op_2/tanh"}
  ROOT %n = f32[4]{0} negate(%t), metadata={op_name="jit(f)/sardonyx_op_11/neg"}
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0), metadata={op_name="x"}
  %s.1 = f32[] reduce(%x, %x), to_apply=%region
  %w = f32[4]{0} while(%x), condition=%region, body=%fused
  ROOT %two_fusion = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused, metadata={}
}
"""


def test_an_instruction_holds_the_ops_of_all_it_calls():
    found = scopes_of(XLA)
    assert found["x"] == ()
    assert found["s.1"] == (7,)
    assert found["two_fusion"] == (2, 11)
    assert found["w"] == (2, 7, 11)


def test_kernels_have_all_the_time_and_parts_are_marked(mlp_proto):
    model = import_model(mlp_proto)
    found = profile_model(model, "jax", "O0", {"batch": 4}, budget_seconds=BRIEF)
    assert {place for k in found.kernels for place in k.ops} <= set(range(5))
    total = sum(kernel.seconds for kernel in found.kernels)
    assert found.seconds + found.unattributed_seconds == pytest.approx(total)
    together = {n for k in found.kernels if len(k.ops) > 1 for n in k.ops}
    assert {n for n, op in enumerate(found.ops) if op.shared} == together
    assert "estimate" in found.method


def test_what_jax_leaves_to_the_host_is_refused(model_of, value_info):
    nodes = [helper.make_node("NonZero", ["x"], ["y"], name="where")]
    proto = model_of(
        nodes, [value_info("x", [4])], [value_info("y", [1, None], "INT64")]
    )
    with pytest.raises(
        LoweringError, match=r"node 'where' \(NonZero\).*numpy takes any"
    ):
        profile_model(import_model(proto), "jax", "O0", budget_seconds=BRIEF)
    found = profile_model(import_model(proto), "numpy", "O0", budget_seconds=BRIEF)
    # How much it writes depends on the data: not known, and not guessed.
    assert found.ops[0].bytes_written is None
    assert found.ops[0].as_json()["bytes_per_second"] is None


# --- files ---


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_files_say_it_all(mlp, tmp_path, sardonyx, backend):
    times, trace = tmp_path / "times.json", tmp_path / "trace.json"
    options = ["-b", backend, "--seconds", BRIEF, "-O", "1", "--dim", "batch=3"]
    done = sardonyx("profile", mlp, "--json", times, "--trace", trace, *options)
    assert (done.code, done.err) == (0, "")
    read = read_profile(times)
    written = json.loads(times.read_text())
    assert read.as_json() == written
    assert [op.nodes[0] for op in read.ops][-1] == "soft"
    assert written["ops"][0]["flops_per_second"] > 0
    # Seconds of the slowest node come first, in the table too.
    slowest = written["nodes"][0]
    assert slowest["seconds"] == max(node["seconds"] or 0 for node in written["nodes"])
    assert slowest["nodes"][0] in done.out.splitlines()[2]
    assert read.method in done.out
    events = [e for e in json.loads(trace.read_text())["traceEvents"] if e["ph"] == "X"]
    assert {name for e in events for name in e["args"]["nodes"]} >= {"soft"}
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in events)
    if backend == "numpy":
        ends = [e["ts"] + e["dur"] for e in events]
        assert [e["ts"] for e in events] == sorted(e["ts"] for e in events)
        assert all(
            end <= after["ts"] + 1e-3
            for end, after in zip(ends, events[1:], strict=False)
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found no JSON"),
        ("[1]", "found format None, wanted 'sardonyx-profile-1'"),
        ('{"format": "x"}', "found format 'x', wanted 'sardonyx-profile-1'"),
        ('{"format": "sardonyx-profile-1"}', "found a damaged profile .KeyError"),
        ('{"format": "sardonyx-profile-1", "ops": [1]}', "damaged profile .TypeError"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path, text, said):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ProfileError, match=said):
        read_profile(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ProfileError, match="cannot be read: no such file"):
        read_profile(tmp_path / "p.json")


def test_a_model_that_cannot_run_is_refused(model_of, value_info, sardonyx, tmp_path):
    nodes = [helper.make_node("Identity", ["x"], ["y"], name="same")]
    ends = [[value_info(name, [2], "STRING")] for name in "xy"]
    path = tmp_path / "text.onnx"
    onnx.save(model_of(nodes, *ends), path)
    done = sardonyx("profile", path)
    assert done.code == 2
    assert "no random value of type string" in done.err

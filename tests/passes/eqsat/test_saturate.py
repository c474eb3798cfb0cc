"""The pass: the same meaning, never dearer, within its limits, and it tells why not."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.compiler.context import make_context
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.pipelines import parse_pipeline, run_pipeline
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.onnx import OnnxOp
from sardonyx.dialects.onnx.journal import Journal
from sardonyx.dialects.onnx.provenance import node_names, tensor_names
from sardonyx.passes.eqsat.region import Region
from sardonyx.passes.eqsat.saturate import SaturatePass
from sardonyx.passes.eqsat.saturation import Saturation
from sardonyx.passes.rules import RulePatterns, load_rules
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

EXTRACTIONS = ("ilp", "greedy")


def spec_of(extract: str, **options: Any) -> str:
    words = "".join(f" {name}={value}" for name, value in options.items())
    return f'saturate{{extract="{extract}"{words}}}'


# --- meaning ---


@pytest.mark.parametrize("extract", EXTRACTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_meaning_stays(
    extract: str, seed: int, random_model: Any, assert_close: Any, cost_of: Any
) -> None:
    proto, inputs = random_model(seed)
    before, after = load(proto), load(proto)
    dear = cost_of(after.module, after.context.store)
    (run,) = run_pipeline(after, spec_of(extract))
    assert run.journal.rewrites
    assert cost_of(after.module, after.context.store) < dear
    wanted = compile_model(before, backend="numpy", pipeline="O0")(**inputs)
    found = compile_model(after, backend="numpy", pipeline="O0")(**inputs)
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b, 4)


TEXTS = {
    "factors": """
        g (float[n, 4] x, float[n, 4] a, float[4] b) => (float[n, 4] y) {
          p = Mul(x, a)
          q = Mul(b, x)
          r = Add(p, q)
          s = Neg(r)
          t = Neg(s)
          u = Div(t, a)
          v = Div(x, a)
          y = Sub(u, v)
        }""",
    "products": """
        g (float[1, 16] x, float[16, 16] a, float[16, 16] b, float[1] c)
          => (float[1, 16] y, float[16, 1] z) {
          p = MatMul(a, b)
          q = MatMul(x, p)
          y = Mul(q, c)
          z = Transpose<perm = [1, 0]>(y)
        }""",
    "concat": """
        g (float[n, 8] x, float[8, 3] a, float[8, 5] b) => (float[n, 8] y) {
          p = MatMul(x, a)
          q = MatMul(x, b)
          r = Relu(p)
          s = Relu(q)
          y = Concat<axis = 1>(r, s)
        }""",
    "pools": """
        g (float[n, 3, 9, 9] x, float[16, 3, 1, 1] w, float[16] b)
          => (float[n, 16, 5, 5] y) {
          p = Conv(x, w, b)
          q = AveragePool<kernel_shape = [2, 2], strides = [2, 2],
                          pads = [1, 0, 0, 1]>(p)
          r = Relu(q)
          y = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r)
        }""",
    "branches": """
        g (float[n, 4] x, float[n, 4] a, bool c) => (float[n, 4] y) {
          m = Add(x, a)
          p = Mul(x, m)
          k = If(c) <
            then_branch = one () => (float[n, 4] t) { t = Mul(m, a) },
            else_branch = two () => (float[n, 4] e) { e = Neg(m) }
          >
          q = Mul(x, k)
          y = Add(p, q)
        }""",
}


@pytest.mark.parametrize("extract", EXTRACTIONS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_meaning_stays_beside_onnxruntime(
    extract: str, text: str, rewritten: Any
) -> None:
    done = rewritten(text, spec_of(extract))
    assert done.runs[0].journal.rewrites
    assert done.runs[0].ops_after <= done.runs[0].ops_before


# --- what greedy rewriting misses ---

DISTRIBUTES = """
    func.func @g(%x: tensor<64x64xf32>, %a: tensor<64x64xf32>) -> tensor<64x64xf32> {
      %two = onnx.Constant dense<[2.0]> : tensor<1xf32>
      %p = onnx.MatMul(%x, %a) : (tensor<64x64xf32>, tensor<64x64xf32>)
        -> tensor<64x64xf32>
      %q = onnx.Mul(%p, %two) : (tensor<64x64xf32>, tensor<1xf32>)
        -> tensor<64x64xf32>
      %r = onnx.Mul(%q, %two) : (tensor<64x64xf32>, tensor<1xf32>)
        -> tensor<64x64xf32>
      %y = onnx.MatMul(%r, %a) : (tensor<64x64xf32>, tensor<64x64xf32>)
        -> tensor<64x64xf32>
      func.return %y : tensor<64x64xf32>
    }"""

RULES = """
# Two ways to go on from x + x; only the second leads to nothing at all.

rule double
  "x + x is 2 x."
  Add(x, x)
  => Mul(x, cast(2, dtype(x)))

rule sum-less-one
  "(x + y) - y is x."
  Sub(Add(x, y), y)
  => x
"""

ORDER = """
    func.func @g(%x: tensor<64xf32>) -> tensor<64xf32> {
      %s = onnx.Add(%x, %x) : (tensor<64xf32>, tensor<64xf32>) -> tensor<64xf32>
      %y = onnx.Sub(%s, %x) : (tensor<64xf32>, tensor<64xf32>) -> tensor<64xf32>
      func.return %y : tensor<64xf32>
    }"""


@pytest.mark.parametrize("extract", EXTRACTIONS)
def test_no_rule_comes_too_early(extract: str, tmp_path: Path, saturated: Any) -> None:
    """
    Greedily `double` comes first, and `sum-less-one` finds no sum any more; saturated,
    both are tried.
    """
    path = tmp_path / "order.rules"
    path.write_text(RULES)
    context = saturated(ORDER, "cse")
    patterns = RulePatterns(
        load_rules(path).rules,
        context.model.context.store,
        context.model.context.journal,
    )
    patterns.rewrite_module(context.model.module)
    assert context.ops == ["Mul", "Sub"]
    best = saturated(ORDER, f'saturate{{rules="{path}" extract="{extract}"}}')
    assert best.ops == []
    assert best.after == 0 < best.before
    assert best.patterns == ["double+sum-less-one"]


def test_shapes_decide(saturated: Any) -> None:
    """(a @ b) @ c or a @ (b @ c): whichever takes less, from either."""
    text = """
        func.func @g(%a: {0}, %b: {1}, %c: {2}) -> {4} {{
          %p = onnx.MatMul(%a, %b) : ({0}, {1}) -> {3}
          %y = onnx.MatMul(%p, %c) : ({3}, {2}) -> {4}
          func.return %y : {4}
        }}"""

    def kinds(*shapes: str) -> str:
        return text.format(*(f"tensor<{shape}xf32>" for shape in shapes))

    better = saturated(kinds("256x256", "256x256", "256x1", "256x256", "256x1"))
    assert better.patterns == ["products-right"]
    assert better.after < better.before / 10
    good = saturated(kinds("1x256", "256x256", "256x256", "1x256", "1x256"))
    assert good.patterns == []
    assert good.after == good.before
    assert good.reasons[-1].startswith("no program is cheaper than ")


def test_constants_come_together(saturated: Any) -> None:
    done = saturated(DISTRIBUTES)
    assert done.ops.count("MatMul") == 2
    assert done.ops.count("Mul") == 1
    assert done.after < done.before


# --- limits ---


def sum_of(count: int) -> str:
    """A sum of `count` inputs, each after the other."""
    kind = "tensor<4xf32>"
    lines = [
        f"%s{i} = onnx.Add(%{f's{i - 1}' if i > 1 else 'x0'}, %x{i}) "
        f": ({kind}, {kind}) -> {kind}"
        for i in range(1, count)
    ]
    inputs = ", ".join(f"%x{i}: {kind}" for i in range(count))
    body = "\n".join([*lines, f"func.return %s{count - 1} : {kind}"])
    return f"func.func @g({inputs}) -> {kind} {{\n{body}\n}}"


LAWS = """
rule commutes "x + y is y + x." Add(x, y) ordered => Add(y, x)
rule associates "(x + y) + z is x + (y + z)."
  Add(Add(x, y) ordered, z) ordered => Add(x, Add(y, z))
"""


def test_the_graph_stays_within_its_nodes(tmp_path: Path, saturated: Any) -> None:
    path = tmp_path / "laws.rules"
    path.write_text(LAWS)
    done = saturated(
        sum_of(12), f'saturate{{rules="{path}" nodes=300 extract="greedy"}}'
    )
    assert "saturation ended before its end: it had 300 nodes" in done.reasons
    assert done.after == done.before


def test_it_ends_within_its_seconds(tmp_path: Path, saturated: Any) -> None:
    path = tmp_path / "laws.rules"
    path.write_text(LAWS)
    start = time.process_time()
    spec = f'saturate{{rules="{path}" nodes=1000000 seconds=1}}'
    done = saturated(sum_of(30), spec)
    # Time of this process: others may hold it up.
    assert time.process_time() - start < 4
    assert "saturation ended before its end: its seconds were spent" in done.reasons
    assert done.after == done.before


def test_all_sums_are_there(tmp_path: Path) -> None:
    """
    Of n summands under both laws: the ways to split every subset, 3^n - 2^(n+1) + 1.

    That is counted without any e-graph.
    """
    path = tmp_path / "laws.rules"
    path.write_text(LAWS)
    context = make_context()
    module = Parser(context, sum_of(5)).parse_module()
    (function,) = module.ops
    assert isinstance(function, FuncOp)
    region = Region(function, context.store)
    rules, end = load_rules(path).rules, time.monotonic() + 600
    ended = Saturation(region.graph, rules, Journal(), 10_000, end).run()
    assert ended is None
    assert len(region.graph) == 3**5 - 2**6 + 1


# --- what it leaves behind ---


def test_names_and_nodes_are_kept(rewritten: Any) -> None:
    done = rewritten(TEXTS["factors"], "saturate")
    made = [op for op in done.model.module.walk() if isinstance(op, OnnxOp)]
    # The imported text has no node names: outputs stand for them.
    named = {name for op in made for name in tensor_names(op)}
    assert "y" in named
    assert all(node_names(op) for op in made if op.name != "onnx.Constant")


def test_weights_that_are_used_are_kept(saturated: Any) -> None:
    """A constant that a rule computes is in the store, and what is not used is not."""
    many = ", ".join(str(float(i)) for i in range(1, 33))
    text = f"""
        func.func @g(%x: tensor<32xf32>) -> tensor<32xf32> {{
          %c = onnx.Constant dense<[{many}]> : tensor<32xf32>
          %p = onnx.Add(%x, %c) : (tensor<32xf32>, tensor<32xf32>) -> tensor<32xf32>
          %y = onnx.Add(%p, %c) : (tensor<32xf32>, tensor<32xf32>) -> tensor<32xf32>
          func.return %y : tensor<32xf32>
        }}"""
    done = saturated(text)
    assert done.ops == ["Add"]
    (key,) = done.model.context.store
    np.testing.assert_array_equal(
        done.model.context.store[key].array(), 2 * np.arange(1, 33, dtype=np.float32)
    )


def test_a_limited_journal_keeps_the_function(mlp_proto: Any) -> None:
    model = load(mlp_proto)
    before = str(model.module)
    model.context.journal = Journal(limit=0)
    SaturatePass().apply(model.context, model.module)
    assert str(model.module) == before


def test_spared_nodes_are_no_beginning(saturated: Any) -> None:
    text = ORDER.replace(
        "%s = onnx.Add(%x, %x) : (tensor<64xf32>, tensor<64xf32>) -> tensor<64xf32>",
        "%s = onnx.Neg(%x) : (tensor<64xf32>) -> tensor<64xf32>",
    )
    text = text.replace(
        "onnx.Sub(%s, %x) : (tensor<64xf32>, tensor<64xf32>)",
        "onnx.Neg(%s) : (tensor<64xf32>)",
    )
    text = text.replace(
        "-> tensor<64xf32>\n      func", '-> tensor<64xf32> loc("last")\n      func'
    )
    assert saturated(text).ops == []
    spared = saturated(text, 'spare{nodes="last" passes="saturate"}')
    assert spared.ops == ["Neg", "Neg"]


# --- refusals ---


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('extract="best"', "saturate: found extract 'best', wanted ilp or greedy"),
        ('rules="no-such"', "saturate: found rule 'no-such', wanted a path to a file "),
        ("nodes=0", "saturate: found nodes 0, wanted more than 0"),
        ("seconds=0", "saturate: found seconds 0, wanted more than 0"),
        ("size=-1", "saturate: found size -1, wanted more than 0"),
    ],
)
def test_options_that_say_nothing(options: str, reason: str, mlp_proto: Any) -> None:
    with pytest.raises(SardonyxError, match=reason):
        run_pipeline(load(mlp_proto), f"saturate{{{options}}}")


def test_rules_by_name(saturated: Any) -> None:
    text = ORDER.replace("onnx.Sub(%s, %x)", "onnx.Mul(%s, %x)")
    assert saturated(text, 'saturate{rules="factor,add-zero"}').patterns == []
    chosen = SaturatePass(rules=("factor, add-zero",)).chosen()
    assert [rule.name for rule in chosen] == ["factor", "add-zero"]
    whole = {rule.name for rule in SaturatePass().chosen()}
    assert {"factor", "add-zero", "products-left"} <= whole


def test_both_extractions_are_in_the_space() -> None:
    space = SaturatePass.schedule_space(Context(), ModuleOp([]))
    assert [one.extract for one in space] == list(EXTRACTIONS)
    for one in space:
        assert parse_pipeline(str(one.pipeline_pass_spec())) == (one,)

"""Meshes, shardings, per-device programs: their text, and what is refused."""

import pytest
from sardonyx.compiler.context import make_context
from sardonyx.dialects.sdy import Mesh, Sharding
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

BODY = """
  sdy.mesh @mesh = <["x"=2, "y"=4]>
  func.func @main(%a : tensor<8x16xf32>) -> tensor<8x16xf32> {{
    %r = sdy.manual_computation(%a) in_shardings=[<@mesh, [{{"x"}}, {{}}]>]
         out_shardings=[<@mesh, [{{"x"}}, {{}}]>] {{
    ^bb0(%p : tensor<4x16xf32>):
{ops}
      sdy.return %q : {kind}
    }} : (tensor<8x16xf32>) -> tensor<8x16xf32>
    func.return %r : tensor<8x16xf32>
  }}
"""

OPS = """\
      %s = sdy.all_slice [{}, {"y"}] %p : (tensor<4x16xf32>) -> tensor<4x4xf32>
      %t = sdy.all_to_all [{"y"}: 1->0] %s : (tensor<4x4xf32>) -> tensor<1x16xf32>
      %g = sdy.all_gather [{"y"}, {}] %t : (tensor<1x16xf32>) -> tensor<4x16xf32>
      %d = sdy.reduce_scatter [{}, {"y"}] %g : (tensor<4x16xf32>) -> tensor<4x4xf32>
      %h = sdy.all_gather [{}, {"y"}] %d : (tensor<4x4xf32>) -> tensor<4x16xf32>
      %q = sdy.all_reduce {"x", "y"} %h : (tensor<4x16xf32>) -> tensor<4x16xf32>"""


def module(ops: str = OPS, kind: str = "tensor<4x16xf32>") -> ModuleOp:
    text = BODY.format(ops=ops, kind=kind)
    return Parser(make_context(), "builtin.module {" + text + "}").parse_module()


def test_text_round_trips() -> None:
    first = module()
    first.verify()
    again = Parser(make_context(), str(first)).parse_module()
    again.verify()
    assert str(again) == str(first)
    assert 'sdy.all_to_all [{"y"}: 1->0]' in str(first)


@pytest.mark.parametrize(
    "text",
    [
        '#sdy.mesh<["x"=2, "y"=4]>',
        '#sdy.sharding<@mesh, [{"x"}, {"y", ?}]>',
        '#sdy.sharding<@mesh, [{?}, {}p1], replicated={"z"}, unreduced={"w"}>',
        '#sdy.sharding_per_value<[<@mesh, [{"x", "y"}]>]>',
        '#sdy.axis_lists<[{}, {"x"}]>',
    ],
)
def test_attributes_round_trip(text: str) -> None:
    attribute = Parser(make_context(), text).parse_attribute()
    assert str(attribute) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('#sdy.mesh<["x"=2, "x"=4]>', "wanted each once"),
        ('#sdy.mesh<["x"=0]>', "wanted sizes of 1 or more"),
        ('#sdy.mesh<["x"=4096, "y"=2]>', "found 8192 devices, wanted at most 4096"),
        ('#sdy.sharding<@mesh, [{?, "x"}]>', "at the end only"),
    ],
)
def test_attributes_refuse(text: str, message: str) -> None:
    with pytest.raises((ParseError, VerifyException), match=message):
        Parser(make_context(), text).parse_attribute()


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (
            '%q = sdy.all_reduce {"z"} %p : (tensor<4x16xf32>) -> tensor<4x16xf32>',
            "found axis 'z', wanted one of",
        ),
        (
            '%q = sdy.all_gather [{"y"}, {}] %p : (tensor<4x16xf32>) '
            "-> tensor<4x16xf32>",
            "wanted tensor<16x16xf32>",
        ),
        (
            '%q = sdy.all_gather [{"y"}] %p : (tensor<4x16xf32>) -> tensor<4x16xf32>',
            "found 1 lists of axes for a tensor of rank 2",
        ),
        (
            '%q = sdy.all_to_all [{"y"}: 1->1] %p : (tensor<4x16xf32>) '
            "-> tensor<4x16xf32>",
            "found dimensions 1->1",
        ),
    ],
)
def test_collectives_refuse(ops: str, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        module(ops).verify()


def test_a_part_of_another_size_is_refused() -> None:
    ops = '%q = sdy.all_slice [{}, {"y"}] %p : (tensor<4x16xf32>) -> tensor<4x4xf32>'
    with pytest.raises(VerifyException, match="result 0: found tensor<4x4xf32>"):
        module(ops, "tensor<4x4xf32>").verify()


def test_groups_differ_along_their_axes_only() -> None:
    mesh = Mesh((("x", 2), ("y", 3)))
    assert mesh.groups(["y"]) == [[0, 1, 2], [3, 4, 5]]
    assert mesh.groups(["x"]) == [[0, 3], [1, 4], [2, 5]]
    # The first axis is the slowest: parts along ("y", "x") count x fastest.
    assert mesh.groups(["y", "x"]) == [[0, 3, 1, 4, 2, 5]]


def test_sizes_must_divide() -> None:
    mesh = Mesh((("x", 2),))
    assert Sharding.of("mesh", [("x",)]).problem(mesh, (6,)) is None
    assert "multiple of 2" in str(Sharding.of("mesh", [("x",)]).problem(mesh, (5,)))

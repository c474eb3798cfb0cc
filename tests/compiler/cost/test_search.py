"""The space of pipelines, and the search among them on what a model says."""

import time

import pytest
from onnx import parser
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.cost.roofline import Prediction
from sardonyx.compiler.cost.search import before_lowering, search, space_of
from sardonyx.compiler.pipelines import LOWERING, PIPELINES, parse_pipeline, spec_of

NET = """<ir_version: 10, opset_import: ["": 21]>
g (float[8,32] x) => (float[8,16] u, float[8,16] v)
<float[32,16] p = {P}, float[32,16] q = {Q}, float[16] b = {B}>
{
  a = MatMul(x, p)
  c = MatMul(x, q)
  d = Add(a, b)
  u = Relu(d)
  s = Sigmoid(c)
  v = Mul(c, s)
}"""


def values(count: int) -> str:
    return ", ".join(f"{0.01 * (n % 17):.2f}" for n in range(count))


@pytest.fixture(name="model", scope="module")
def model_fixture():
    text = NET.replace("{P}", "{" + values(512) + "}")
    text = text.replace("{Q}", "{" + values(512)[::-1].replace("00.", "0.") + "}")
    return import_model(parser.parse_model(text.replace("{B}", "{" + values(16) + "}")))


def seconds(value: float) -> Prediction:
    return Prediction(value, value, value, value)


def test_the_default_is_o2(model) -> None:
    space = space_of(model, "numpy")
    made = space.build((0,) * len(space.units))
    assert parse_pipeline(made.spec) == parse_pipeline(spec_of("O2", "numpy"))
    assert space.told(made.choice) == "as -O2"


def test_o3_s_passes_are_alternatives(model) -> None:
    space = space_of(model, "numpy")
    names = [unit.name for unit in space.units]
    # The products of x may be merged; -O2 does not.
    assert names[0] == "merge-products"
    choice = tuple(int(unit.name == "merge-products") for unit in space.units)
    assert "merge-products" in space.build(choice).spec
    assert space.told(choice) == "with merge-products"
    # It stands where -O3 has it.
    wanted = [one for one in PIPELINES["O3"] if one != "simplify-algebra"]
    assert space.build(choice).spec.startswith(",".join(wanted))


def test_every_candidate_runs_and_differs(model) -> None:
    space = space_of(model, "numpy")
    found = list(space.candidates(list(space.choices(8))))
    assert 2 <= len(found) <= 8
    assert len({one.code for one in found}) == len(found)
    assert not any(found[0].choice)
    wanted = found[0].executable.random_inputs()
    results = [one.executable(**wanted) for one in found]
    for result in results:
        for ours, first in zip(result, results[0], strict=True):
            assert abs(ours - first).max() < 1e-5
    for one in found:
        assert compile_model(model, "numpy", one.spec).source == one.executable.source


def test_options_of_a_pass_are_alternatives(model) -> None:
    space = space_of(model, "numpy")
    (unit,) = (unit for unit in space.units if unit.name == "fuse-regions")
    assert unit.labels[1] == "without fuse-regions"
    assert any("chains=false" in label for label in unit.labels)


@pytest.mark.parametrize("backend", LOWERING)
def test_options_are_for_the_backend_that_is_tuned(backend: str) -> None:
    text = """<ir_version: 9, opset_import: ["": 18]>
    t (float[1,64,300] x) => (float[1,64,174] y)
    { n = Constant<value_ints: ints = [64, 1, 127]>()
      w = ConstantOfShape<value = float[1] {0.5}>(n) y = Conv<group = 64>(x, w) }"""
    space = space_of(import_model(parser.parse_model(text)), backend)
    (unit,) = (unit for unit in space.units if unit.name == "convolve-by-spectra")
    assert unit.labels == ("", "without convolve-by-spectra")


def test_the_search_finds_the_least_and_stops(model) -> None:
    space = space_of(model, "numpy")
    asked: list[str] = []

    def fewest(program) -> Prediction:
        # As if every pass took time.
        asked.append(program.pipeline)
        return seconds(float(len(parse_pipeline(program.pipeline))))

    found = search(space, fewest, time.perf_counter() + 60)
    assert [one.seconds for one in found] == sorted(one.seconds for one in found)
    left_out = [unit for unit in space.units if unit.name != "merge-products"]
    default = len(parse_pipeline(spec_of("O2", "numpy")))
    inside = [unit for unit in left_out if unit.name in PIPELINES["O2"][-2]]
    assert found[0].seconds == default - (len(left_out) - len(inside))
    assert len(set(asked)) == len(asked)


def test_without_time_there_is_the_default(model) -> None:
    space = space_of(model, "numpy")
    found = search(space, lambda program: seconds(1.0), time.perf_counter() - 1)
    assert [one.choice for one in found] == [(0,) * len(space.units)]


def test_what_runs_before_lowering(model) -> None:
    unit = before_lowering("numpy", "weights", {"4 bits": "quantize-weights{bits=4}"})
    space = space_of(model, "numpy", more=[unit])
    spec = space.build((1, *(0 for _ in space.units[1:]))).spec
    names = [one.name for one in parse_pipeline(spec)]
    (first, *_) = parse_pipeline(LOWERING["numpy"][0])
    assert names.index("quantize-weights") == names.index(first.name) - 1


def test_shapes_may_be_spared(model) -> None:
    space = space_of(model, "jax", in_part=True)
    # One shape alone is the pass itself.
    assert all(": " not in unit.name for unit in space.units)

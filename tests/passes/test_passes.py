"""The phone book of passes: names, documentation, specs and schedule spaces."""

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from sardonyx import passes
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import (
    PIPELINES,
    PassError,
    PipelineError,
    all_passes,
    parse_pipeline,
    run_pipeline,
    spec_of,
)
from sardonyx.dialects.errors import SardonyxError
from sardonyx.passes import get_all_passes
from xdsl.passes import ModulePass, PassPipeline

NAMES = sorted(get_all_passes())
SPECS = [
    'fixpoint{passes="cse,dce" max-rounds=3}',
    "assign-layout",
    "block-shuffles",
    "fold-constants",
    "infer-types",
    "fold-constants{max_growth=8}",
    "remove-identities",
    "fold-affine",
    "fold-batch-norm",
    "fuse-activations",
    "fuse-attention",
    "fuse-gelu",
    "fuse-gelu{swiglu=true}",
    "fuse-gemm",
    "fuse-layer-norm",
    "fuse-pads",
    "fuse-qdq",
    "gptq",
    'gptq{calibration="a b.npz" bits=2 group=64 symmetric=true damping=0.05}',
    "prune",
    'prune{method="wanda" pattern="2:4-shared" calibration="c.npz" exclude="a","b c"}',
    'prune{pattern="block" sparsity=0.75 group=64 run=8}',
    "regroup-outputs",
    'regroup-outputs{pattern="block" sparsity=0.3 written=false only="a"}',
    "convolve-by-spectra",
    'convolve-by-spectra{backend="jax" target="two-engines" max_bytes=100}',
    "depth-first",
    'depth-first{target="two-engines" cache_bytes=100 tile_bytes=50}',
    "encode-sparse",
    'encode-sparse{goal="bytes" rows=1 backend="jax" target="two-engines"}',
    "llm-int8",
    'llm-int8{calibration="c.npz" threshold=20.0 limit=0.05}',
    "smooth-quant",
    'smooth-quant{calibration="c.npz" strength=0.8 written=false}',
    "split-quant",
    "split-quant{bits=2 clusters=2}",
    "quantize-dynamic",
    'quantize-dynamic{per="row" per_channel=false exclude="a","b c"}',
    "quantize-static",
    'quantize-static{calibration="c.npz" method="percentile" percent=99.9 only="a"}',
    "quantize-weights",
    "quantize-weights{bits=8 group=128 symmetric=true least_error=true}",
    "fuse-regions",
    "fuse-regions{products=true chains=false max_ops=4}",
    "inline-regions",
    "fuse-rotary",
    "fuse-softmax",
    "merge-products",
    "inline-control-flow",
    "inline-control-flow{max_ops=0}",
    "merge-constants",
    "plan-memory",
    "pool-early",
    "reorder",
    "reorder{states=100}",
    "reorder{states=300 largest=512}",
    "remove-neutral",
    "saturate",
    'saturate{rules="algebra","factor" nodes=50 seconds=1 extract="greedy" size=4}',
    "simplify-reductions",
    "simplify-shapes",
    "simplify-slices",
    "simplify-transposes",
    "simplify-views",
    "partition",
    "propagate-shardings",
    "shard-data{size=2}",
    'shard-data{size=2 axis="batch"}',
    "shard-sequence{size=4}",
    "shard-tensor{size=8}",
    'shard-values{values="a=x,_" mesh="x=2"}',
    "split-concats",
    "split-products",
    'spare{nodes="a","b c" passes="cse,dce"}',
    "expand-functions",
    'expand-functions{ops="Mish"}',
    'expand-functions{ops="Mish","Celu"}',
    'simplify-algebra{only="add-zero,mul-one"}',
    'specialize-dims{dims="batch=1"}',
    'specialize-dims{dims="batch=1","a b=2"}',
]


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_is_where_its_name_says(name: str) -> None:
    chosen = get_all_passes()[name]()
    module = sys.modules[chosen.__module__]
    words = name.split("-")
    assert chosen.name == name
    assert Path(module.__file__ or "").stem == "_".join(words)
    assert chosen.__name__ == "".join(word.title() for word in words) + "Pass"
    assert issubclass(chosen, ModulePass)
    assert all_passes()[name]() is chosen


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_shows_before_and_after(name: str) -> None:
    chosen = get_all_passes()[name]()
    shown = sys.modules[chosen.__module__].__doc__ or ""
    assert "->" in shown
    assert shown.strip().splitlines()[0].endswith((".", ":"))
    assert (chosen.__doc__ or "").strip()


def test_the_phone_book_is_complete() -> None:
    folder = Path(passes.__file__ or "").parent
    files = {
        path.stem
        for path in folder.rglob("*.py")
        if re.search(r"^class \w+Pass\(", path.read_text(encoding="utf-8"), re.M)
        and path.parent.name != "rules"
    }
    assert files == {name.replace("-", "_") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_is_frozen(name: str) -> None:
    made = get_all_passes()[name]()()
    fields = dataclasses.fields(made)
    assert hash(made) == hash(type(made)())
    for field in fields:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, None)


@pytest.mark.parametrize("spec", SPECS)
def test_specs_round_trip(spec: str) -> None:
    (made,) = parse_pipeline(spec)
    written = str(made.pipeline_pass_spec())
    assert parse_pipeline(written) == (made,)
    everything = str(made.pipeline_pass_spec(include_default=True))
    assert parse_pipeline(everything) == (made,)


def test_specs_cover_every_pass() -> None:
    assert {spec.partition("{")[0] for spec in SPECS} == set(NAMES)


@pytest.mark.parametrize("level", PIPELINES)
def test_levels_are_specs(level: str) -> None:
    made = parse_pipeline(spec_of(level))
    assert [p.name for p in made] == [s.partition("{")[0] for s in PIPELINES[level]]
    assert ",".join(str(p.pipeline_pass_spec()) for p in made) == spec_of(level)
    assert PassPipeline(made) is not None


@pytest.mark.parametrize("name", NAMES)
def test_the_schedule_space_is_finite_and_runs(name: str, random_model: Any) -> None:
    model = load(random_model(0)[0])
    space = get_all_passes()[name]().schedule_space(model.context, model.module)
    assert isinstance(space, tuple)
    assert len(set(space)) == len(space) <= 8
    for choice in space:
        assert isinstance(choice, get_all_passes()[name]())
        assert parse_pipeline(str(choice.pipeline_pass_spec())) == (choice,)
        run_pipeline(model.clone(), str(choice.pipeline_pass_spec()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fold-constant", "pipeline 'fold-constant'.*fold-constant"),
        ("fold-constants{growth=1}", "growth"),
        ("fold-constants{max_growth=", "pipeline 'fold-constants{max_growth='"),
        ('fold-constants{max_growth="x"}', "max_growth"),
        ("cse,,dce", "pipeline 'cse,,dce'"),
    ],
)
def test_refused_specs(spec: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        parse_pipeline(spec)
    assert len(str(caught.value).splitlines()) == 1


def test_passes_that_ran_are_told(random_model: Any) -> None:
    model = load(random_model(0)[0])
    runs = run_pipeline(model, 'remove-identities,specialize-dims{dims="rows=3"}')
    assert [r.spec for r in runs] == [
        "remove-identities",
        'specialize-dims{dims="rows=3"}',
    ]
    assert runs[0].ops_after < runs[0].ops_before == runs[0].ops_after + removed(runs)
    assert runs[1].ops_before == runs[1].ops_after
    assert all(r.seconds >= 0 for r in runs)


def removed(runs: Any) -> int:
    return runs[0].ops_before - runs[1].ops_before


def test_a_pass_that_breaks_the_module_is_our_error(random_model: Any) -> None:
    model = load(random_model(0)[0])
    model.main.body.block.last_op.detach()
    with pytest.raises(PassError, match="pass cse left a module that"):
        run_pipeline(model, "cse")


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ("btach=1", "found dimension 'btach', wanted batch, rows"),
        ("=1", "found dimension '=1', wanted NAME=SIZE"),
        ("batch=x", "found dimension 'batch=x', wanted NAME=SIZE"),
        ("batch=-1", "found dimension 'batch=-1', wanted NAME=SIZE"),
    ],
)
def test_refused_dimensions(dims: str, message: str, random_model: Any) -> None:
    model = load(random_model(0)[0])
    with pytest.raises((SardonyxError, ValueError), match=message):
        run_pipeline(model, f'specialize-dims{{dims="{dims}"}}')

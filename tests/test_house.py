"""The house's rules: which way imports point, what is confined, what is generated."""

import ast
import itertools
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

# ARCHITECTURE: dialects <- backends/kernels <- passes, backends/numpy, backends/jax
# <- compiler. What stands beside kernels in backends/ is what the emitters share.
MAY_IMPORT = {
    "dialects": set(),
    "backends/kernels": {"dialects"},
    "backends": {"dialects", "backends/kernels"},
    "backends/numpy": {"dialects", "backends/kernels", "backends"},
    "backends/jax": {"dialects", "backends/kernels", "backends"},
    "passes": {"dialects", "backends/kernels"},
    "compiler": {"dialects", "backends/kernels", "backends", "passes"},
}

# Where each heavy or leaky import may stand.
CONFINED = {
    "onnx": (
        "dialects/onnx/",
        "compiler/importer/",
        "compiler/exporter/",
        # The oracles run the user's file as it is; the demo writes one; the driver
        # takes a ModelProto as an argument.
        "compiler/oracle.py",
        "compiler/bench/contenders.py",
        "compiler/demo.py",
        "compiler/driver.py",
        "compiler/verify.py",
        # Compiled models behind onnx's own interface.
        "compiler/onnx_backend.py",
    ),
    "jax": ("backends/jax/",),
    "onnxruntime": ("compiler/oracle.py", "compiler/bench/contenders.py"),
    "openvino": ("compiler/bench/contenders.py",),
}


def sources() -> list[Path]:
    folders = ("backends", "compiler", "dialects", "passes")
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def place(path: Path) -> str:
    """The part of the house that a file is in."""
    relative = path.relative_to(ROOT).as_posix()
    return max((p for p in MAY_IMPORT if relative.startswith(f"{p}/")), key=len)


def imported(path: Path) -> list[tuple[str, Path | None]]:
    """What a file imports: the top-level name, or the file within the house."""
    found: list[tuple[str, Path | None]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name.partition(".")[0], None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(((node.module or "").partition(".")[0], None))
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1]
            base = base.joinpath(*(node.module or "").split("."))
            found += [("", base / alias.name) for alias in node.names]
    return found


def forbidden(path: Path) -> list[str]:
    here = place(path)
    wrong = []
    for name, target in imported(path):
        if target is not None:
            there = place(target / "x") if target.is_relative_to(ROOT) else "outside"
            if there != here and there not in MAY_IMPORT[here]:
                wrong.append(f"{path.relative_to(ROOT)} imports {there}")
        allowed = CONFINED.get(name)
        relative = path.relative_to(ROOT).as_posix()
        if allowed is not None and not relative.startswith(allowed):
            wrong.append(f"{relative} imports {name}")
    return wrong


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path):
    assert forbidden(path) == []


def test_a_wrong_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    wrong = tmp_path / "dialects" / "onnx" / "wrong.py"
    wrong.parent.mkdir(parents=True)
    wrong.write_text("from ...compiler import driver\nimport jax\n")
    assert forbidden(wrong) == [
        "dialects/onnx/wrong.py imports compiler",
        "dialects/onnx/wrong.py imports jax",
    ]


def test_every_package_is_installed():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(config["tool"]["setuptools"]["packages"])
    found = {
        "sardonyx." + ".".join(path.parent.relative_to(ROOT).parts)
        for path in sources()
        if path.name == "__init__.py"
    }
    # Which has data alone.
    assert listed == found | {"sardonyx.targets"}


def test_everything_installed_has_its_version():
    """A release of another project reaches our tests when we say so: `make upgrade`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        canonicalize_name(requirement.name)
        for text in (
            *project["dependencies"],
            *itertools.chain(*project["optional-dependencies"].values()),
        )
        for requirement in [Requirement(text)]
    }
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines)
    assert wanted <= {canonicalize_name(name) for name in pinned}


@pytest.mark.parametrize("folder", ["backends", "compiler", "dialects", "passes"])
def test_types_are_declared(folder: str):
    assert (ROOT / folder / "py.typed").exists()


@pytest.mark.parametrize("module", ["sardonyx.compiler", "sardonyx.compiler.cli"])
def test_import_is_light(module: str):
    probe = (
        f"import sys, {module}; print(*({{'jax', 'onnxruntime'}} & {{*sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""


def test_the_stub_is_current():
    from sardonyx.dialects.onnx.stub import stub

    written = (ROOT / "dialects" / "onnx" / "ops.pyi").read_text()
    assert written == stub(), "run `make stub`"


def test_passes_and_dialects_do_not_clash_with_xdsl():
    """
    xDSL raises when two universes name the same thing; then its own tools break too.
    """
    from xdsl.universe import Universe

    multiverse = Universe.get_multiverse()
    assert "fold-constants" in multiverse.all_passes
    assert "onnx" in multiverse.all_dialects


def test_every_kernel_is_of_an_operator():
    from sardonyx.backends.jax import TABLE as jax_table
    from sardonyx.backends.numpy import TABLE as numpy_table
    from sardonyx.dialects import fourier, nhwc, sparse
    from sardonyx.dialects.onnx.ops import OPS

    extensions = (*fourier.OPS, *nhwc.OPS, *sparse.OPS)
    assert {*jax_table, *numpy_table} <= {*OPS, *extensions}


def test_no_vague_names():
    vague = ("utils", "helpers", "common", "manager", "misc")
    assert [p for p in sources() if p.stem in vague] == []

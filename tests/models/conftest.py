"""
Real models: those beside the project, if it has any, and onnx's nine classifiers.

The classifiers' architectures come with the installed onnx package; their weights are
drawn (the shipped ones make every output constant). Without the folder of shared models
the tests of those are not collected, and the summary of the run says so.
"""

import fcntl
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
from sardonyx.compiler.demo import seeded_model

SHARED = Path(__file__).parents[3] / "shared" / "models"
LIGHT = Path(find_spec("onnx").origin).parent / "backend" / "test" / "data" / "light"
CLASSIFIERS = sorted(p.stem.removeprefix("light_") for p in LIGHT.glob("*.onnx"))
TRAINED = sorted(path.stem for path in SHARED.glob("*.onnx"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", [*TRAINED, *CLASSIFIERS])


@pytest.fixture(scope="session", name="path_of")
def path_of_fixture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a model by its name; classifiers are written once for all workers."""
    folder = tmp_path_factory.getbasetemp().parent / "classifiers"

    def path_of(model: str) -> Path:
        if model in TRAINED:
            return SHARED / f"{model}.onnx"
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "complete").exists():
                write_classifiers(folder)
                (folder / "complete").touch()
        return folder / f"{model}.onnx"

    return path_of


def write_classifiers(folder: Path) -> None:
    maker = SHARED / "make_light.py"
    if maker.exists():
        subprocess.run([sys.executable, maker, folder], check=True, capture_output=True)
        return
    for name in CLASSIFIERS:
        proto = seeded_model(onnx.load(LIGHT / f"light_{name}.onnx"), seed=0)
        onnx.save(proto, folder / f"{name}.onnx")


# What `pip install numpy ml_dtypes`, and `pip install jax`, bring.
NEEDED = {
    "numpy": ("numpy", "ml_dtypes"),
    "jax": ("jax", "jaxlib", "numpy", "ml_dtypes", "scipy", "opt_einsum"),
}


@pytest.fixture(scope="session", name="run_alone")
def run_alone_fixture(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Path, str], str]:
    """
    ``run_alone(backend, folder, code)``: run code in an interpreter that sees nothing
    but the standard library, the backend's packages, and `folder`.
    """
    visible = {backend: tmp_path_factory.mktemp(backend) for backend in NEEDED}
    for backend, packages in NEEDED.items():
        for package in packages:
            link_package(package, visible[backend])

    def run_alone(backend: str, folder: Path, code: str) -> str:
        preamble = (
            f"import sys; sys.path[:0] = [{str(visible[backend])!r}, {str(folder)!r}]\n"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", preamble + code],
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_alone


def link_package(package: str, folder: Path) -> None:
    files = metadata.files(package) or []
    tops = {file.parts[0] for file in files if file.parts[0] not in ("..", "bin")}
    for top in tops:
        source = Path(str(metadata.distribution(package).locate_file(top)))
        if source.exists() and not (folder / top).exists():
            (folder / top).symlink_to(source)

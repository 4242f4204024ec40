"""What is installed: five import packages, one distribution, no tests."""

import importlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.tidy.source import PACKAGES, ROOT, files, nothing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from a copy of the tree, by the installed build backend, without a network."""
    copy = tmp_path_factory.mktemp("source")
    for path in files():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy / path)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(copy)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    with zipfile.ZipFile(next(copy.glob("*.whl"))) as archive:
        return archive.namelist()


def test_wheel_holds_the_five_packages(wheel: list[str]) -> None:
    """Top-level names in the wheel are the five packages and the metadata; tests and benchmarks stay out."""
    tops = {name.split("/")[0] for name in wheel}

    assert set(PACKAGES) == {top for top in tops if not top.endswith(".dist-info")}


def test_wheel_holds_every_module(wheel: list[str]) -> None:
    """No Python file of the product is left out, and each package brings its type marker."""
    product = {path.as_posix() for path in files(".py") if path.parts[0] in PACKAGES}

    nothing((product | {f"{name}/py.typed" for name in PACKAGES}) - set(wheel))


def test_five_packages_come_from_one_distribution() -> None:
    """Nothing else in this environment provides `storage`, `consensus`, `p2p` or `genesis`."""
    providers = packages_distributions()
    assert {name: ["cccnode"] for name in PACKAGES} == {name: sorted(set(providers.get(name, []))) for name in PACKAGES}

    places = {Path(str(importlib.import_module(name).__file__)).parents[1] for name in PACKAGES}
    assert 1 == len(places)


_HEADER = Path(sysconfig.get_path("include")) / "Python.h"


@pytest.mark.skipif(not _HEADER.exists() or shutil.which("gcc") is None, reason="no gcc, or no Python.h (python3-dev)")
def test_the_kernel_is_built_where_it_can_be() -> None:
    """The extension is optional, so a mistake in it would only show as a slow node."""
    importlib.import_module("cccnode.crypto._kernel")

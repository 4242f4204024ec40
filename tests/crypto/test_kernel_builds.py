"""The functions on hashes and trees in builds that watch memory and arithmetic: every test of them, run again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crypto.test_native_builds import build
from tests.tidy.source import ROOT

pytestmark = [pytest.mark.long, pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")]

TESTS = (
    "tests/crypto/test_kernel.py",
    "tests/crypto/test_merkle.py",
    "tests/ledger/test_cells.py",
    "tests/ledger/test_ids.py",
    "tests/ledger/test_window.py",
    "tests/ledger/test_opening.py",
    "tests/storage/test_state.py",
)
RUN = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("cccnode.crypto._kernel", sys.argv[1])
sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
import pytest
sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", "--timeout=600", *sys.argv[2:]]))
"""
"""Run tests with an extension from another place: (its path, the tests)."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sanitizer", ["address", "undefined"])
def test_sanitizers(tmp_path: Path, sanitizer: str) -> None:
    """Neither sanitizer finds anything in the whole of these tests."""
    short = {"address": "a", "undefined": "ub"}[sanitizer]
    find = ["gcc", f"-print-file-name=lib{short}san.so"]
    library = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
    extension = build(tmp_path, f"-fsanitize={sanitizer} -fno-sanitize-recover=all -g -O1")
    environment = {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    command = [sys.executable, "-c", RUN, str(extension), *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr

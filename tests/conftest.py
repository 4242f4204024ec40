"""What holds for every test: repeatable examples, whole networks one at a time, missing programs named."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "sample",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", parent=settings.get_profile("sample"), max_examples=2_000)
settings.load_profile("sample")  # `make long` passes --hypothesis-profile=long


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real networks of processes share ports and both cores: one xdist worker runs them all, one by one."""
    for item in items:
        if "end_to_end" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("end_to_end"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("curl")` is skipped by name without that program, and fails in .ci/run."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                text = f"{program} is not installed (see system-packages.txt)"
                if os.environ.get("CCCNODE_CI"):
                    pytest.fail(text)
                pytest.skip(text)

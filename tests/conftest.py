"""What holds for every test: repeatable examples, whole networks one at a time, missing programs named."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from cccnode.ledger import module
from cccnode.types.errors import Fault

NETWORKS = ("tests/end_to_end/", "tests/benchmarks/test_benchmarks.py")

settings.register_profile(
    "sample",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", parent=settings.get_profile("sample"), max_examples=2_000)
_FAILURES = module.FAILURES
module.FAILURES = (Fault,)  # A rule's mistake ends the test; a node would let the transaction fail and go on.
settings.load_profile("sample")  # `make long` passes --hypothesis-profile=long


class _OneNetworkAtATime(LoadScopeScheduling):
    """One worker runs all tests that start networks of processes; the others share out the rest, test by test.

    The marks of `--dist loadgroup` do nothing under pytest 9.2, whose items keep no id that xdist 3.8 could change.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "networks" if nodeid.startswith(NETWORKS) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Real networks share ports and both cores."""
    return _OneNetworkAtATime(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs("curl")` is skipped by name without that program, and fails in .ci/run."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                text = f"{program} is not installed (see system-packages.txt)"
                if os.environ.get("CCCNODE_CI"):
                    pytest.fail(text)
                pytest.skip(text)


@pytest.fixture
def forgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are carried out as in a node: a mistake fails its transaction."""
    monkeypatch.setattr(module, "FAILURES", _FAILURES)

"""The folder of a node: one process at a time, and named disk faults."""

import errno
import os
from pathlib import Path

import pytest

from cccnode.home import Home, HomeLock, disk_fault, lock_holder
from cccnode.types import errors
from cccnode.types.errors import Fault


def test_lock_keeps_others_out(tmp_path: Path) -> None:
    """A second taker is told who holds the home; after release it is free."""
    home = Home(tmp_path)
    with HomeLock.take(home):
        assert lock_holder(home) == os.getpid()
        with pytest.raises(Fault) as refused:
            HomeLock.take(home)
        assert refused.value.spec is errors.HOME_LOCKED
        assert refused.value.values["process"] == str(os.getpid())
    assert lock_holder(home) is None
    HomeLock.take(home).release()


def test_nobody_holds_a_missing_home(tmp_path: Path) -> None:
    """A home that does not exist is held by nobody."""
    assert lock_holder(Home(tmp_path / "none")) is None


def test_invalid_home(tmp_path: Path) -> None:
    """A home below a file cannot be locked, by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault) as refused:
        HomeLock.take(Home(tmp_path / "file"))
    assert refused.value.spec is errors.DISK_FAILED


@pytest.mark.parametrize(
    ("number", "spec"),
    [
        (errno.ENOSPC, errors.DISK_FULL),
        (errno.EDQUOT, errors.DISK_FULL),
        (errno.EROFS, errors.DISK_READ_ONLY),
        (errno.EACCES, errors.DISK_READ_ONLY),
        (errno.EIO, errors.DISK_FAILED),
    ],
)
def test_disk_faults_have_names(number: int, spec: errors.ErrorSpec) -> None:
    """Each way in which a disk refuses has its own error."""
    assert disk_fault(OSError(number, "no"), Path("x")).spec is spec


def test_paths(tmp_path: Path) -> None:
    """Files lie where the documentation says."""
    home = Home(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in (home.config_file, home.genesis_file, home.data)] == [
        "config.toml",
        "genesis.json",
        "data",
    ]
    assert home.account_key("alice").relative_to(tmp_path).as_posix() == "keys/accounts/alice.json"

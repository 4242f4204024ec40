"""The restart ceremony's file: read strictly, written as a whole, kept until it is withdrawn."""

from pathlib import Path

import pytest

from cccnode.codec import encode
from cccnode.home import Home
from cccnode.node.ceremony import (
    CERTIFICATE_BYTES_MAX,
    accepted,
    forget,
    given_up,
    promise,
    read_certificate,
    write_certificate,
)
from cccnode.node.data import UNUSED, open_data
from cccnode.types.errors import DISK_FAILED, RESTART_MALFORMED, RESTART_SIGNED, Fault
from cccnode.types.restart import Restart, RestartCertificate
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator
from storage.memory import MemoryDisk, MemoryEngine
from storage.store import Store

RECORD = EpochRecord(2, (Validator("rsu", b"k" * 32, (b"n" * 32,)),), Limits(), Timers(), ())
CERTIFICATE = RestartCertificate(
    restart=Restart(b"c" * 32, 7, b"b" * 32, b"s" * 32, b"r" * 32, RECORD), survivors=(None,), approvals=()
)


def test_written_and_read(tmp_path: Path) -> None:
    """What is written is what is read; a file half written never takes its place."""
    path = tmp_path / "deep" / "city.restart"
    write_certificate(path, CERTIFICATE)
    assert CERTIFICATE == read_certificate(path)
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("raw", [b"", b"no certificate", encode(CERTIFICATE)[:-1], bytes(CERTIFICATE_BYTES_MAX + 1)])
def test_malformed(tmp_path: Path, raw: bytes) -> None:
    """Anything else is refused by name, with the file."""
    path = tmp_path / "city.restart"
    path.write_bytes(raw)
    with pytest.raises(Fault) as refused:
        read_certificate(path)
    assert (refused.value.spec, refused.value.values["path"]) == (RESTART_MALFORMED, str(path))


def test_missing(tmp_path: Path) -> None:
    """A file that is not there is the disk's answer."""
    with pytest.raises(Fault) as refused:
        read_certificate(tmp_path / "none")
    assert refused.value.spec is DISK_FAILED


def test_accepted_until_forgotten(tmp_path: Path) -> None:
    """The node reads every certificate of its home; `forget` removes them."""
    home = Home(tmp_path)
    assert accepted(home).end_of(0) is None
    path = home.restarts / "7.restart"
    write_certificate(path, CERTIFICATE)
    assert (7, b"b" * 32) == accepted(home).end_of(0)
    assert accepted(home).end_of(2) is None

    assert [path] == forget(home)
    assert accepted(home).end_of(0) is None


def test_a_survivor_s_promise(tmp_path: Path) -> None:
    """Whoever signed opens no journal of the epoch that is given up, and the journals of others as ever."""
    home, disk = Home(tmp_path), MemoryDisk()
    assert given_up(home) is None
    promise(home, 0)
    disk.replace_file(UNUSED, b"")
    store = Store.open(disk, MemoryEngine(), chain=b"c" * 32, node_id=b"n" * 32, depth=4)

    opened = open_data(disk, store, given_up=given_up(home))

    assert RESTART_SIGNED.name == opened.open_journal(0).observe
    assert opened.open_journal(2).observe is None

"""The restart ceremony's file: read strictly, written as a whole, kept until it is withdrawn."""

import shutil
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from cccnode import keys
from cccnode.cli.testnet_files import Testnet, prepare
from cccnode.codec import encode
from cccnode.config import Config, load
from cccnode.crypto.verifying import verify
from cccnode.home import Home
from cccnode.node.ceremony import (
    CERTIFICATE_BYTES_MAX,
    accepted,
    consensus_keys,
    forget,
    given_up,
    promise,
    propose,
    read_certificate,
    sign,
    write_certificate,
)
from cccnode.node.data import open_data, read_home_genesis, unused_mark
from cccnode.types.block import FinalBlock
from cccnode.types.errors import (
    DISK_FAILED,
    NOT_SIGNING_JOURNAL_LOST,
    RESTART_MALFORMED,
    RESTART_PROMISE_DAMAGED,
    RESTART_REFUSED,
    RESTART_SIGNED,
    Fault,
)
from cccnode.types.restart import Restart, RestartCertificate, restart_bytes
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator
from storage.files import RealDisk
from storage.journal import Journal
from storage.leveldb import LevelDB
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


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no certificate",
        encode(CERTIFICATE)[:-1],
        bytes(CERTIFICATE_BYTES_MAX + 1),
        encode(replace(CERTIFICATE, survivors=())),
    ],
)
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
    disk.replace_file(unused_mark(b"k" * 32), b"")
    store = Store.open(disk, MemoryEngine(), chain=b"c" * 32, node_id=b"n" * 32, depth=4)

    opened = open_data(disk, store, given_up=given_up(home))

    assert [RESTART_SIGNED.name] * 2 == [opened.open_journal(epoch, b"k" * 32).observe for epoch in (0, 1)]
    assert opened.open_journal(2, b"k" * 32).observe is None
    promise(home, 4)
    promise(home, 3)
    assert 4 == given_up(home), "never taken back"
    assert ["given-up"] == [path.name for path in home.restarts.iterdir()], "written as a whole"


@pytest.mark.parametrize("raw", [b"", b"\xff\n", b"-1\n", b"epoch 3\n", "\u00b2\n".encode(), b"0\n7\n"])
def test_a_damaged_promise(tmp_path: Path, raw: bytes) -> None:
    """restart/PROMISE_DAMAGED with the file: whoever cannot read what it promised must not begin."""
    home = Home(tmp_path)
    promise(home, 3)
    (home.restarts / "given-up").write_bytes(raw)

    with pytest.raises(Fault) as refused:
        given_up(home)
    assert (refused.value.spec, refused.value.values["path"]) == (
        RESTART_PROMISE_DAMAGED,
        str(home.restarts / "given-up"),
    )


# On homes of a network whose nodes do not run


@pytest.fixture
def town(tmp_path: Path) -> Testnet:
    return prepare(Home(tmp_path / "town"), validators=4, seed=b"ceremony", time_ms=1)


def config_of(town: Testnet, index: int = 0) -> Config:
    return load(town.node(index).home, environment={}).config


def proposed(town: Testnet) -> RestartCertificate:
    return propose(config_of(town), frozenset({"org-00", "org-02"}))


def signed(town: Testnet, certificate: RestartCertificate, index: int = 0) -> RestartCertificate:
    config = config_of(town, index)
    return sign(config, certificate, consensus_keys(config, None))


def journal_of(town: Testnet, epoch: int, index: int = 0) -> str | None:
    """Why the node does not vote in an epoch; None: it does."""
    config = config_of(town, index)
    (key,) = consensus_keys(config, None)
    disk = RealDisk(config.home.data)
    voted = Journal.open(disk, "journal/0", 0)[0]
    voted.append(b"")
    voted.sync()
    disk.remove(unused_mark(key.public_key))
    found = open_data(disk, cast("Store", None), given_up=given_up(config.home)).open_journal(epoch, key.public_key)
    disk.close()
    return found.observe


def test_signing_begins_a_journal_once(town: Testnet) -> None:
    """The survivor gives up the old epoch and the one left out, and begins the new one's journal; nothing else does."""
    certificate = proposed(town)
    assert NOT_SIGNING_JOURNAL_LOST.name == journal_of(town, 2, index=2)
    done = signed(town, signed(town, certificate), index=2)

    message = restart_bytes(certificate.restart)
    for row, signature in zip(certificate.restart.record.validators, done.survivors, strict=True):
        assert verify(message, signature, row.consensus_key)
    assert [RESTART_SIGNED.name, RESTART_SIGNED.name, None] == [journal_of(town, epoch) for epoch in range(3)]
    assert signed(town, certificate) == signed(town, certificate), "again, as long as nothing was lost"


def test_a_survivor_that_lost_its_journal_after_signing(town: Testnet) -> None:
    """It may have voted in the new epoch: it signs no further time, and its journal stays lost."""
    certificate = proposed(town)
    done = signed(town, certificate)
    shutil.rmtree(town.node(0).home.data / "journal")

    with pytest.raises(Fault, match="lost its vote journal") as refused:
        signed(town, certificate)
    assert refused.value.spec is RESTART_REFUSED
    assert done == signed(town, done), "what is signed already is left as it is"
    assert NOT_SIGNING_JOURNAL_LOST.name == journal_of(town, 2)


def test_who_may_sign(town: Testnet) -> None:
    """A validator of the new epoch, over exactly the block where its data end; others found and promise nothing."""
    certificate = proposed(town)
    restart = certificate.restart
    elsewhere = replace(certificate, restart=replace(restart, state_root=bytes(32)))
    for other, index, words in ((certificate, 1, "no validator"), (elsewhere, 0, "stands elsewhere")):
        with pytest.raises(Fault, match=words) as refused:
            signed(town, other, index)
        assert refused.value.spec is RESTART_REFUSED
        assert given_up(town.node(index).home) is None
        assert NOT_SIGNING_JOURNAL_LOST.name == journal_of(town, 2, index)


def test_a_stored_block_that_is_not_executed(town: Testnet) -> None:
    """The process ended between the two: nobody proposes or signs below the newest final block that he holds."""
    certificate = proposed(town)
    home = town.node(0).home
    genesis = read_home_genesis(home.genesis_file)
    disk, engine = RealDisk(home.data), LevelDB(home.data / "state")
    node_id, depth = keys.read(home.first_node_key).public_key, genesis.document.state_depth
    store = Store.open(disk, engine, chain=genesis.chain, node_id=node_id, depth=depth)
    store.save_block(FinalBlock(replace(store.header(0), height=1), (), None, ()))
    engine.close()
    disk.close()

    for attempt in (lambda: proposed(town), lambda: signed(town, certificate)):
        with pytest.raises(Fault, match="start the node") as refused:
            attempt()
        assert refused.value.spec is RESTART_REFUSED
        assert (1, 0) == (refused.value.values["stored"], refused.value.values["executed"])
    assert given_up(home) is None

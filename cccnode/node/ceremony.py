"""The restart ceremony on one home, while its node does not run: what its data says, and what it accepts (J22)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cccnode import keys
from cccnode.city.registry.restart import restart_flaw
from cccnode.codec import DecodeError, decode, encode
from cccnode.config import Config
from cccnode.crypto.signing import SigningKey
from cccnode.driver.accepted import AcceptedRestarts
from cccnode.driver.epochs import Epoch, Identity, current_epoch
from cccnode.home import Home, HomeLock, disk_fault
from cccnode.keys import Role
from cccnode.ledger.state import Overlay
from cccnode.node.data import found_journal, has_journal, initialise, read_home_genesis
from cccnode.types.errors import RESTART_MALFORMED, RESTART_PROMISE_DAMAGED, RESTART_REFUSED, fault
from cccnode.types.restart import EPOCHS_SKIPPED, Restart, RestartCertificate, restart_bytes
from cccnode.types.validators import EpochRecord
from storage.files import Disk, RealDisk
from storage.leveldb import LevelDB
from storage.store import Applied, Store

CERTIFICATE_BYTES_MAX: Final = 4 * 1024 * 1024
_SUFFIX: Final = ".restart"
_PROMISE: Final = "given-up"


def read_certificate(path: Path) -> RestartCertificate:
    """A restart certificate from its file.

    Raises:
        Fault: restart/MALFORMED, or what the disk answers.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise disk_fault(error, path) from error
    if len(raw) > CERTIFICATE_BYTES_MAX:
        raise fault(RESTART_MALFORMED, path=str(path), bytes=len(raw), limit=CERTIFICATE_BYTES_MAX)
    try:
        certificate = decode(RestartCertificate, raw)
    except DecodeError as error:
        raise fault(RESTART_MALFORMED, path=str(path), reason=str(error)) from error
    if len(certificate.survivors) != len(certificate.restart.record.validators):
        raise fault(RESTART_MALFORMED, path=str(path), reason="not one place for each validator's signature")
    return certificate


def write_certificate(path: Path, certificate: RestartCertificate) -> None:
    """Write a certificate as a whole.

    Raises:
        Fault: what the disk answers.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(encode(certificate))
        temporary.replace(path)
    except OSError as error:
        raise disk_fault(error, path) from error


def accepted(home: Home) -> AcceptedRestarts:
    """What the operator of this home has accepted.

    Raises:
        Fault: restart/MALFORMED: a file there is damaged.
    """
    files = sorted(home.restarts.glob(f"*{_SUFFIX}")) if home.restarts.exists() else []
    return AcceptedRestarts(
        [read_certificate(path) for path in files],
        lambda state, current, certificate: restart_flaw(Overlay(state), current, certificate),
    )


def accept(config: Config, certificate: RestartCertificate) -> Path:
    """Check a certificate against this home's data as far as they reach, and keep it for the next start.

    Raises:
        Fault: consensus/RESTART_REFUSED, and what opening the data may raise.
    """
    restart = certificate.restart
    with _opened(config) as (_, store, epoch):
        applied = store.applied
        assert applied is not None, "the store is initialised"
        if restart.chain != read_home_genesis(config.home.genesis_file).chain:
            raise fault(RESTART_REFUSED, reason="it is for another chain", chain=restart.chain)
        if applied.height >= restart.height:
            # Below that height it is judged when this node gets there.
            AcceptedRestarts(
                [certificate], lambda state, current, found: restart_flaw(Overlay(state), current, found)
            ).due(store, epoch.record)
    path = config.home.restarts / f"{restart.height:020d}{_SUFFIX}"
    write_certificate(path, certificate)
    return path


def forget(home: Home) -> list[Path]:
    """Withdraw what was accepted and has not begun; what has begun stays in force."""
    files = sorted(home.restarts.glob(f"*{_SUFFIX}")) if home.restarts.exists() else []
    for path in files:
        path.unlink()
    return files


def propose(config: Config, keep: frozenset[str]) -> RestartCertificate:
    """A certificate without signatures: this home's newest block, and these organisations as validators.

    Raises:
        Fault: consensus/RESTART_REFUSED: one of them does not validate, or nobody would be left, or the newest block
            here is not executed.
    """
    with _opened(config) as (_, store, epoch):
        applied = _settled(store)
        validators = tuple(row for row in epoch.record.validators if row.organisation in keep)
        unknown = sorted(keep - {row.organisation for row in validators})
        if unknown or not validators:
            known = [row.organisation for row in epoch.record.validators]
            raise fault(RESTART_REFUSED, reason="no such validators in this epoch", unknown=unknown, validators=known)
        old = epoch.record
        record = EpochRecord(old.epoch + 1 + EPOCHS_SKIPPED, validators, old.limits, old.timers, old.features)
        restart = Restart(
            chain=read_home_genesis(config.home.genesis_file).chain,
            height=applied.height,
            block_id=applied.block_id,
            state_root=applied.state_root,
            results_root=applied.results.root(),
            record=record,
        )
    return RestartCertificate(restart=restart, survivors=(None,) * len(validators), approvals=())


def sign(config: Config, certificate: RestartCertificate, held: Sequence[SigningKey]) -> RestartCertificate:
    """The certificate with this survivor's signature: it has executed exactly the block that is named.

    The journal of the new epoch is founded here and nowhere else, once: whoever comes back later to the block that the
    new epoch starts from cannot know whether it voted after it.

    Raises:
        Fault: consensus/RESTART_REFUSED naming both heights (the newest survivor proposes, the others catch up first),
            that no validator has a key of this home, or that what was signed here before is lost.
    """
    restart = certificate.restart
    signers = {key.public_key: key for key in held}
    places = [at for at, row in enumerate(restart.record.validators) if row.consensus_key in signers]
    if not places:
        raise fault(RESTART_REFUSED, reason="no validator of the new epoch has this home's consensus key")
    index, key = places[0], signers[restart.record.validators[places[0]].consensus_key]
    if certificate.survivors[index] is not None:
        return certificate
    with _opened(config) as (disk, store, epoch):
        applied = _settled(store)
        ours = (applied.height, applied.block_id, applied.state_root, applied.results.root())
        if ours != (restart.height, restart.block_id, restart.state_root, restart.results_root):
            raise fault(
                RESTART_REFUSED, reason="this node stands elsewhere", certificate=restart.height, here=applied.height
            )
        old, new = epoch.record.epoch, restart.record.epoch
        before = given_up(config.home)
        if before is not None and before >= old and not has_journal(disk, new):
            raise fault(
                RESTART_REFUSED, reason="this home has signed before and lost its vote journal since", epoch=new
            )
        found_journal(disk, new)
        promise(config.home, old)
    survivors = list(certificate.survivors)
    survivors[index] = key.sign(restart_bytes(restart))
    return RestartCertificate(restart=restart, survivors=tuple(survivors), approvals=certificate.approvals)


def promise(home: Home, epoch: int) -> None:
    """A survivor that signs votes no more in the epoch that is given up: else that could go on beside the new one.

    Durable before the signature leaves this machine, and never taken back.
    """
    disk = RealDisk(home.restarts)
    disk.replace_file(_PROMISE, f"{max(epoch, given_up(home) or 0)}\n".encode("ascii"))
    disk.close()


def given_up(home: Home) -> int | None:
    """The epoch in which this home has promised not to vote, if there is one.

    Raises:
        Fault: restart/PROMISE_DAMAGED, or what the disk answers.
    """
    path = home.restarts / _PROMISE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error, path) from error
    if not raw.strip().isdigit():
        raise fault(RESTART_PROMISE_DAMAGED, path=str(path))
    return int(raw)


def consensus_keys(config: Config, passphrase: str | None) -> list[SigningKey]:
    """The consensus keys of a home."""
    return [keys.unlock(path, role=Role.VALIDATOR, passphrase=passphrase) for path in config.home.validator_keys]


def _settled(store: Store) -> Applied:
    """The newest block of this home: stored and executed.

    Raises:
        Fault: consensus/RESTART_REFUSED: the process ended between the two, so the newest final block is a later one.
    """
    applied, stored = store.applied, store.blocks.last or 0
    assert applied is not None, "the store is initialised"
    if stored > applied.height:
        reason = "the newest block here is stored and not executed: start the node, wait until it is, stop it again"
        raise fault(RESTART_REFUSED, reason=reason, stored=stored, executed=applied.height)
    return applied


@contextmanager
def _opened(config: Config) -> Iterator[tuple[Disk, Store, Epoch]]:
    """The data of a home whose node does not run."""
    home = config.home
    with HomeLock.take(home):
        genesis = read_home_genesis(home.genesis_file)
        public = keys.read(home.first_node_key).public_key
        disk = RealDisk(home.data)
        engine = LevelDB(home.data / "state")
        try:
            store = Store.open(
                disk,
                engine,
                chain=genesis.chain,
                node_id=public,
                depth=genesis.document.state_depth,
                cache_bytes=config.storage.cache_mb << 20,
            )
            header = initialise(store, genesis)
            yield disk, store, current_epoch(store, header, Identity(node_key=public, signers={}))
        finally:
            engine.close()
            disk.close()

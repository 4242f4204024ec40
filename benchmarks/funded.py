"""A funded city to measure on: accounts in a real store, and signed transfers between them."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cccnode.city.bank.messages import BankTransfer
from cccnode.crypto.signing import SigningKey
from cccnode.driver.epochs import read_record
from cccnode.node.data import initialise
from cccnode.types.block import Header
from cccnode.types.transaction import sign_transaction
from cccnode.types.validators import EpochRecord
from genesis.bootstrap import ASSET, make_demo
from genesis.document import Genesis
from p2p.directory import make_certificate
from storage.files import RealDisk
from storage.leveldb import LevelDB
from storage.store import Store

SEED: Final = b"benchmark"
FEE_MAX: Final = 1_000
"""What genesis asks for a transfer."""
LIFE_MS: Final = 290_000
"""Deadlines of transfers: a little less than the five minutes that are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """A chain at height 0 in a store of its own."""

    genesis: Genesis
    header: Header
    record: EpochRecord
    store: Store
    accounts: Sequence[bytes]
    """Ids of all funded accounts."""
    owners: Sequence[SigningKey]
    """Keys of the first of them."""


def signing_keys(count: int, seed: bytes = SEED) -> tuple[SigningKey, ...]:
    """The keys of the first `count` accounts of every network that is made from `seed`."""
    return make_demo(1, certify=make_certificate, accounts=count, seed=seed, time_ms=1).accounts


@contextmanager
def open_city(accounts: int, *, cache_mb: int, **genesis: Any) -> Iterator[City]:
    """A city of that many accounts on real LevelDB in a temporary folder; `genesis`: more for `make_demo`."""
    now_ms = time.time_ns() // 1_000_000
    demo = make_demo(4, certify=make_certificate, accounts=accounts, seed=SEED, time_ms=now_ms - 1_000, **genesis)
    with TemporaryDirectory(prefix="cccnode-benchmark-") as folder:
        disk, engine = RealDisk(Path(folder)), LevelDB(Path(folder) / "state")
        try:
            store = Store.open(
                disk,
                engine,
                chain=demo.genesis.chain,
                node_id=demo.partners[0].node_key,
                depth=demo.genesis.document.state_depth,
                cache_bytes=cache_mb << 20,
            )
            header = initialise(store, demo.genesis)
            yield City(
                genesis=demo.genesis,
                header=header,
                record=read_record(store, header.epoch_record_hash),
                store=store,
                accounts=[entry.account_id() for entry in demo.genesis.accounts],
                owners=demo.accounts,
            )
        finally:
            engine.close()
            disk.close()


def transfers(
    *,
    chain: bytes,
    owners: Sequence[tuple[bytes, SigningKey]],
    accounts: Sequence[bytes],
    count: int,
    first: int,
    valid_until_ms: int,
) -> list[tuple[bytes, bytes]]:
    """(id, bytes) of signed transfers number `first` and following: the owners in turn, each to a random account."""
    rng = random.Random(first)
    signed = []
    for number in range(first, first + count):
        account, key = owners[number % len(owners)]
        target = accounts[rng.randrange(len(accounts))]
        signed.append(
            sign_transaction(
                chain=chain,
                account=account,
                valid_until_ms=valid_until_ms,
                salt=number.to_bytes(8, "big"),
                fee_max=FEE_MAX,
                messages=[BankTransfer(to=target, asset=ASSET, amount=1)],
                keys=[key],
            )
        )
    return signed

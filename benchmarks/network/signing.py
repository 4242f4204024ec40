"""Signs the load before it is needed, in processes of its own, so that signing costs nothing while it is measured."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.funded import LIFE_MS, SEED, signing_keys, transfers
from benchmarks.network.client import http
from cccnode.crypto.signing import SigningKey
from cccnode.types.scalars import AccountId
from cccnode.types.transaction import account_id

_CHUNK: Final = 16
"""Batches signed in one job."""
_SIGNING_US: Final = 25
"""What a transaction takes until all are signed, on two cores; a guess that may be wrong by two minutes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A ready-made submission."""

    request: bytes
    """The whole HTTP request."""
    ids: tuple[bytes, ...]
    """Of its transactions, in order."""


class Make(Protocol):
    """Signs transactions number `first` and following, as `transfers` does: a function that processes can import."""

    def __call__(
        self,
        *,
        chain: bytes,
        owners: Sequence[tuple[bytes, SigningKey]],
        accounts: Sequence[bytes],
        count: int,
        first: int,
        valid_until_ms: int,
    ) -> list[tuple[bytes, bytes]]:
        """(id, bytes) of each."""


@dataclass(slots=True)
class _Work:
    """What a signing process holds."""

    make: Make
    chain: bytes
    owners: list[tuple[bytes, SigningKey]]
    accounts: list[AccountId]


_here: list[_Work] = []
"""In a signing process: its one piece of work, set when it starts."""


class Signers:
    """Processes that sign for the first accounts of a network; no transaction is ever signed twice."""

    def __init__(self, *, chain: bytes, signers: int, accounts: Sequence[bytes], make: Make = transfers) -> None:
        """Start one process a core; `make` signs."""
        self._pool = ProcessPoolExecutor(
            max_workers=os.cpu_count(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(make, chain, signers, b"".join(accounts)),
        )
        self._next = 0

    def sign(self, transactions: int, batch: int, rate: float) -> list[Batch]:
        """Submissions of `batch` transactions each, `transactions` or a few more in all, to be sent at `rate` a second.

        A run may last longer than a transaction may live, so each expires half a life after it is due.
        """
        ready_ms = time.time_ns() // 1_000_000 + transactions * _SIGNING_US // 1_000
        count = -(-transactions // batch)
        jobs = []
        for first in range(0, count, _CHUNK):
            batches = min(_CHUNK, count - first)
            due_ms = ready_ms + round(first * batch / rate * 1_000)
            jobs.append((self._next, batches, batch, due_ms + LIFE_MS // 2))
            self._next += batches * batch
        return [Batch(*signed) for chunk in self._pool.map(_sign, jobs) for signed in chunk]

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def _begin(make: Make, chain: bytes, signers: int, accounts: bytes) -> None:
    owners = [(account_id(key.public_key), key) for key in signing_keys(signers, SEED)]
    _here.append(_Work(make, chain, owners, [accounts[at : at + 20] for at in range(0, len(accounts), 20)]))


def _sign(job: tuple[int, int, int, int]) -> list[tuple[bytes, tuple[bytes, ...]]]:
    first, batches, batch, valid_until_ms = job
    (work,) = _here
    made = []
    for number in range(first, first + batches * batch, batch):
        signed = work.make(
            chain=work.chain,
            owners=work.owners,
            accounts=work.accounts,
            count=batch,
            first=number,
            valid_until_ms=valid_until_ms,
        )
        texts = b",".join(b'"0x%b"' % raw.hex().encode() for _, raw in signed)
        body = b'{"jsonrpc":"2.0","id":1,"method":"tx_submit_batch","params":{"transactions":[%b]}}' % texts
        made.append((http(body), tuple(tx_id for tx_id, _ in signed)))
    return made

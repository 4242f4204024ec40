"""What a city does all day, as a load: transfers 60 %, orders 20 %, provenance 10 %, votes 10 %.

The first accounts are producers: each has a lot and a listing on which the others order.  Some proposals are open, on
which everybody else votes, and changes the vote again.
"""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

from benchmarks.funded import LIFE_MS, SEED, signing_keys
from cccnode.city.bank.messages import BankTransfer
from cccnode.city.gov.messages import Choice, GovPropose, GovVote, Kind
from cccnode.city.market.messages import MktList, MktOrder
from cccnode.city.provenance.messages import Observation, PrvCreateLot, PrvEvent
from cccnode.city.provenance.words import Disposition, Step, Unit
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.types.addresses import account_text
from cccnode.types.transaction import account_id, sign_transaction
from cccnode.types.units import DAY_MS
from genesis.bootstrap import ASSET

PRODUCERS: Final = 64
PROPOSALS: Final = 8
FEE_MAX: Final = 20_000
ORDERED: Final = 1_000
"""Grams of one order, which cost one base unit."""
LOT: Final = 10**12
"""Grams of a lot that orders are taken from: more than any run orders."""
KINDS: Final = ("transfer", "order", "lot", "observation", "vote")
"""Messages of the mix; a new lot and an observation of a lot make one half of the provenance each."""
MIX: Final = "mix"
_TEN: Final = (
    "transfer",
    "transfer",
    "order",
    "transfer",
    "vote",
    "transfer",
    "order",
    "transfer",
    "provenance",
    "transfer",
)
_GEO: Final = "w5q6u"

Owner = tuple[bytes, SigningKey]
"""An account and its key."""


def genesis() -> dict[str, Any]:
    """What `make_demo` needs besides: the producers' role, and proposals that need no deposit."""
    producers = [account_text(account_id(key.public_key)) for key in signing_keys(PRODUCERS, SEED)]
    members = {"roles": {"producer": {}}, "holders": {producer: ["producer"] for producer in producers}}
    return {"city": {"members": members}, "parameters": {"gov": {"gov_deposit": 0}}}


def preparations(owners: Sequence[Owner], now_ms: int) -> Iterator[tuple[Owner, list[Noun]]]:
    """Transactions that must be executed first, in this order: lots and listings 1 to `PRODUCERS`, proposals."""
    for number, owner in enumerate(owners[:PRODUCERS], 1):
        yield owner, [_lot(now_ms, LOT), _listing(number, now_ms)]
    text = sha256(b"a text that is published elsewhere").digest()
    for owner in owners[PRODUCERS : PRODUCERS + PROPOSALS]:
        yield owner, [GovPropose(Kind.TEXT, (), "What the city thinks of it", text, False, False)]


def signed(
    kind: str,
    *,
    chain: bytes,
    owners: Sequence[Owner],
    accounts: Sequence[bytes],
    count: int,
    first: int,
    valid_until_ms: int,
) -> list[tuple[bytes, bytes]]:
    """(id, bytes) of transactions number `first` and following of the mix, or of one of `KINDS` alone."""
    rng = random.Random(first)
    return [
        _signed(chain, owners, _drawn(kind, number), number, valid_until_ms, rng.choice(accounts))
        for number in range(first, first + count)
    ]


mixed: Final = partial(signed, MIX)
"""The mix itself, as a function that processes can import."""


def _drawn(kind: str, number: int) -> str:
    """The kind of a transaction: of the mix by its number."""
    drawn = _TEN[number % 10] if kind == MIX else kind
    if drawn == "provenance":
        return "lot" if (number // 10 + number // (10 * PRODUCERS)) % 2 else "observation"
    return drawn


def _signed(
    chain: bytes, owners: Sequence[Owner], kind: str, number: int, valid_until_ms: int, target: bytes
) -> tuple[bytes, bytes]:
    ten, rest = number // 10, len(owners) - PRODUCERS
    producer = (ten + number % 10 * PRODUCERS // 10) % PRODUCERS  # Not always the same senders for a kind.
    sender = producer if kind in {"lot", "observation"} else PRODUCERS + (ten + number % 10 * rest // 10) % rest
    account, key = owners[sender]
    return sign_transaction(
        chain=chain,
        account=account,
        valid_until_ms=valid_until_ms,
        salt=number.to_bytes(8, "big"),
        fee_max=FEE_MAX,
        messages=[_message(kind, ten, producer, valid_until_ms - LIFE_MS, target)],
        keys=[key],
    )


def _message(kind: str, ten: int, producer: int, now_ms: int, target: bytes) -> Noun:
    match kind:
        case "transfer":
            return BankTransfer(to=target, asset=ASSET, amount=1)
        case "order":
            return MktOrder(1 + producer, ORDERED, None, 0)
        case "lot":
            return _lot(now_ms, ORDERED)
        case "observation":
            seen = Observation(Step.INSPECTING, Disposition.IN_PROGRESS, now_ms, 420, _GEO, None)
            return PrvEvent(1 + producer, seen)
        case _:
            return GovVote(1 + ten % PROPOSALS, Choice(ten // PROPOSALS % len(Choice)))


def _lot(now_ms: int, quantity: int) -> PrvCreateLot:
    return PrvCreateLot("rice-jasmine", Unit.GRAM, quantity, _GEO, now_ms, ())


def _listing(lot: int, now_ms: int) -> MktList:
    return MktList(lot, LOT, 1, ASSET, 1, (), 0, 0, 0, 0, _GEO, now_ms + 30 * DAY_MS)

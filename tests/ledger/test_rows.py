"""What rows of a module do in the registry: hooks, messages that need a vote, parameters, sections, invariants."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cccnode.city import MODULES
from cccnode.city.bank import BankTransfer, fees
from cccnode.city.bank.errors import INSUFFICIENT
from cccnode.city.bank.state import Params, credit
from cccnode.city.members import authority
from cccnode.codec import Noun, encode
from cccnode.ledger.module import GOVERNANCE, Context, Invariant, Message, Module
from cccnode.ledger.parameters import changed, read_parameters, write_parameters
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import DictState, Overlay, Scan
from cccnode.types.errors import (
    DECIDED_BY_VOTE,
    GENESIS_INVALID,
    MALFORMED,
    NON_CANONICAL,
    PARAMETER_BOUNDS,
    UNKNOWN_PARAMETER,
    Fault,
)
from cccnode.types.limits import AMOUNT_MAX
from cccnode.types.scalars import Amount
from genesis.document import document_bytes, read_genesis
from tests.support.city import City, demo, receipts


class Ask(Noun, tag=201 << 8 | 1, frozen=True, array_like=True, gc=False):
    """Anyone: try what only the city may do."""

    amount: Amount


class Take(Noun, tag=201 << 8 | 2, frozen=True, array_like=True, gc=False):
    """The city: pay out of its own purse."""

    amount: Amount


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the genesis may say of it."""

    purse: int = 0


def _take(context: Context, message: Take) -> None:
    context.emit("town", "taken", message.amount)
    city = context.city
    assert city is not None
    city.handlers[BankTransfer](context, BankTransfer(demo().account(0), "uccc", message.amount))


def _genesis_end(state: Overlay, genesis: Any) -> None:
    credit(state, GOVERNANCE, "uccc", genesis.section("town", Section).purse, AMOUNT_MAX)


def _end_block(context: Context) -> None:
    for amount in (context.state.get(b"town", b"ask", int) or 0, 7):
        failed = context.attempt(GOVERNANCE, [Take(amount), Take(1)])
        context.emit("town", "tried", amount, "" if failed is None else failed.spec.name)


def _close_block(context: Context) -> None:
    context.emit("town", "closed")


def _rich(state: Scan) -> Iterable[str]:
    for group in state.groups(b"town"):
        if (state.get(group, b"ask", int) or 0) > 1_000:
            yield "asks too much"


LISTENERS = (
    ("town/asked", lambda context, amount: context.state.put(b"town", b"ask", amount)),
    ("town/asked", lambda context, amount: context.emit("town", "heard", amount)),
)
TOWN = Module(
    number=201,
    name="town",
    messages=(
        Message(kind=Ask, handle=lambda context, ask: context.call("town/asked", ask.amount), en="Ask.", th="ขอ"),
        Message(kind=Take, handle=_take, decided="spend", en="Take.", th="ใช้"),
    ),
    section=True,
    genesis_end=_genesis_end,
    hooks=LISTENERS,
    end_block=_end_block,
    close_block=_close_block,
    invariants=(Invariant(name="TWN-1", en="Nobody asks too much.", th="ไม่มีใครขอมากเกินไป", check=_rich),),
)
GROWN = Registry([*MODULES, TOWN], authority=authority, fees=fees)


def _city(purse: int = 100, **sections: Any) -> City:
    document = replace(demo().genesis.document, city={"town": {"purse": purse}, **sections})
    return City(registry=GROWN, document=read_genesis(document_bytes(document)))


def test_hooks_call_their_listeners_in_order() -> None:
    """A hook reaches every listener with its arguments; what they change belongs to the transaction."""
    city = _city()
    outcome = city.run(city.sign(Ask(50)))

    assert (("town", "heard", 50),) == receipts(outcome)[0].events


def test_messages_that_need_a_vote_come_from_governance_alone() -> None:
    """Anybody else is refused by name; governance carries them out when a block ends, each attempt all or none."""
    city = _city()
    outcome = city.run(city.sign(Take(1)), city.sign(Ask(100)))
    closing = receipts(outcome)[-1].events

    assert (DECIDED_BY_VOTE.code, 0) == outcome.codes
    assert (
        ("town", "tried", 100, INSUFFICIENT.name),
        ("town", "taken", 7),
        ("bank", "transfer", "uccc", GOVERNANCE, demo().account(0), 7),
        ("town", "taken", 1),
        ("bank", "transfer", "uccc", GOVERNANCE, demo().account(0), 1),
        ("town", "tried", 7, ""),
        ("town", "closed"),
    ) == tuple(row for row in closing if row[1] != "fees")
    assert 92 == city.balance(GOVERNANCE)


def test_invariants_are_checked_over_the_whole_state() -> None:
    """The registry names the invariant that a state breaks."""
    city = _city(purse=0)
    assert [] == GROWN.broken(city.state)
    city.run(city.sign(Ask(1_001)))

    assert ["TWN-1: asks too much"] == GROWN.broken(city.state)


def test_sections_of_the_genesis() -> None:
    """A module reads its own section strictly; one that belongs to nobody is refused; without any, nothing changes."""
    genesis = demo().genesis
    for city, text in (({"twon": {}}, "city.twon"), ({"town": {"prse": 1}}, "city.town.prse: no such field")):
        with pytest.raises(Fault, match=text) as refused:
            _city(**{"purse": 0} | {"town": city["town"]} if "town" in city else city)
        assert refused.value.spec is GENESIS_INVALID
    plain = read_genesis(document_bytes(replace(genesis.document, city={})))
    other = read_genesis(document_bytes(replace(genesis.document, city={"town": {"purse": 1}})))

    assert genesis.chain == plain.chain
    assert genesis.chain != other.chain


def test_parameters_stay_within_bounds() -> None:
    """A vote sets one value of a module; its name, type and bounds are the noun's."""
    state = Overlay(DictState())
    with pytest.raises(Fault) as unset:
        changed(state, "bank", Params, "fee_base", 5)
    write_parameters(state, "bank", Params())

    assert unset.value.spec is UNKNOWN_PARAMETER
    assert Params(fee_base=5) == changed(state, "bank", Params, "fee_base", 5)
    assert Params() == read_parameters(state, "bank", Params)
    wrong = (("nothing", 1, UNKNOWN_PARAMETER), ("fee_base", -1, PARAMETER_BOUNDS), ("fee_base", "5", PARAMETER_BOUNDS))
    for name, value, spec in wrong:
        with pytest.raises(Fault) as refused:
            changed(state, "bank", Params, name, value)
        assert refused.value.spec is spec


def test_one_message_decodes_alone() -> None:
    """As a proposal holds it: canonical bytes of one message of any module."""
    raw = encode(Take(5))

    assert Take(5) == GROWN.decode_message(raw)
    for bad, spec in (
        (raw + b"\0", MALFORMED),
        (b"\x92\xcd\x7f\x01\x05", MALFORMED),
        (raw[:-1] + b"\xcc\x05", NON_CANONICAL),
    ):
        with pytest.raises(Fault) as refused:
            GROWN.decode_message(bad)
        assert refused.value.spec is spec

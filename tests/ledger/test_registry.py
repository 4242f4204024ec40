"""The registry: everything about the modules derives from one tuple."""

from dataclasses import replace

import pytest

from cccnode.city import CITY, MODULES, bank, members
from cccnode.city.bank import BankMulti, BankTransfer, fees
from cccnode.city.bank.messages import Output
from cccnode.city.members import MemApply, MemRotateKeys, authority
from cccnode.codec import Noun, encode
from cccnode.ledger.module import Invariant, Message, Module
from cccnode.ledger.registry import Registry
from cccnode.types.errors import CORE_ERRORS, MALFORMED, NON_CANONICAL, TX_EXPIRED, UNKNOWN_MESSAGE, Fault
from tests.support.city import City


def test_tables_join_the_modules() -> None:
    """Errors, queries, verbs and module accounts of all modules stand in one table each."""
    assert {row.code for row in CORE_ERRORS} < set(CITY.errors)
    assert bank.errors.ZERO_AMOUNT is CITY.errors[2001]
    assert {"account_get", "bank_balance", "registry_nodes"} <= set(CITY.queries)
    assert {"transfer", "multi-transfer", "apply", "rotate-keys", "propose", "approve"} < set(CITY.verbs)
    assert {fees.FEES: "fees", fees.TREASURY: "treasury"}.items() <= CITY.accounts.items()
    assert ["members", "bank", "registry", "evidence"] == [*CITY.by_name][:4]


def test_weights() -> None:
    """The weight of a message is static, and that of a transaction their sum."""
    out = Output(bytes(20), "uccc", 1)
    rotate = MemRotateKeys((), (bytes(32),), 1, None)
    messages = [BankTransfer(bytes(20), "uccc", 1), BankMulti((out,) * 5), rotate]

    assert [1, 5, 3, 9] == [*(CITY.weight([message]) for message in messages), CITY.weight(messages)]
    assert 4 == CITY.weight([MemApply(bytes(32), bytes(32), 1)])


def _errors(raw: bytes) -> object:
    with pytest.raises(Fault) as caught:
        CITY.decode(raw)
    return caught.value.spec


def test_invalid_bytes() -> None:
    """Undecodable bytes are diagnosed: unknown tag, wrong shape, or a second spelling of a good value."""
    city = City()
    raw = city.sign(city.transfer())
    tag = encode(0x0201)
    body = encode(city.transfer())
    longer = raw.replace(body, body[:1] + b"\xce\x00\x00\x02\x01" + body[4:])

    assert UNKNOWN_MESSAGE is _errors(raw.replace(tag, encode(0x7F01), 1))
    assert NON_CANONICAL is _errors(longer)
    for broken in (b"", b"\xc0", raw[:-1], raw + b"\x00", raw.replace(tag, encode("x"), 1), b"\x91" * 5_000):
        assert MALFORMED is _errors(broken)


class _Stray(Noun, tag=0x0901, frozen=True, array_like=True, gc=False):
    """A message numbered in another module."""


class _Nameless(Noun, frozen=True, array_like=True, gc=False):
    """A message without a number."""


HOLDS = Invariant(name="X-1", en="x", th="x", check=lambda state: ())


def _message(kind: type[Noun]) -> Message:
    return Message(kind=kind, handle=lambda context, message: None, en="x", th="x")


@pytest.mark.parametrize(
    "module",
    [
        Module(number=1, name="again"),
        Module(number=9, name="bank"),
        Module(number=8, name="stray", messages=(_message(_Stray),)),
        Module(number=9, name="nameless", messages=(_message(_Nameless),)),
        Module(number=9, name="twice", messages=(_message(_Stray), _message(_Stray))),
        Module(number=9, name="codes", errors=(TX_EXPIRED,)),
        Module(number=9, name="purse", accounts=("fees",)),
        Module(number=9, name="asks", queries=(members.MODULE.queries[0],)),
        Module(number=9, name="verbs", messages=(replace(_message(_Stray), verb="transfer"),)),
        Module(number=9, name="holds", invariants=(HOLDS, HOLDS)),
        Module(number=9, name="names", errors=(replace(TX_EXPIRED, code=9_001),)),
    ],
)
def test_invalid_claims(module: Module) -> None:
    """Two modules cannot claim the same number, name, tag, error, account, query, verb or invariant."""
    with pytest.raises(AssertionError):
        Registry([*MODULES, module], authority=authority, fees=fees)

"""Usual transactions opened natively against the definition in Python."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.city import CITY
from cccnode.city.bank.messages import BankMulti, BankTransfer, Output
from cccnode.codec import decode, encode
from cccnode.crypto import kernel
from cccnode.ledger.opening import Opened, Rules, open_many, open_usual
from tests.support.city import City
from tests.support.leaks import nothing_leaks

pytestmark = pytest.mark.skipif(kernel.OPEN_USUAL is None, reason="built without a compiler")


@cache
def _city() -> City:
    return City()


@cache
def _samples() -> tuple[bytes, ...]:
    """Two usual ones first; then one of everything else."""
    city = _city()
    transfer, output = city.transfer(), Output(city.account(1), "uccc", 1)
    both = [city.demo.accounts[0], city.demo.accounts[1]]
    usual = [city.sign(transfer), city.sign(city.transfer(2), by=1)]
    fields: list[Any] = decode(list, usual[0])
    changed = [(0, 2), (1, bytes(32)), (3, 2**63), (7, [[0x0201, bytes(20), "UCCC", 1]]), (8, []), (9, [bytes(63)])]
    return (
        *usual,
        city.sign(transfer, transfer),
        city.sign(BankMulti((output,) * 3)),
        city.sign(transfer, keys=both, fee_payer=city.account(1)),
        encode([*fields[:9], fields[9] * 2]),
        *(encode([*fields[:place], value, *fields[place + 1 :]]) for place, value in changed),
        usual[0][:-1],
        usual[0] + b"\0",
        usual[0][:1] + b"\xcc" + usual[0][1:],
        b"",
        b"\xc0",
    )


def _rules() -> Rules:
    return CITY.usual(_city().chain)


def _both(rules: Rules, raws: Sequence[bytes]) -> Opened:
    """What both say, which is the same."""
    native, defined = Opened(*kernel.OPEN_USUAL(rules, raws)), Opened(*open_usual(rules, raws))
    assert defined == native
    return native


mutations = st.tuples(st.integers(0, 400), st.integers(0, 255))


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(mutations, max_size=2)), max_size=9))
def test_native_opening_is_that_of_the_definition(choices: list[tuple[int, list[tuple[int, int]]]]) -> None:
    """Whatever the transactions are, and wherever bytes of them were changed."""
    samples, raws = _samples(), []
    for number, changes in choices:
        raw = bytearray(samples[number if number < len(samples) else number % 2])
        for place, value in changes:
            if raw:
                raw[place % len(raw)] = value
        raws.append(bytes(raw))

    _both(_rules(), raws)


def test_what_is_usual() -> None:
    """Transfers of one signer are; a limit more or another chain, and they are not."""
    rules, samples = _rules(), _samples()
    usual = samples[:2]
    assert [True, True] + [False] * (len(samples) - 2) == [one is not None for one in _both(rules, samples)[0]]
    assert open_many(rules, usual) == _both(rules, usual)
    stricter: list[dict[str, Any]] = [
        {"size_max": len(usual[0]) - 1},
        {"weight_max": 0},
        {"weights": {}},
        {"chain": bytes(32)},
        {"chain": b""},
        {"version": 2},
    ]
    for less in stricter:
        assert ([None, None], [], [], []) == _both(rules._replace(**less), usual)
    assert [5, 5] == [one.weight for one in _both(rules._replace(weights={BankTransfer: 5}), usual)[0]]


def test_failures_that_are_not_of_the_bytes() -> None:
    """What no bytes can cause is raised."""

    def stop(*_: object) -> Any:
        raise KeyboardInterrupt

    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    rules, raws = _rules(), _samples()[:2]
    for changes, error in (
        ({"decode": stop}, KeyboardInterrupt),
        ({"decode": fail}, ZeroDivisionError),
        ({"encode": fail}, ZeroDivisionError),
        ({"verified": fail}, ZeroDivisionError),
        ({"decode": lambda raw: raw, "encode": lambda value: value}, AttributeError),
    ):
        for function in (kernel.OPEN_USUAL, open_usual):
            with pytest.raises(error):
                function(rules._replace(**changes), raws)
    expected = rules._replace(decode=fail, unreadable=(KeyError, ZeroDivisionError))
    assert ([None, None], [], [], []) == _both(expected, raws)


def test_invalid_arguments() -> None:
    """Wrong types and numbers are errors of Python."""
    rules, raws = _rules(), _samples()[:2]
    for arguments in ([], [rules], [rules, raws, raws], [None, raws], [rules[:-1], raws], [rules, 5], [rules, [5]]):
        with pytest.raises(TypeError):
            kernel.OPEN_USUAL(*arguments)
    for place in (1, *range(4, len(rules))):
        with pytest.raises(TypeError):
            kernel.OPEN_USUAL((*rules[:place], 1.5, *rules[place + 1 :]), raws)
    with pytest.raises(ValueError, match="below"):
        kernel.OPEN_USUAL(rules._replace(size_max=-1), raws)


def test_nothing_leaks() -> None:
    """Neither what is usual nor what is not, nor a failure, keeps memory or references."""
    # Without the multi-transfer: where msgspec matches patterns it keeps a few strings for a while.
    rules, raws = _rules(), [raw for raw in _samples() if raw != _samples()[3]]
    failing = (*rules[:3], len, *rules[4:])

    def use() -> None:
        kernel.OPEN_USUAL(rules, raws)
        with suppress(TypeError):
            kernel.OPEN_USUAL(rules, [*raws, None])
        with suppress(TypeError):
            kernel.OPEN_USUAL(failing, raws)

    nothing_leaks(use, [*rules, *raws])

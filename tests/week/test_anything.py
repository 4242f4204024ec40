"""Anybody says anything in the middle of the week: rules refuse by name, and nothing else ever happens.

An exception that is no `Fault` would stop every node at the same block, so one message that raises it ends the city.
"""

import random
from contextlib import suppress
from functools import cache
from typing import Final

import pytest

from cccnode.city import CITY
from cccnode.codec import Noun, encode
from cccnode.ledger.module import GOVERNANCE, PROPOSAL, Context
from cccnode.ledger.state import DictState, Overlay, writes_of
from cccnode.ledger.window import Window
from cccnode.types.errors import Fault
from cccnode.types.transaction import sign_transaction
from cccnode.types.units import DAY_MS
from cccnode.week.people import PEOPLE, account_of, everybody, key_of
from cccnode.week.running import Week
from tests.simulation.examples import NUMBERS, TEXTS, Words, example
from tests.week.harness import Replica, Replicas

MESSAGES: Final = 100
SEEDS: Final = 40
"""Few messages each: people who leave say nothing more."""
SEEDS_LONG: Final = 1_040
QUESTIONS: Final = 500
CHECKED_EVERY: Final = 20
FEE: Final = 1_000


@cache
def _after(day: int) -> Replicas:
    """The city in the evening of a day."""
    network = Replicas()
    week = Week(network, CITY, told=lambda step, decided: None, evening=lambda day, result: None)
    coroutine = week.run(until_day=day)
    with pytest.raises(StopIteration):
        coroutine.send(None)  # nothing in memory ever waits
    return network


def _anew(day: int) -> Replica:
    """A node of its own in that evening."""
    network = _after(day)
    old = network.nodes[0]
    node = Replica(CITY, network.genesis)
    node.state = DictState()
    node.state.groups = {group: dict(items) for group, items in old.state.groups.items()}
    node.header = old.header
    node.window = Window(node.record.limits.tx_lifetime_max_ms)
    node.window.add(old.header.height, old.header.time_ms, ())
    return node


def _words(now_ms: int) -> Words:
    """Names, accounts, keys, numbers and times that this city knows."""
    names = everybody()
    parameters = [name for kind in CITY.parameters.values() for name in kind.__struct_fields__]
    roles = ("producer", "arbitrator", "auditor", "regulator", "nobody")
    organisations = [one.name for one in PEOPLE if one.kind == "organisation"]
    texts = [*TEXTS, "uccc", "thb", "gold", "rice", "w4rqe", *roles, *organisations, *parameters, *CITY.parameters]
    times = [now_ms + more for more in (-DAY_MS, -1, 0, 1, 60_000, DAY_MS, 30 * DAY_MS)]
    keys = [key_of(one.name).public_key for one in PEOPLE]
    return Words(
        texts=texts,
        numbers=[*NUMBERS, *range(1, 12), 100, 5_000, 10_000, 10**6, 10**9, *times],
        known={20: [account_of(name) for name in names], 32: keys},
    )


def _packed(rng: random.Random, words: Words, message: Noun) -> Noun:
    """The same, with messages that are some where it carries encoded ones."""
    carried = getattr(message, "messages", None)
    if not isinstance(carried, tuple) or not all(isinstance(one, bytes) for one in carried):
        return message
    kinds = [row for row in CITY.messages.values() if row.decided or rng.random() < 0.1]
    chosen = [rng.choice(kinds) for _ in carried]
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    if "kind" in fields and chosen and chosen[0].decided:
        fields["kind"] = next(one for one in type(fields["kind"]) if one.name.lower() == chosen[0].decided)
    return type(message)(**{**fields, "messages": tuple(encode(example(row.kind, rng, words)) for row in chosen)})


def _said(rng: random.Random, words: Words) -> Noun:
    row = rng.choice(list(CITY.messages.values()))
    return _packed(rng, words, example(row.kind, rng, words))


def _decide(node: Replica, message: Noun) -> None:
    """Carry a message out as a vote would, with the check that a proposal passes before."""
    overlay = Overlay(node.state)
    context = Context(
        overlay,
        node.header.height,
        node.header.time_ms,
        CITY.module_accounts,
        header=node.header,
        record=node.record,
        counters={PROPOSAL: 1},
        city=CITY,
        account=GOVERNANCE,
    )
    row = CITY.rows[type(message)]
    try:
        if row.check is not None:
            row.check(context, message)
    except Fault:
        return
    context.attempt(GOVERNANCE, [message])
    node.state.apply(writes_of(overlay))


def test_anybody_says_anything() -> None:
    """Random messages of every kind, by everybody, decided or not, beside time that jumps: no rule is ever broken."""
    for seed in range(SEEDS):
        speak(seed, MESSAGES)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_anybody_says_anything_for_long() -> None:
    """The same, a hundred thousand messages."""
    for seed in range(SEEDS, SEEDS_LONG):
        speak(seed, MESSAGES)


def speak(seed: int, messages: int) -> None:
    """One run from a seed."""
    rng = random.Random(seed)
    node = _anew(rng.randint(1, 3))
    for number in range(messages):
        now_ms = node.header.time_ms
        words = _words(now_ms)
        message = _said(rng, words)
        if CITY.rows[type(message)].decided and rng.random() < 0.7:
            _decide(node, message)
            node.block(now_ms + 1_000, [])
        else:
            name = rng.choice(PEOPLE).name
            _, raw = sign_transaction(
                chain=_chain(),
                account=account_of(name),
                valid_until_ms=now_ms + 60_000,
                salt=number.to_bytes(8, "big"),
                fee_max=10**6,
                messages=[message],
                keys=[key_of(name)],
            )
            node.block(now_ms + rng.choice((1, 1_000, 30_000)), [raw])
        if rng.random() < 0.02:
            node.block(node.header.time_ms + rng.choice((60_000, DAY_MS // 4, DAY_MS, 8 * DAY_MS)), [])
        if number % CHECKED_EVERY == 0:
            assert CITY.broken(node.state) == [], message
    assert CITY.broken(node.state) == []


def test_anybody_asks_anything() -> None:
    """Every query answers or refuses by name, whatever it is asked."""
    for seed in range(SEEDS):
        ask(seed, QUESTIONS)


def ask(seed: int, questions: int) -> None:
    """One run from a seed."""
    rng = random.Random(seed)
    node = _after(rng.randint(1, 3)).nodes[0]
    words = _words(node.header.time_ms)
    for _ in range(questions):
        method = rng.choice(sorted(CITY.queries))
        params = example(CITY.queries[method].params, rng, words)
        with suppress(Fault):
            CITY.answer(method, node.state, params)


@cache
def _chain() -> bytes:
    """The week's chain id."""
    return Replicas().genesis.chain

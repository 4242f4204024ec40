"""A further module plugs in through its folder and one registry line (architecture 2)."""

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from cccnode.city import CITY, MODULES
from cccnode.city.bank import fees
from cccnode.city.members import authority
from cccnode.ingress import decode_transactions
from cccnode.ledger.registry import Registry
from cccnode.types.errors import UNKNOWN_MESSAGE, Fault
from genesis.document import document_bytes, read_genesis
from tests.city.counter import MODULE, TOO_HIGH, Count, CountParams, CountRaise
from tests.support.city import City, demo, receipts

GROWN = Registry([*MODULES, MODULE], authority=authority, fees=fees)
"""The one line."""


def _city() -> City:
    document = replace(demo().genesis.document, parameters={"counter": {"limit": 10}})
    return City(registry=GROWN, document=read_genesis(document_bytes(document)))


def test_decoding() -> None:
    """Ingress decodes its messages with their constraints; a registry without the module names the unknown tag."""
    city = _city()
    raw = city.sign(CountRaise("visits", 3))
    (known,) = decode_transactions(GROWN, city.chain, [raw])
    (unknown,) = decode_transactions(CITY, city.chain, [raw])
    (low,) = decode_transactions(GROWN, city.chain, [city.sign(CountRaise("visits", 0))])

    assert not isinstance(known, Fault)
    assert ((CountRaise("visits", 3),), 3) == (known.transaction.messages, known.weight)
    assert isinstance(unknown, Fault)
    assert (UNKNOWN_MESSAGE, 51_201) == (unknown.spec, unknown.values["tag"])
    assert isinstance(low, Fault)


def test_dispatch_genesis_and_end_of_block() -> None:
    """Its handler, its genesis parameters, its end-of-block rule and its errors work among the others."""
    city = _city()
    raws = [city.sign(CountRaise("visits", 6)), city.sign(CountRaise("visits", 5)), city.sign(city.transfer())]
    outcome = city.run(*raws)

    assert (0, TOO_HIGH.code, 0) == outcome.codes
    assert (("counter", "raised", city.account(0), "visits", 6),) == receipts(outcome)[0].events
    assert ("counter", "block", 1) == receipts(outcome)[-1].events[-1]
    assert TOO_HIGH is GROWN.errors[200_001]


def test_query_route() -> None:
    """Its question is in the table that RPC serves, with typed parameters and answer."""
    city = _city()
    city.run(city.sign(CountRaise("visits", 4)))
    query = GROWN.queries["counter_get"]
    params = msgspec.convert([city.account(0), "visits"], query.params)

    assert Count("visits", 4) == GROWN.answer("counter_get", city.state, params)
    assert ["account", "name"] == [field.name for field in _fields(query.params)]
    assert isinstance(inspect.type_info(query.result), inspect.StructType)
    assert isinstance(params, CountParams)


def test_cli_verb() -> None:
    """Its verb is in the table that the CLI serves: fields, places, defaults and help follow from the message."""
    verb = GROWN.verbs["count"]
    given = dict(verb.defaults) | {"name": "visits"}

    assert CountRaise("visits", 1) == verb.kind(**given)
    assert set(given) == {field.name for field in _fields(verb.kind)}
    assert set(verb.positional) | dict(verb.defaults).keys() <= set(given)
    assert verb.en
    assert verb.th


def _fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields

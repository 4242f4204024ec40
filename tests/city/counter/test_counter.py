"""A further module plugs in through its folder and one registry line (architecture 2)."""

import msgspec
from click.testing import CliRunner
from msgspec import inspect
from msgspec.structs import replace

from cccnode.city import CITY, MODULES
from cccnode.city.bank import fees
from cccnode.city.members import authority
from cccnode.cli.query import query_group
from cccnode.cli.tx import tx_group
from cccnode.config import RpcSection
from cccnode.ingress import decode_transactions
from cccnode.ledger.registry import Registry
from cccnode.rpc.dispatch import Dispatcher
from cccnode.types.addresses import account_text
from cccnode.types.errors import UNKNOWN_MESSAGE, Fault
from genesis.document import document_bytes, read_genesis
from tests.city.counter import MODULE, TOO_HIGH, Count, CountParams, CountRaise
from tests.support.city import City, demo, receipts
from tests.support.fake_node import FakeNode

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
    assert ("counter", "block", 1) in receipts(outcome)[-1].events
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


async def test_rpc_method() -> None:
    """RPC answers its question by name, in the value rules of every method, without knowing the module."""
    city = _city()
    city.run(city.sign(CountRaise("visits", 4)))
    node = FakeNode(registry=GROWN, state_now=city.state)
    account = account_text(city.account(0))
    call = {"jsonrpc": "2.0", "id": 1, "method": "counter_get", "params": {"account": account, "name": "visits"}}
    answer = await Dispatcher(node, RpcSection()).answer(msgspec.json.encode(call))

    assert answer is not None
    assert {"name": "visits", "value": "4"} == msgspec.json.decode(answer)["result"]


def test_cli_command() -> None:
    """`cccnode tx count` and `cccnode query counter_get` exist, with help, as soon as the registry has the module."""
    sending = CliRunner().invoke(tx_group(GROWN), ["count", "--help"])
    asking = CliRunner().invoke(query_group(GROWN), ["--help"])

    assert 0 == sending.exit_code
    assert "Raise a counter." in sending.output
    assert "--by" in sending.output
    assert "counter" in asking.output


def _fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields

"""A fourth module, as somebody would add it: counters that anyone may raise.  Nothing outside this folder changes."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.ledger.module import Context, Message, Module, Query
from cccnode.ledger.parameters import parameters
from cccnode.ledger.registry import GenesisDocument
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import ErrorSpec, fault
from cccnode.types.scalars import U63, AccountId, Name

NUMBER: Final = 200
_GROUP: Final = b"counter/"

TOO_HIGH: Final = ErrorSpec(
    200_001, "counter/TOO_HIGH", "The counter would pass its limit.", "ตัวนับเกินขีดจำกัด", "Raise by less.", "เพิ่มน้อยลง"
)


class CountRaise(Noun, tag=NUMBER << 8 | 1, frozen=True, array_like=True, gc=False):
    """Raise a counter of the own account."""

    name: Name
    by: Annotated[int, Meta(ge=1, le=1_000)]


class Params(Noun, frozen=True, array_like=True, gc=False):
    """What genesis may set."""

    limit: U63 = 100


class CountParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose counter, and which."""

    account: AccountId
    name: Name


class Count(Noun, frozen=True, array_like=True, gc=False):
    """How far it is."""

    name: Name
    value: U63


def _raise(context: Context, message: CountRaise) -> None:
    limit = context.state.get(b"par/counter", b"", Params) or Params()
    group, item = _GROUP + context.account, message.name.encode()
    value = (context.state.get(group, item, int) or 0) + message.by
    if value > limit.limit:
        raise fault(TOO_HIGH, value=value, limit=limit.limit)
    context.state.put(group, item, value)
    context.state.put(b"counter", b"block", (context.state.get(b"counter", b"block", int) or 0) + 1)
    context.emit("counter", "raised", context.account, message.name, value)


def _count(state: Reader, params: CountParams) -> Count:
    return Count(params.name, state.get(_GROUP + params.account, params.name.encode(), int) or 0)


def _genesis(state: Overlay, genesis: GenesisDocument) -> None:
    state.put(b"par/counter", b"", parameters(genesis.parameters, "counter", Params))


def _end_block(context: Context) -> None:
    raised = context.state.get(b"counter", b"block", int)
    if raised:
        context.state.put(b"counter", b"block", None)
        context.emit("counter", "block", raised)


MODULE: Final = Module(
    number=NUMBER,
    name="counter",
    messages=(
        Message(
            kind=CountRaise,
            handle=_raise,
            weight=lambda message: message.by,
            verb="count",
            positional=("name",),
            defaults=(("by", 1),),
            en="Raise a counter.",
            th="เพิ่มตัวนับ",
        ),
    ),
    queries=(Query(method="counter_get", params=CountParams, result=Count, answer=_count, en="How far.", th="ค่าตัวนับ"),),
    errors=(TOO_HIGH,),
    accounts=("counter",),
    parameters=Params,
    genesis=_genesis,
    end_block=_end_block,
)

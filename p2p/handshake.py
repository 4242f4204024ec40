"""HELLO and its answer: who talks to whom about which chain, and by name why not (J14).

Pure: facts in, verdict out.  TLS has already proven the dialler's key; here the acceptor decides on the link, and the
dialler reads the answer.
"""

from dataclasses import dataclass
from typing import Final

from cccnode.types.errors import (
    CORE_ERRORS,
    NET_CLOSED,
    NET_CROSSED,
    NET_DUPLICATE,
    NET_FULL,
    NET_IDENTITY,
    NET_MALFORMED,
    NET_MISBEHAVED,
    NET_VERSION,
    NET_WRONG_CHAIN,
    NODE_UNREGISTERED,
    ErrorSpec,
    Fault,
    fault,
)
from cccnode.types.validators import node_id
from p2p.messages import (
    ALTERNATIVES_MAX,
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    Ack,
    Hello,
    Known,
    Reject,
    Role,
    hello_versions,
    read_link,
)

_BY_NAME: Final[dict[str, ErrorSpec]] = {spec.name: spec for spec in CORE_ERRORS if spec.name.startswith("net/")}
_TEXT_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """What this node says of itself in HELLO and in its answers."""

    node_key: bytes
    chain: bytes
    role: Role
    height: int
    listen: str
    program: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the acceptor knows when a HELLO arrives."""

    own: Self
    tls_key: bytes
    """The key that the dialler proved in TLS."""
    registered: bool
    validator: bool
    """Whether the registry here calls the dialler a validator."""
    crossed: bool
    """Whether this node's own dial to it is under way and takes precedence."""
    banned_ms: int
    peer_links: int
    """Links to non-validators that exist now."""
    peer_links_max: int
    alternatives: tuple[Known, ...] = ()
    """Whom to name when there is no room."""


def hello(own: Self, *, wall_ms: int, nonce: bytes) -> Hello:
    """The dialler's first message."""
    return Hello(
        protocol_min=PROTOCOL_MIN,
        protocol_max=PROTOCOL_MAX,
        chain=own.chain,
        node_key=own.node_key,
        role=own.role,
        height=own.height,
        listen=own.listen,
        wall_ms=wall_ms,
        nonce=nonce,
        program=own.program,
    )


def read_hello(payload: bytes) -> Hello:
    """The HELLO of a dialler.

    Raises:
        Fault: NET_VERSION, a HELLO of a version we do not speak; NET_MALFORMED, no HELLO; or the dialler's own reason
            for going away, which is mostly that it met another key than it expected.
    """
    versions = hello_versions(payload)
    if versions and common_version(*versions) is None:
        raise _version(*versions)
    message = read_link(payload)
    if isinstance(message, Reject):
        raise told(message)
    if not isinstance(message, Hello):
        raise fault(NET_MALFORMED, why=f"{type(message).__name__} before HELLO")
    return message


def common_version(low: int, high: int) -> int | None:
    """The newest protocol that both this program and one that speaks low..high know."""
    newest = min(high, PROTOCOL_MAX)
    return newest if newest >= max(low, PROTOCOL_MIN) else None


def judge(message: Hello, facts: Facts) -> Fault | None:
    """Why this HELLO is refused, or None: the cheap and general reasons first."""
    own = facts.own
    if common_version(message.protocol_min, message.protocol_max) is None:
        return _version(message.protocol_min, message.protocol_max)
    if message.chain != own.chain:
        return fault(NET_WRONG_CHAIN, acceptor_chain=own.chain, dialler_chain=message.chain)
    if message.node_key != facts.tls_key:
        return fault(NET_IDENTITY, hello_key=message.node_key, tls_key=facts.tls_key)
    if facts.tls_key == own.node_key:
        return fault(NET_DUPLICATE, node_id=node_id(own.node_key), why="the dialler uses the acceptor's own key")
    if not facts.registered:
        return fault(NODE_UNREGISTERED, node_id=node_id(facts.tls_key), at_height=own.height)
    if facts.banned_ms:
        return fault(NET_MISBEHAVED, node_id=node_id(facts.tls_key), for_ms=facts.banned_ms)
    if facts.crossed:
        return fault(NET_CROSSED, node_id=node_id(facts.tls_key))
    if not facts.validator and facts.peer_links >= facts.peer_links_max:
        return fault(NET_FULL, links=facts.peer_links)
    return None


def ack(message: Hello, own: Self, *, wall_ms: int) -> Ack:
    """The answer to a HELLO that `judge` let pass."""
    protocol = common_version(message.protocol_min, message.protocol_max)
    assert protocol is not None, "judged before"
    return Ack(protocol, own.chain, own.role, own.height, own.listen, wall_ms, message.nonce, own.program)


def reject(reason: Fault, alternatives: tuple[Known, ...] = ()) -> Reject:
    """A refusal as it is told to the other side."""
    text = ", ".join(f"{key}={_show(value)}" for key, value in reason.values.items())
    return Reject(reason.spec.name, text[:_TEXT_MAX], alternatives[:ALTERNATIVES_MAX])


def read_answer(payload: bytes, question: Hello) -> Ack | Reject:
    """The acceptor's answer to our HELLO.

    Raises:
        Fault: NET_MALFORMED, NET_WRONG_CHAIN or NET_VERSION, if it is not an answer to it.
    """
    message = read_link(payload)
    if isinstance(message, Reject):
        return message
    if not isinstance(message, Ack) or message.nonce != question.nonce:
        raise fault(NET_MALFORMED, why=f"{type(message).__name__} is no answer to this HELLO")
    if message.chain != question.chain:
        raise fault(NET_WRONG_CHAIN, acceptor_chain=message.chain, dialler_chain=question.chain)
    if not question.protocol_min <= message.protocol <= question.protocol_max:
        raise _version(message.protocol, message.protocol)
    return message


def told(message: Reject) -> Fault:
    """The other side's reason as a fault of our own table; `told` marks that it is its word."""
    spec = _BY_NAME.get(message.name)
    if spec is None:
        return fault(NET_CLOSED, told=message.name, text=message.text)
    return fault(spec, told=message.text or "no details")


def not_registered(*, node_key: bytes, address: str, evidence: str) -> Fault:
    """What the dialler concludes when a link ends after TLS and before any answer.

    In TLS 1.3 a refused dialler believes that the handshake succeeded, so only its own side can say this.
    """
    own = node_id(node_key).hex()
    return fault(
        NODE_UNREGISTERED,
        at=address,
        own_node_id=own,
        own_node_key=node_key,
        evidence=evidence,
        remedy=f"register node {own} on chain, or wait until {address} has applied the block that registers it",
    )


def _version(low: int, high: int) -> Fault:
    return fault(NET_VERSION, own=f"{PROTOCOL_MIN}..{PROTOCOL_MAX}", its=f"{low}..{high}")


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

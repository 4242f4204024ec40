"""Policies as data: who must agree before something may be done, and why a policy says no.

A policy is a small tree.  Leaves ask for approvals (of the owner, of one account, of holders of a role) or for a
chamber that carried a vote; inner parts are all, any, or at least so many of their parts.  One evaluator judges them
all, whoever asks: admission, key rotation, roles, proposals.  It knows no state: the caller says who approved and who
they are.

One account may count for several parts.  Who wants two people asks one leaf for two, or keeps them apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.errors import POLICY_INVALID, fault
from cccnode.types.scalars import U16, AccountId, Name

PARTS_MAX: Final = 16
"""Parts of one inner part."""
LEAVES_MAX: Final = 32
"""Leaves of a whole policy: bounds what judging it costs."""
DEPTH_MAX: Final = 4
"""Inner parts within one another."""


class Apart(IntEnum):
    """What holders of a role must not share, to count as several."""

    NOTHING = 0
    ORGANISATION = 1
    PILLAR = 2


class Owner(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """Whom it is about approves."""


class Holder(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """One certain account approves."""

    account: AccountId


class Role(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """So many holders of a role approve."""

    name: Name
    number: Annotated[int, Meta(ge=1, le=255)]
    apart: Apart


class Chamber(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """A chamber carried the proposal: a pillar's organisations, or the citizens."""

    pillar: Annotated[int, Meta(ge=1, le=4)]
    """Government 1, private 2, academia 3, citizens 4."""


class AllOf(Noun, tag=5, frozen=True, array_like=True, gc=False):
    """Each part holds."""

    parts: "Parts"


class AnyOf(Noun, tag=6, frozen=True, array_like=True, gc=False):
    """One part holds."""

    parts: "Parts"


class AtLeast(Noun, tag=7, frozen=True, array_like=True, gc=False):
    """So many parts hold."""

    number: Annotated[int, Meta(ge=1, le=PARTS_MAX)]
    parts: "Parts"


Policy = Owner | Holder | Role | Chamber | AllOf | AnyOf | AtLeast
Parts = Annotated[tuple[Policy, ...], Meta(min_length=1, max_length=PARTS_MAX)]


class Facts(Protocol):
    """What a policy is judged by."""

    @property
    def owner(self) -> bytes | None:
        """The account that it is about, if any."""

    @property
    def approving(self) -> Sequence[bytes]:
        """The accounts that approve, each once."""

    def has_role(self, account: bytes, name: str) -> bool:
        """Whether an active account holds a role."""

    def organisation(self, account: bytes) -> str:
        """The organisation that an account belongs to; empty where it belongs to none."""

    def pillar(self, account: bytes) -> int:
        """The pillar of an account, 0 for none."""

    def carried(self, pillar: int) -> bool:
        """Whether that chamber carried the proposal; False where there is none."""


class Verdict(Noun, frozen=True, array_like=True, gc=False):
    """What became of a part, and of the parts within it."""

    part: str
    """Which: `owner`, `holder`, `role`, `chamber`, `all_of`, `any_of`, `at_least`."""
    subject: str
    """Which role, account (hexadecimal) or chamber; empty for others."""
    needed: U16
    """Approvals or parts."""
    found: U16
    holds: bool
    parts: tuple["Verdict", ...]


def check(policy: Policy) -> None:
    """Refuse a policy that is too large, or that nobody could ever fulfil.

    Raises:
        Fault: core/POLICY_INVALID, with the reason.
    """
    depth, leaves = 0, 0
    level: list[Policy] = [policy]
    while level:
        inner = [part for part in level if isinstance(part, AllOf | AnyOf | AtLeast)]
        leaves += len(level) - len(inner)
        depth += bool(inner)
        if depth > DEPTH_MAX or leaves > LEAVES_MAX:
            raise fault(POLICY_INVALID, reason="too large", levels=depth, leaves=leaves)
        for part in inner:
            if isinstance(part, AtLeast) and part.number > len(part.parts):
                raise fault(POLICY_INVALID, reason="asks for more parts than it has", needed=part.number)
            if len(set(part.parts)) < len(part.parts):
                raise fault(POLICY_INVALID, reason="names a part twice")
        level = [part for row in inner for part in row.parts]


def judge(policy: Policy, facts: Facts) -> Verdict:
    """Whether a policy holds, and what each of its parts found."""
    match policy:
        case Owner():
            return _leaf("owner", "", 1, int(facts.owner is not None and facts.owner in facts.approving))
        case Holder(account=account):
            return _leaf("holder", account.hex(), 1, int(account in facts.approving))
        case Role(name=name, number=number):
            return _leaf("role", name, number, _holders(policy, facts))
        case Chamber(pillar=pillar):
            return _leaf("chamber", CHAMBERS[pillar], 1, int(facts.carried(pillar)))
        case AllOf(parts=parts):
            return _inner("all_of", len(parts), parts, facts)
        case AnyOf(parts=parts):
            return _inner("any_of", 1, parts, facts)
        case AtLeast(number=number, parts=parts):
            return _inner("at_least", number, parts, facts)


CHAMBERS: Final = ("", "government", "private", "academia", "citizens")
"""Names of the chambers, by pillar."""


def _leaf(part: str, subject: str, needed: int, found: int) -> Verdict:
    return Verdict(part, subject, needed, found, found >= needed, ())


def _inner(part: str, needed: int, parts: Iterable[Policy], facts: Facts) -> Verdict:
    verdicts = tuple(judge(one, facts) for one in parts)
    found = sum(verdict.holds for verdict in verdicts)
    return Verdict(part, "", needed, found, found >= needed, verdicts)


def _holders(role: Role, facts: Facts) -> int:
    """How many approving holders of a role count; each organisation or pillar once where they must be apart."""
    holders = [account for account in facts.approving if facts.has_role(account, role.name)]
    match role.apart:
        case Apart.NOTHING:
            return len(holders)
        case Apart.ORGANISATION:
            return len({facts.organisation(account) for account in holders} - {""})
        case Apart.PILLAR:
            return len({facts.pillar(account) for account in holders} - {0})


def reasons(verdict: Verdict, language: str = "en") -> Iterator[str]:
    """Why a policy says no: a line for each part that is missing; nothing where it holds."""
    if verdict.holds:
        return
    yield _SENTENCES[language][verdict.part](verdict)
    for part in verdict.parts:
        yield from (f"  {line}" for line in reasons(part, language))


_Sentence = Callable[[Verdict], str]
_SENTENCES: Final[dict[str, dict[str, _Sentence]]] = {
    "en": {
        "owner": lambda one: "the account itself has not approved",
        "holder": lambda one: f"account 0x{one.subject} has not approved",
        "role": lambda one: f"{one.needed} holders of the role {one.subject} must approve; {one.found} that count did",
        "chamber": lambda one: f"the chamber of {one.subject} has not carried it",
        "all_of": lambda one: f"all {one.needed} of these must hold; {one.found} do",
        "any_of": lambda one: "one of these must hold; none does",
        "at_least": lambda one: f"at least {one.needed} of these must hold; {one.found} do",
    },
    "th": {
        "owner": lambda one: "เจ้าของบัญชียังไม่ได้อนุมัติ",
        "holder": lambda one: f"บัญชี 0x{one.subject} ยังไม่ได้อนุมัติ",
        "role": lambda one: f"ต้องมีผู้ถือบทบาท {one.subject} อนุมัติ {one.needed} ราย ขณะนี้นับได้ {one.found}",
        "chamber": lambda one: f"สภา {one.subject} ยังไม่ได้ลงมติเห็นชอบ",
        "all_of": lambda one: f"ต้องเป็นจริงครบทั้ง {one.needed} ข้อ ขณะนี้ {one.found}",
        "any_of": lambda one: "ต้องเป็นจริงอย่างน้อยหนึ่งข้อ ขณะนี้ไม่มี",
        "at_least": lambda one: f"ต้องเป็นจริงอย่างน้อย {one.needed} ข้อ ขณะนี้ {one.found}",
    },
}

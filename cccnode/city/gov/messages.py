"""What members say when the city decides.  Tags 0x05nn; a number is never used again."""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.privacy import PublicText
from cccnode.types.scalars import U63, AccountId, Hash, Name

NUMBER: Final = 5

MESSAGES_MAX: Final = 8
"""Messages of one proposal."""
MESSAGE_BYTES_MAX: Final = 4_096
"""Bytes of one of them."""


class Kind(IntEnum):
    """What a proposal is about; its name is what messages say in `decided`."""

    TEXT = 0
    ADMIT_MEMBER = 1
    REMOVE_MEMBER = 2
    SPEND = 3
    PARAM = 4
    ROLE = 5
    ADMIT_ORGANISATION = 6
    REMOVE_ORGANISATION = 7
    ADMIT_VALIDATOR = 8
    REMOVE_VALIDATOR = 9
    UPGRADE = 10
    CHARTER = 11


class Choice(IntEnum):
    """A vote.  A veto is a no that can end a proposal alone when a third of all votes are vetoes."""

    YES = 0
    NO = 1
    ABSTAIN = 2
    VETO = 3


class Space(IntEnum):
    """What is delegated: the vote as one person, or the vote that grows with the root of what is bonded."""

    MEMBER = 0
    TOKEN = 1


Packed = Annotated[bytes, Meta(min_length=1, max_length=MESSAGE_BYTES_MAX)]
"""A message, [tag, fields...]."""


class GovPropose(Noun, tag=0x0501, frozen=True, array_like=True, gc=False):
    """Propose that the city does something, or says something."""

    kind: Kind
    messages: Annotated[tuple[Packed, ...], Meta(max_length=MESSAGES_MAX)]
    """What is carried out if it passes; none for a text."""
    title: Annotated[PublicText, Meta(min_length=1)]
    body: Hash
    """SHA-256 of the text, which is published elsewhere."""
    expedited: bool
    """A quarter of the time, no delay, and all four chambers must carry it; if they do not, it goes on as usual."""
    endorsed: bool
    """Without a deposit: voting begins once enough members have endorsed it."""


class GovEndorse(Noun, tag=0x0502, frozen=True, array_like=True, gc=False):
    """Support a proposal that was made without a deposit, so that it comes to a vote."""

    proposal: U63


class GovVote(Noun, tag=0x0503, frozen=True, array_like=True, gc=False):
    """Vote, or vote anew; for those too who delegated to the sender before and do not vote themselves."""

    proposal: U63
    choice: Choice


class GovDelegate(Noun, tag=0x0504, frozen=True, array_like=True, gc=False):
    """Let somebody vote for oneself in coming proposals, or nobody any more."""

    space: Space
    to: AccountId | None


class GovCancel(Noun, tag=0x0505, frozen=True, array_like=True, gc=False):
    """Take back an own proposal for which nobody has voted yet."""

    proposal: U63


class ParamSet(Noun, tag=0x0506, frozen=True, array_like=True, gc=False):
    """Set a parameter of a module, within its bounds."""

    module: Name
    name: Name
    value: int | bool | Name

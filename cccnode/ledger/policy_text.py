"""Policies as people write them: `any(owner, all(role(council, 2, pillar), account(ccc1...)))`.

owner                          whom it is about approves
account(ccc1...)               that account approves
role(council)                  one holder of the role approves
role(council, 2)               two of them; role(council, 2, pillar): of two pillars; or: organisation
chamber(citizens)              government, private, academia or citizens carried it
all(..., ...)  any(..., ...)  at_least(2, ..., ...)
"""

import re
from typing import Final

import msgspec

from cccnode.ledger.policies import (
    CHAMBERS,
    AllOf,
    AnyOf,
    Apart,
    AtLeast,
    Chamber,
    Holder,
    Owner,
    Policy,
    Role,
    check,
)
from cccnode.types.addresses import AddressError, account_text, parse_account
from cccnode.types.errors import POLICY_INVALID, fault

_TOKEN: Final = re.compile(r"\s*([a-z0-9_-]+|[(),])")
_NESTING_MAX: Final = 8
"""Parentheses within one another: above what any policy may have, so that reading one stays cheap."""


def parse_policy(text: str) -> Policy:
    """The policy that a text writes down, checked.

    Raises:
        Fault: core/POLICY_INVALID, with the reason.
    """
    tokens = _tokens(text)
    policy, rest = _part(tokens, 0)
    if rest:
        raise _invalid(f"more follows: {rest[0]}")
    try:
        # The bounds of numbers and names stand at the fields of the nouns.
        bounded: Policy = msgspec.convert(msgspec.to_builtins(policy, builtin_types=(bytes,)), Policy)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    check(bounded)
    return bounded


def _invalid(reason: str) -> Exception:
    return fault(POLICY_INVALID, reason=reason)


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _invalid(f"cannot read {text[place : place + 16]!r}")
        tokens.append(found.group(1))
        place = found.end()
    return tokens


def _part(tokens: list[str], depth: int) -> tuple[Policy, list[str]]:
    """One part of a policy, and the tokens after it."""
    if not tokens or depth > _NESTING_MAX:
        raise _invalid("a part is missing, or too deep")
    name, rest = tokens[0], tokens[1:]
    if name == "owner":
        return Owner(), rest
    if name in ("all", "any", "at_least"):
        return _inner(name, rest, depth)
    words, rest = _words(name, rest)
    return _leaf(name, words), rest


def _words(name: str, tokens: list[str]) -> tuple[list[str], list[str]]:
    """The plain words between parentheses, and the tokens after them."""
    if tokens[:1] != ["("] or ")" not in tokens:
        raise _invalid(f"{name} wants parentheses")
    end = tokens.index(")")
    inside = tokens[1:end]
    if len(inside) % 2 == 0 or any(mark != "," for mark in inside[1::2]) or "(" in inside:
        raise _invalid(f"{name} wants words with commas between them")
    return inside[::2], tokens[end + 1 :]


def _leaf(name: str, words: list[str]) -> Policy:
    match name, words:
        case "account", [text]:
            try:
                return Holder(parse_account(text))
            except AddressError as error:
                raise _invalid(str(error)) from None
        case "chamber", [pillar] if pillar in CHAMBERS:
            return Chamber(CHAMBERS.index(pillar))
        case "role", [role]:
            return Role(role, 1, Apart.NOTHING)
        case "role", [role, number]:
            return Role(role, _number(number), Apart.NOTHING)
        case "role", [role, number, ("organisation" | "pillar") as apart]:
            return Role(role, _number(number), Apart[apart.upper()])
        case _:
            raise _invalid(f"cannot read {name}({', '.join(words)})")


def _number(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 3:
        raise _invalid(f"{text} is not a small number")
    return int(text)


def _inner(name: str, tokens: list[str], depth: int) -> tuple[Policy, list[str]]:
    number = 0
    if name == "at_least" and len(tokens) > 2 and tokens[2] == ",":
        number, tokens = _number(tokens[1]), [tokens[0], *tokens[3:]]
    if tokens[:1] != ["("]:
        raise _invalid(f"{name} wants parentheses")
    parts: list[Policy] = []
    mark = ","
    tokens = tokens[1:]
    while mark == ",":
        part, tokens = _part(tokens, depth + 1)
        parts.append(part)
        if not tokens or tokens[0] not in (",", ")"):
            raise _invalid(f"{name} is not closed")
        mark, tokens = tokens[0], tokens[1:]
    if name == "at_least":
        return AtLeast(number, tuple(parts)), tokens
    return (AllOf if name == "all" else AnyOf)(tuple(parts)), tokens


def policy_text(policy: Policy) -> str:
    """The text that `parse_policy` reads."""
    match policy:
        case Owner():
            return "owner"
        case Holder(account=account):
            return f"account({account_text(account)})"
        case Chamber(pillar=pillar):
            return f"chamber({CHAMBERS[pillar]})"
        case Role(name=name, number=number, apart=apart):
            return f"role({name}, {number}{'' if apart is Apart.NOTHING else ', ' + apart.name.lower()})"
        case AllOf(parts=parts):
            return f"all({', '.join(map(policy_text, parts))})"
        case AnyOf(parts=parts):
            return f"any({', '.join(map(policy_text, parts))})"
        case AtLeast(number=number, parts=parts):
            return f"at_least({number}, {', '.join(map(policy_text, parts))})"

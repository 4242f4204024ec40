"""Everybody in the week: names, roles, money at the beginning, and keys that follow from the names.

The keys are no secrets: whoever reads this file has them.  They are for a demonstration, as its genesis says.
"""

from hashlib import sha256
from typing import Final, Literal, NamedTuple

from cccnode.crypto.signing import SigningKey
from cccnode.ledger.state import module_account
from cccnode.types.transaction import account_id
from genesis.document import PillarName

CCC: Final = 1_000_000
"""Base units of one CCC."""
TREASURY: Final = 600_000
"""CCC of the city's purse."""
VALIDATORS: Final = ("depa", "rangsit", "hospital-1", "company-1")
BONDED: Final = 20_000
"""CCC that each validator bonds from its own money."""
COMMISSION_BPS: Final = 2_000
MODULES: Final = ("bonded", "unbonding", "rewards", "gov", "fees", "market")
"""Module accounts that the tables name with `m:`."""


class Someone(NamedTuple):
    """Somebody with an account from the beginning."""

    name: str
    kind: Literal["person", "organisation", "service"]
    pillar: PillarName
    ccc: int
    roles: tuple[str, ...] = ()
    organisation: str | None = None


PEOPLE: Final[tuple[Someone, ...]] = (
    Someone("depa", "organisation", "government", 50_000, (), "depa"),
    Someone("rangsit", "organisation", "academia", 50_000, (), "rangsit"),
    Someone("hospital-1", "organisation", "government", 50_000, (), "hospital-1"),
    Someone("company-1", "organisation", "private", 100_000, (), "company-1"),
    Someone("company-2", "organisation", "private", 25_000, (), "company-2"),
    Someone("hospital-2", "organisation", "private", 25_000, (), "hospital-2"),
    Someone("farmer-1", "person", "citizens", 10_000, ("producer",)),
    Someone("farmer-2", "person", "citizens", 10_000, ("producer",)),
    Someone("consumer-1", "person", "citizens", 10_000),
    Someone("consumer-2", "person", "citizens", 10_000),
    Someone("founder-1", "person", "citizens", 10_000),
    Someone("arbitrator-1", "person", "citizens", 20_000, ("arbitrator",)),
    Someone("city-desk", "service", "none", 10_000),
    Someone("regulator-1", "service", "none", 2_000, ("regulator",), "depa"),
    Someone("regulator-2", "service", "none", 2_000, ("regulator",), "rangsit"),
    Someone("auditor-1", "service", "none", 4_000, ("auditor",), "rangsit"),
    Someone("oracle-1", "service", "none", 4_000, (), "company-2"),
    Someone("oracle-2", "service", "none", 4_000, (), "rangsit"),
    Someone("oracle-3", "service", "none", 4_000, (), "depa"),
)
NEWCOMERS: Final = ("newcomer-1", "newcomer-2")


def key_of(name: str) -> SigningKey:
    """The key of that name; everybody's first key has his own."""
    return SigningKey(sha256(b"ccc/week/" + name.encode()).digest())


def account_of(name: str) -> bytes:
    """The account of a person, an organisation, a module (`m:market`) or the treasury."""
    if name == "treasury":
        return module_account(name)
    if name.startswith("m:"):
        return module_account(name[2:])
    return account_id(key_of(name).public_key)


def everybody() -> tuple[str, ...]:
    """Every name that may have money."""
    return (*(one.name for one in PEOPLE), *NEWCOMERS, "treasury", *(f"m:{name}" for name in MODULES))

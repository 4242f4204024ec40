"""A city of people with roles and issued money, and its votes carried out without governance: for tests of modules."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from msgspec.structs import replace

from cccnode.city.members import MemApply
from cccnode.city.members.state import read_account, write_account
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.ledger.module import GOVERNANCE, PROPOSAL, Context
from cccnode.ledger.state import Overlay, writes_of
from cccnode.types.addresses import account_text
from cccnode.types.errors import Fault
from cccnode.types.transaction import account_id
from genesis.document import AssetEntry, Genesis, document_bytes, read_genesis
from tests.support.city import City, demo, key

THB_CAP = 500_000_000
ROLES = {
    "council": {"protected": True},
    "auditor": {},
    "regulator": {},
    "courier": {},
    "dispatcher": {"permissions": ["grant:courier"]},
}


def account(number: int) -> bytes:
    """One of the demo's four persons."""
    return demo().account(number)


def organisation(number: int) -> bytes:
    """The account of one of the demo's four organisations: government, academia, private, citizens."""
    return demo().partners[number].account


def founded(
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    holders: Mapping[bytes, list[str]] | None = None,
    personhood: Mapping[bytes, str] | None = None,
    issued: Mapping[str, Any] | None = None,
) -> Genesis:
    """The demo with roles, a baht voucher that organisation 2 issues, and what a test wants."""
    document = demo().genesis.document
    thb = {"issuer": account_text(organisation(2)), "backed": True, "freezable": True} | dict(issued or {})
    everything = {name: dict(values) for name, values in (parameters or {}).items()}
    everything.setdefault("members", {}).setdefault("sponsor_age_ms", 0)
    assets = (*document.assets, AssetEntry(id="thb", exponent=2, cap=str(THB_CAP)))
    city = {
        "members": {
            "charter": "ab" * 32,
            "roles": ROLES,
            "holders": {account_text(address): names for address, names in (holders or {}).items()},
            "personhood": {account_text(address): name for address, name in (personhood or {}).items()},
        },
        "bank": {"assets": {"thb": thb}},
    }
    return read_genesis(document_bytes(replace(document, assets=assets, parameters=everything, city=city)))


class People(City):
    """A city in memory whose organisations act too."""

    def send(self, message: Noun, by: int = 0, **changes: Any) -> str:
        """One transaction in a block: of a person (0 to 3), of an organisation (4 to 7), or of whoever has `key(by)`.

        Returns `ok` or the error's name.
        """
        owner = self.owner(by)
        given = {"by": account_id(owner.public_key), "keys": [owner]} | changes
        return self.name_of(self.run(self.sign(message, **given)).codes[0])

    def owner(self, number: int) -> SigningKey:
        """The first key of somebody."""
        if number < 4:
            return self.demo.accounts[number]
        return self.demo.partners[number - 4].owner if number < 8 else key(number)

    def name_of(self, code: int) -> str:
        return self.registry.errors[code].name if code else "ok"

    def apply(self, number: int) -> bytes:
        """Somebody new applies; the key is `key(number)`."""
        applicant: SigningKey = key(number)
        address = account_id(applicant.public_key)
        outcome = self.run(
            self.sign(MemApply(applicant.public_key, bytes(32), 1), by=address, keys=[applicant], fee_max=0)
        )
        assert (0,) == outcome.codes, self.name_of(outcome.codes[0])
        return address

    def decide(self, message: Noun, proposal: int = 1) -> str:
        """Carry a message out as the city's vote would; `ok` or the error's name."""
        overlay = Overlay(self.state)
        context = Context(
            overlay,
            self.header.height,
            self.now,
            self.registry.module_accounts,
            header=self.header,
            counters={PROPOSAL: proposal},
            city=self.registry,
        )
        row = self.registry.rows[type(message)]
        assert row.decided
        if row.check is not None:
            context.account = GOVERNANCE
            try:
                row.check(context, message)
            except Fault as refused:
                return refused.spec.name
        refused = context.attempt(GOVERNANCE, [message])
        self.state.apply(writes_of(overlay))
        return "ok" if refused is None else refused.spec.name

    def turn(self, address: bytes, **changes: Any) -> None:
        """Change the record of an account behind every rule's back."""
        overlay = Overlay(self.state)
        record = read_account(overlay, address)
        assert record is not None
        write_account(overlay, address, replace(record, **changes))
        overlay.commit()
        self.state.apply(writes_of(overlay))

    def listen(self, hook: str, listener: Callable[..., None]) -> None:
        """Another module listens, to this city alone."""
        grown = copy(self.registry)
        grown.hooks = {**self.registry.hooks, hook: (*self.registry.hooks.get(hook, ()), listener)}
        self.registry = grown

    def pass_time(self, more_ms: int) -> None:
        """An empty block, so much later."""
        self.run(time_ms=self.now + more_ms)

    def ask(self, method: str, *params: Any) -> Any:
        """The answer to a query."""
        return self.registry.answer(method, self.state, self.registry.queries[method].params(*params))

    def broken(self) -> list[str]:
        """Invariants that do not hold."""
        return self.registry.broken(self.state)

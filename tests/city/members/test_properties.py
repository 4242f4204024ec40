"""Whatever applicants, sponsors, guardians, the council and the city do, in whatever order: every invariant holds."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from cccnode.city.bank import BankRedeem, BankTransfer
from cccnode.city.members import (
    MemAdmit,
    MemAppeal,
    MemApply,
    MemApprove,
    MemKeepSuspended,
    MemLeave,
    MemRecoverCancel,
    MemRecoverStart,
    MemRemove,
    MemRotateKeys,
    MemSetGuardians,
    MemSponsor,
    MemSuspend,
    PolicySet,
    RoleDefine,
    RoleGrant,
    RoleRevoke,
    RoleSet,
    accounts,
    authority,
    joining,
    recovery,
    roles,
    rules,
)
from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Holding, Request
from cccnode.types.transaction import account_id
from tests.city.hostile import Hostile
from tests.city.people import account, founded, organisation

DAY = 86_400_000
HASH = bytes(32)
DOCUMENT = founded(
    parameters={"members": {"sponsor_quota": 2, "apply_ttl_ms": 3 * DAY, "recovery_delay_ms": DAY}},
    holders={
        account(0): ["council", "dispatcher"],
        account(1): ["courier"],
        organisation(0): ["council"],
        organisation(1): ["council", "dispatcher"],
    },
)
_who = st.integers(0, 11)
_role = st.sampled_from(["council", "courier", "dispatcher", "nothing"])
_subject = st.sampled_from(["admit_member", "rotate_keys", "role:courier"])
_policy = st.sampled_from(["", "owner", "role(council)", "role(council, 2, pillar)", "all(owner"])


class Members(RuleBasedStateMachine):
    """Four persons, four organisations, and up to four newcomers at a time; each does what he likes."""

    people: Hostile

    @initialize()
    def begin(self) -> None:
        self.people = Hostile(document=DOCUMENT)
        self.proposal = 0

    def address(self, who: int) -> bytes:
        actors = self.people.actors
        return actors[who % len(actors)]

    def decide(self, message: Any) -> None:
        self.proposal += 1
        self.people.decide(message, self.proposal)
        self.people.broken_rules += self.people.broken()

    @rule(charter=st.integers(1, 2))
    def apply(self, charter: int) -> None:
        people = self.people
        new = people.new_key()
        address = account_id(new.public_key)
        raw = people.sign(MemApply(new.public_key, HASH, charter), by=address, keys=[new], fee_max=0)
        if people.run(raw).codes == (0,):
            del people.actors[12:]
            people.actors.insert(8, address)

    @rule(who=_who, whom=_who)
    def sponsor(self, who: int, whom: int) -> None:
        self.people.act(MemSponsor(self.address(whom)), self.address(who))

    @rule(whom=_who, what=st.sampled_from([MemAdmit, MemRemove]))
    def vote(self, whom: int, what: Any) -> None:
        self.decide(what(self.address(whom)))
        self.people.act(what(self.address(whom)), self.address(0))

    @rule(who=_who, add=st.integers(0, 2), drop=st.integers(0, 2), threshold=st.integers(0, 3))
    def rotate(self, who: int, add: int, drop: int, threshold: int) -> None:
        people, address = self.people, self.address(who)
        old = people.signers(address)
        new = tuple(WeightedKey(people.new_key().public_key) for _ in range(add))
        gone = tuple(one.public_key for one in old[:drop])
        done = people.act(MemRotateKeys(new, gone, threshold, None), address)
        if done == "ok" and gone:
            people.act(BankTransfer(self.address(0), "uccc", 1), address, old[:drop])

    @rule(who=_who, guardians=st.lists(_who, max_size=3), threshold=st.integers(0, 3))
    def guard(self, who: int, guardians: list[int], threshold: int) -> None:
        chosen = tuple(self.address(one) for one in guardians)
        self.people.act(MemSetGuardians(chosen, threshold), self.address(who))

    @rule(who=_who, whom=_who, fresh=st.booleans(), threshold=st.integers(0, 2))
    def recover(self, who: int, whom: int, *, fresh: bool, threshold: int) -> None:
        people = self.people
        wanted = people.new_key() if fresh else people.owner(100)
        keys = (WeightedKey(wanted.public_key),)
        people.act(MemRecoverStart(self.address(whom), keys, threshold, None), self.address(who))

    @rule(who=_who)
    def object(self, who: int) -> None:
        self.people.act(MemRecoverCancel(), self.address(who))

    @rule(who=_who, whom=_who)
    def suspend(self, who: int, whom: int) -> None:
        self.people.act(MemSuspend(self.address(whom), HASH), self.address(who))

    @rule(whom=_who, days=st.integers(-1, 400))
    def keep(self, whom: int, days: int) -> None:
        self.decide(MemKeepSuspended(self.address(whom), self.people.now + days * DAY))

    @rule(who=_who)
    def exits(self, who: int) -> None:
        self.people.act(MemAppeal(HASH), self.address(who))
        self.people.act(BankRedeem("thb", 1, HASH), self.address(who))

    @rule(who=_who, whom=_who, role=_role)
    def grant(self, who: int, whom: int, role: str) -> None:
        self.people.act(RoleGrant(self.address(whom), role), self.address(who))

    @rule(who=_who, whom=_who, role=_role)
    def revoke(self, who: int, whom: int, role: str) -> None:
        self.people.act(RoleRevoke(self.address(whom), role), self.address(who))

    @rule(whom=_who, role=_role, held=st.booleans())
    def appoint(self, whom: int, role: str, *, held: bool) -> None:
        self.decide(RoleSet(self.address(whom), role, held))

    @rule(role=_role, protected=st.booleans())
    def define(self, role: str, *, protected: bool) -> None:
        self.decide(RoleDefine(role, ("grant:courier",) if role == "dispatcher" else (), protected))

    @rule(subject=_subject, policy=_policy)
    def policy(self, subject: str, policy: str) -> None:
        self.decide(PolicySet(subject, policy))

    @rule(who=_who, whom=_who, subject=_subject)
    def approve(self, who: int, whom: int, subject: str) -> None:
        self.people.act(MemApprove(subject, self.address(whom)), self.address(who))

    @rule(who=st.integers(2, 11))
    def leave(self, who: int) -> None:
        self.people.act(MemLeave(), self.address(who))

    @rule(days=st.integers(1, 8))
    def wait(self, days: int) -> None:
        self.people.pass_time(days * DAY)

    @invariant()
    def sound(self) -> None:
        """All invariants of the city, and what no single transaction may do."""
        if hasattr(self, "people"):
            self.people.broken_rules += self.people.broken()
            self.people.sound()


Members.TestCase.settings = settings(stateful_step_count=60)
TestMembers = Members.TestCase


def _busy() -> Iterator[list[str]]:
    """What every kind of step leaves broken, after each of them."""
    people = Hostile(document=DOCUMENT)
    newcomer = people.apply(9)
    old = people.owner(0)
    new, spare = people.new_key(), people.new_key()
    steps: list[Callable[[], str]] = [
        lambda: people.act(MemSponsor(newcomer), account(0)),
        lambda: people.act(MemRotateKeys((WeightedKey(new.public_key),), (old.public_key,), 1, None), account(0)),
        lambda: people.act(MemSetGuardians((account(0),), 1), account(2)),
        lambda: people.act(MemRecoverStart(account(2), (WeightedKey(spare.public_key),), 1, None), account(0)),
        lambda: people.act(RoleGrant(newcomer, "courier"), account(0)),
        lambda: people.decide(RoleSet(account(3), "council", held=True), 3),
        lambda: people.act(MemSuspend(account(2), HASH), account(0)),
        lambda: people.act(MemSuspend(account(2), HASH), organisation(1)),
        lambda: people.act(BankTransfer(account(0), "uccc", 1), account(2)),
        lambda: people.pass_time(DAY) or "",
        lambda: people.act(MemLeave(), account(1)),
        lambda: people.decide(MemRemove(newcomer), 4),
        lambda: people.act(BankTransfer(account(0), "uccc", 1), account(0), [old]),
    ]
    for step in steps:
        step()
        people.broken_rules += people.broken()
        yield people.broken_rules


REAL: dict[str, Any] = {"hold": roles.hold, "write_key": recovery.write_key}


def _unreachable(context: Any, message: Any) -> Request:
    return Request(message.keys, 200, None)


MUTANTS: list[tuple[str, Any, str, Callable[..., Any]]] = [
    ("MEM-1", recovery, "_checked", _unreachable),
    ("MEM-2", rules, "revoke_key", lambda *_: None),
    ("MEM-3", authority, "_may_leave", lambda *_: True),
    ("MEM-3", joining, "drop", lambda *_: None),
    ("MEM-4", accounts, "count_active", lambda *_: None),
    ("MEM-5", joining, "write_origin", lambda *_: None),
    (
        "MEM-6",
        roles,
        "hold",
        lambda state, address, role, holding: REAL["hold"](state, address, role, Holding(address, 0)),
    ),
    (
        "MEM-7",
        recovery,
        "write_key",
        lambda state, key, record: REAL["write_key"](state, key, replace(record, revoked_ms=1)),
    ),
    ("MEM-7", authority, "_weigh", lambda *_: None),
]


@pytest.mark.parametrize(("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[2]}" for row in MUTANTS])
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert [] == [text for found in _busy() for text in found]
    monkeypatch.setattr(where, what, mutant)

    assert any(text.startswith(name) for found in _busy() for text in found)

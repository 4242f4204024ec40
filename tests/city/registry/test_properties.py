"""Whatever organisations send, in whatever order: what must hold after every block."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cccnode.city.registry.messages import (
    RegistryAddNode,
    RegistryApprove,
    RegistryLeave,
    RegistryPause,
    RegistryPropose,
    RegistryRemoveNode,
    RegistryWithdraw,
    RemoveOrganisation,
    RemoveValidator,
)
from cccnode.city.registry.proposals import OPEN_MAX, OPEN_PER_ORGANISATION_MAX
from cccnode.city.registry.record import next_record
from cccnode.city.registry.state import read_flag
from cccnode.codec import Noun, decode, encode
from cccnode.types.limits import NODES_PER_ORGANISATION_MAX
from cccnode.types.validators import EpochRecord, faults
from tests.city.registry.town import Town
from tests.support.city import City

FOUNDERS = 5
PEERS = 3
NAMES = [f"org-{number:02}" for number in range(FOUNDERS + PEERS)]
KNOWN_CODES = {"ok", "tx/INSUFFICIENT_FEE_BALANCE"}

_who = st.sampled_from(NAMES)


class Organisations(RuleBasedStateMachine):
    """Five validators and three candidates, each doing what it likes, some of them silent for a while."""

    town: Town

    @initialize()
    def begin(self) -> None:
        self.town = Town(FOUNDERS, peers=PEERS)
        self.town.spin(3)
        self.used: set[bytes] = {row.consensus_key for row in self.town.record.validators}

    def send(self, name: str, message: Noun) -> None:
        (outcome,) = self.town.block((name, message))
        assert outcome in KNOWN_CODES or outcome.startswith(("registry/", "members/")), outcome

    @rule(name=_who)
    def add_node(self, name: str) -> None:
        _, offer = self.town.node()
        self.send(name, RegistryAddNode(offer.certificate, offer.addresses))

    @rule(name=_who, pick=st.integers(0, 20))
    def remove_node(self, name: str, pick: int) -> None:
        nodes = [row.node_key for row in self.town.ask("nodes")]
        self.send(name, RegistryRemoveNode(nodes[pick % len(nodes)] if nodes else bytes(32)))

    @rule(name=_who)
    def rotate(self, name: str) -> None:
        self.send(name, self.town.rotation(name))

    @rule(name=_who, message=st.sampled_from([RegistryPause(), RegistryLeave(), RegistryPause()]))
    def go(self, name: str, message: Noun) -> None:
        self.send(name, message)

    @rule(name=_who, about=_who, flagged=st.booleans(), kind=st.sampled_from([RemoveOrganisation, RemoveValidator]))
    def accuse(self, name: str, about: str, flagged: bool, kind: Any) -> None:
        self.send(name, RegistryPropose(kind(about), flagged))

    @rule(name=_who, about=st.sampled_from([*NAMES[FOUNDERS:], *NAMES]), flagged=st.booleans())
    def vouch(self, name: str, about: str, flagged: bool) -> None:
        self.send(name, RegistryPropose(self.town.candidacy(about), flagged))

    @rule(name=_who, number=st.integers(1, 9))
    def admit(self, name: str, number: int) -> None:
        self.send(name, RegistryPropose(self.town.admission(f"new-{number}"), False))

    @precondition(lambda self: self.town.ask("proposals"))
    @rule(names=st.sets(_who, min_size=5), pick=st.integers(0, 20), reached=st.booleans())
    def approve(self, names: set[str], pick: int, reached: bool) -> None:
        numbers = [row.number for row in self.town.ask("proposals")]
        for name in sorted(names):
            self.send(name, RegistryApprove(numbers[pick % len(numbers)], reached or name != "org-01"))

    @rule(name=_who, number=st.integers(1, 12))
    def withdraw(self, name: str, number: int) -> None:
        self.send(name, RegistryWithdraw(number))

    @rule(silent=st.sets(_who, max_size=2))
    def fall_silent(self, silent: set[str]) -> None:
        if set(self.town.members) - silent:
            self.town.silent = silent
            self.town.spin(16 * len(self.town.members))

    @rule()
    def days_pass(self) -> None:
        self.town.block(time_ms=self.town.header.time_ms + 2 * 86_400_000)

    @rule()
    def new_epoch(self) -> None:
        before, state = self.town.record, self.town.overlay
        flagged = {name for name in NAMES if read_flag(state, name) > before.epoch}
        after = self.town.turn()
        if not set(self.town.members) - self.town.silent:
            self.town.silent = set()
        old = {row.organisation: row.consensus_key for row in before.validators}
        new = {row.organisation: row.consensus_key for row in after.validators}
        changed = {name for name in {**old, **new} if old.get(name) != new.get(name)}
        assert len(changed - flagged) <= max(1, faults(len(old)))
        appeared = set(new.values()) - set(old.values())
        assert not appeared & self.used, "a consensus key came back"
        self.used |= appeared

    @invariant()
    def records_are_sound(self) -> None:
        """The next record names at least one validator, each with nodes that the network trusts, and decodes."""
        record = next_record(self.town.state, self.town.record)
        trusted = {row.node_key: row.organisation for row in self.town.ask("nodes")}
        assert record == decode(EpochRecord, encode(record))
        for current in (record, self.town.record):
            for validator in current.validators:
                assert validator.node_keys
                assert all(trusted.get(key) == validator.organisation for key in validator.node_keys)

    @invariant()
    def keys_are_unique(self) -> None:
        keys = [row.consensus_key for row in next_record(self.town.state, self.town.record).validators]
        assert len(set(keys)) == len(keys)

    @invariant()
    def proposals_are_bounded(self) -> None:
        rows = self.town.ask("proposals")
        assert len(rows) <= OPEN_MAX
        assert all(sum(row.proposer == name for row in rows) <= OPEN_PER_ORGANISATION_MAX for name in NAMES)
        groups = {group for group in self.town.state.groups if group.startswith(b"approval/")}
        assert groups <= {b"approval/" + row.number.to_bytes(8, "big") for row in rows}

    @invariant()
    def nodes_are_bounded(self) -> None:
        assert all(len(self.town.state.group(b"n/" + name.encode())) <= NODES_PER_ORGANISATION_MAX for name in NAMES)

    @invariant()
    def money_is_conserved(self) -> None:
        city = City.__new__(City)
        city.state = self.town.state
        assert self.town.demo.supply == city.total() == city.supply()


Organisations.TestCase.settings = settings(stateful_step_count=30)
TestOrganisations = Organisations.TestCase

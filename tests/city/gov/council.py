"""The week's city in memory, for decisions: people by name, messages packed, time in hours."""

from typing import Any

from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank import BankTransfer
from cccnode.city.gov import GovPropose, GovVote, ParamSet
from cccnode.city.gov.messages import Choice, Kind
from cccnode.city.gov.state import Proposal, read_proposal
from cccnode.city.members import MemApply, MemSponsor
from cccnode.city.registry.record import epoch_record
from cccnode.codec import Noun, encode
from cccnode.ledger.state import Overlay
from cccnode.ledger.transition import Execution, Outcome
from cccnode.week.city import make_city
from cccnode.week.people import account_of, key_of
from genesis.document import document_bytes, read_genesis
from tests.support.city import City, certify, receipts

HOUR_MS = 3_600_000
BODY = bytes(32)
PERSONS = ("farmer-1", "farmer-2", "consumer-1", "consumer-2", "founder-1", "arbitrator-1")
ORGANISATIONS = ("depa", "hospital-1", "company-1", "company-2", "hospital-2", "rangsit")
FEE_30 = ParamSet("market", "market_fee", 30)


class Council(City):
    """Six persons, six organisations of three pillars; every block's invariants are checked."""

    def __init__(self, **params: Any) -> None:
        document = make_city(certify=certify).genesis.document
        gov = {"valset_delay_ms": 0, **params}
        genesis = read_genesis(
            document_bytes(replace(document, parameters={**document.parameters, "gov": gov}, time_ms=1))
        )
        super().__init__(document=genesis)
        self.events: list[tuple[Any, ...]] = []
        self.broken: list[str] = []
        """Invariants that some block left broken; a test ends there unless it is `lenient`."""
        self.lenient = False

    def run(self, *raws: bytes, time_ms: int | None = None) -> Outcome:
        """The next block, executed with the record of its epoch."""
        header = self.next_header(time_ms)
        transactions = [self.verified(raw) for raw in raws]
        record = epoch_record(self.state, 0)
        outcome = Execution(self.registry, self.state, self.window, header, transactions, record).finish()
        self.state.apply(outcome.writes)
        self.window.add(header.height, header.time_ms, outcome.decided)
        self.header = header
        return outcome

    def pass_time(self, hours: float) -> None:
        """Let time pass, and a block come."""
        self._block(self.now + int(hours * HOUR_MS))

    def send(self, name: str, message: Noun, *, key: str | None = None) -> str:
        """Send one message: `ok`, or the name of the error."""
        raw = self.sign(message, by=account_of(name), keys=[key_of(key or name)])
        return self._block(None, raw)[0]

    def _block(self, time_ms: int | None, *raws: bytes) -> list[str]:
        outcome = self.run(*raws, time_ms=time_ms)
        rows = receipts(outcome)
        self.events = [event for row in rows for event in row.events]
        self.broken += CITY.broken(self.state)
        assert self.lenient or self.broken == []
        return ["ok" if row.code == 0 else CITY.errors[row.code].name for row in rows[: len(raws)]]

    def good(self, name: str, message: Noun) -> None:
        assert self.send(name, message) == "ok"

    def propose(self, name: str = "depa", *messages: Noun, kind: Kind = Kind.PARAM, **fields: Any) -> int:
        """Open a proposal: its number."""
        self.good(name, self.proposal(*messages, kind=kind, **fields))
        return max(number for number in range(1, 200) if read_proposal(Overlay(self.state), number) is not None)

    def proposal(self, *messages: Noun, kind: Kind = Kind.PARAM, **fields: Any) -> GovPropose:
        plain = GovPropose(kind, tuple(map(encode, messages)), "A title", BODY, False, False)
        return replace(plain, **fields)

    def vote(self, number: int, choice: Choice, *names: str) -> None:
        for name in names:
            self.good(name, GovVote(number, choice))

    def row(self, number: int) -> Proposal:
        found = read_proposal(Overlay(self.state), number)
        assert found is not None
        return found

    def status(self, number: int) -> str:
        return self.row(number).status.name

    def tally(self, number: int, chamber: int = 0) -> tuple[int, int, int, int]:
        row = self.row(number).tallies[chamber]
        return row.yes, row.no, row.veto, row.total

    def newcomer(self, name: str = "newcomer-1", sponsor: str = "farmer-1") -> None:
        """A person more."""
        raw = self.sign(
            MemApply(key_of(name).public_key, bytes(32), 1), by=account_of(name), keys=[key_of(name)], fee_max=0
        )
        assert self._block(None, raw) == ["ok"]
        self.good(sponsor, MemSponsor(account_of(name)))
        self.good("city-desk", BankTransfer(account_of(name), "uccc", 10**8))

    def money(self, name: str, asset: str = "uccc") -> int:
        return self.balance(account_of(name), asset)

"""An experiment in memory: baht that belongs to experiment 1, its owner, two regulators, and who takes part."""

from typing import Any

from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.state import write_asset
from cccnode.city.members.accounts import change_account
from cccnode.city.members.state import Kind, read_account
from cccnode.city.sandbox import SbxApprove, SbxJoin, SbxPropose, SbxStart
from cccnode.city.sandbox.messages import AssetLimit, Scope
from cccnode.city.sandbox.state import Experiment, Participant, read_experiment, read_participant, read_usage
from cccnode.codec import Noun
from cccnode.ledger.module import GOVERNANCE, Context
from cccnode.ledger.state import Overlay
from cccnode.types.errors import Fault
from tests.city.market.fair import DAY_MS, Fair

TERMS = b"\x07" * 32
PLAN = b"\x08" * 32
SCOPES = (Scope.BANK, Scope.MARKET)
PARTICIPANTS = ("farmer-1", "farmer-2", "consumer-1", "consumer-2", "company-2")


class Lab(Fair):
    """Company-1 is an organisation; baht belongs to experiment 1."""

    def __init__(self, roles: dict[str, tuple[str, ...]] | None = None, **fields: Any) -> None:
        super().__init__(roles, **fields)
        overlay = self.overlay
        write_asset(overlay, replace(self.asset(), sandbox_id=1))
        for name in ("company-1", "company-2"):
            owner = read_account(overlay, self.address(name))
            assert owner is not None
            context = self.context(overlay=overlay)
            change_account(context, self.address(name), owner, replace(owner, kind=Kind.ORGANISATION))
        self.keep(overlay)

    def proposal(self, **fields: Any) -> SbxPropose:
        """An experiment of 30 days with 50 participants; a test names what it wants otherwise."""
        plain = SbxPropose(
            title="Rice from farm to table",
            scopes=SCOPES,
            areas=("w4rq",),
            participants_max=50,
            limits=(AssetLimit("thb", 500_000_000, 20_000_000, None, None),),
            start_ms=self.now,
            end_ms=self.now + 30 * DAY_MS,
            risk=PLAN,
            exit=PLAN,
            terms=TERMS,
            regulators=(self.address("regulator-1"), self.address("regulator-2")),
        )
        return replace(plain, **fields)

    def limited(self, **limits: int) -> tuple[AssetLimit, ...]:
        """Limits of baht; those not named do not bind."""
        return (replace(AssetLimit("thb", None, None, None, None), **limits),)

    def open(self, **fields: Any) -> None:
        """Propose, approve twice, start; everybody joins."""
        self.good("company-1", self.proposal(**fields))
        self.approve()
        self.good("company-1", SbxStart(1))
        for name in PARTICIPANTS:
            self.good(name, SbxJoin(1, TERMS))

    def approve(self) -> None:
        for name in ("regulator-1", "regulator-2"):
            self.good(name, SbxApprove(1, PLAN))

    @property
    def experiment(self) -> Experiment:
        experiment = read_experiment(self.overlay, 1)
        assert experiment is not None
        return experiment

    @property
    def usage(self) -> Any:
        return read_usage(self.overlay, 1)

    def participant(self, name: str) -> Participant | None:
        return read_participant(self.overlay, 1, self.address(name))

    def context(self, account: bytes = GOVERNANCE, overlay: Overlay | None = None) -> Context:
        """The rules' view, a second after the newest block."""
        return Context(
            overlay or self.overlay,
            self.header.height + 1,
            self.now + 1_000,
            CITY.module_accounts,
            account=account,
            city=CITY,
        )

    def decide(self, message: Noun) -> str:
        """Carry a message out as the city's vote does: checked first, then executed."""
        context = self.context()
        row = CITY.rows[type(message)]
        assert row.check is not None
        try:
            row.check(context, message)
            CITY.handlers[type(message)](context, message)
        except Fault as refused:
            return refused.spec.name
        self.keep(context.state)
        return "ok"

    def enter(self, name: str, amount: int, what: str, number: int = 1, asset: str = "thb") -> str:
        """Ask the guard, as the other modules do."""
        context = self.context(self.address(name))
        try:
            context.call("sandbox/enter", number, self.address(name), asset, amount, what)
        except Fault as refused:
            return refused.spec.name
        self.keep(context.state)
        return "ok"

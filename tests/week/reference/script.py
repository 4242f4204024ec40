"""The week, row by row, as modules.md part 4 lists it; and what the reduced week leaves out.

A row is (step, day, time, actor, message, values).  A row in `LEFT_OUT` was in the whole week: what it moved is given,
as the whole week's own simulation found it, so that the tables of the two weeks can be compared to the last unit.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.week.reference.world import CCC


class Step(NamedTuple):
    """Who sends what, when."""

    name: str
    day: int
    time: str
    actor: str
    message: str
    values: Mapping[str, Any] = MappingProxyType({})
    payer: str | None = None
    """Who pays by a grant."""
    free: bool = False
    refused: bool = False
    """Never enters a block: nothing is paid."""


DESK = "city-desk"
MINTS = (
    ("consumer-1", 2_000_000),
    ("consumer-2", 2_000_000),
    ("treasury", 50_000_000),
    ("company-2", 31_000_000),
    ("newcomer-1", 500_000),
    ("farmer-2", 500_000),
    ("founder-1", 1_000_000),
)
JOINERS = (
    "farmer-1",
    "farmer-2",
    "consumer-1",
    "consumer-2",
    "founder-1",
    "arbitrator-1",
    "newcomer-1",
    "company-2",
    "rangsit",
)
STAKES = (
    ("consumer-1", "depa", 2_500),
    ("farmer-1", "rangsit", 3_600),
    ("founder-1", "rangsit", 900),
    ("arbitrator-1", "depa", 10_000),
)
VOTES_2 = (("consumer-1", "Y"), ("farmer-1", "Y"), ("founder-1", "Y"), ("arbitrator-1", "N"))
VOTES_3 = (
    ("depa", "Y"),
    ("company-1", "N"),
    ("company-2", "Y"),
    ("rangsit", "Y"),
    ("farmer-1", "Y"),
    ("consumer-1", "Y"),
    ("consumer-2", "N"),
    ("founder-1", "Y"),
)
VOTES_4 = ("depa", "hospital-1", "company-2", "hospital-2", "rangsit", "farmer-1", "consumer-1")


def _numbered(first: int, day: int, time: str, message: str, rows: list) -> list[Step]:
    """Steps of the same minute and message: (actor, values[, payer])."""
    return [Step(f"T{first + i}", day, time, row[0], message, row[1], *row[2:]) for i, row in enumerate(rows)]


def _votes(first: int, time: str, proposal: int, votes: tuple) -> list[Step]:
    return _numbered(
        first, 2, time, "GovVote", [(who, {"proposal": proposal, "choice": choice}) for who, choice in votes]
    )


STEPS: tuple[Step, ...] = (
    # Day 1: members, sandbox, money, stake
    Step("T1", 1, "09:00", "newcomer-1", "MemApply", free=True),
    Step("T2", 1, "09:05", "farmer-1", "MemSponsor", {"account": "newcomer-1"}),
    Step(
        "T3",
        1,
        "09:10",
        DESK,
        "FeeGrant",
        {"to": "newcomer-1", "budget": 100_000, "messages": ("SbxJoin", "GovDelegate", "GovVote")},
    ),
    Step("T4", 1, "09:15", "newcomer-2", "MemApply", free=True),
    Step("T5", 1, "09:20", "farmer-1", "GovPropose", {"kind": "admit_member", "member": "newcomer-2"}),
    Step(
        "T6",
        1,
        "10:00",
        "company-1",
        "SbxPropose",
        {
            "modules": ("bank", "market"),
            "regulators": ("regulator-1", "regulator-2"),
            "participants": 50,
            "per_tx": 20_000_000,
        },
    ),
    Step("T7", 1, "10:10", "regulator-1", "SbxApprove", {"sandbox": 1}),
    Step("T8", 1, "10:12", "regulator-2", "SbxApprove", {"sandbox": 1}),
    Step("T9", 1, "10:15", "company-1", "SbxStart", {"sandbox": 1}),
    *_numbered(
        10,
        1,
        "10:16",
        "SbxJoin",
        [(who, {"sandbox": 1}, *([DESK] if who == "newcomer-1" else [])) for who in JOINERS],
    ),
    Step("T19", 1, "10:20", "auditor-1", "BankAttestFloat", {"amount": 200_000_000}),
    *_numbered(20, 1, "10:30", "BankMint", [("company-1", {"to": to, "amount": amount}) for to, amount in MINTS]),
    Step("T27", 1, "10:40", "company-1", "BankMint", {"to": "company-1", "amount": 150_000_000}),
    *_numbered(
        28,
        1,
        "11:00",
        "StkDelegate",
        [(who, {"validator": validator, "amount": amount * CCC}) for who, validator, amount in STAKES],
    ),
    Step("T33", 1, "13:00", "newcomer-1", "GovDelegate", {"to": "farmer-1"}, DESK),
    *_numbered(
        34,
        1,
        "14:00",
        "GovVote",
        [(who, {"proposal": 1, "choice": "Y"}) for who in ("farmer-1", "consumer-1", "founder-1")],
    ),
    # Day 2: lots, orders, four proposals
    Step("T40", 2, "08:00", "farmer-1", "PrvCreateLot", {"quantity": 500_000}),
    Step("T41", 2, "08:10", "farmer-1", "MktList", {"lot": 1, "price": 4_000}),
    Step("T42", 2, "08:15", "farmer-2", "PrvCreateLot", {"quantity": 20_000}),
    Step("T43", 2, "08:20", "farmer-2", "MktList", {"lot": 2, "price": 4_500}),
    Step("T44", 2, "09:25", DESK, "FeeGrant", {"to": "newcomer-2", "budget": 100_000, "messages": ("SbxJoin",)}),
    Step("T45", 2, "09:30", "newcomer-2", "SbxJoin", {"sandbox": 1}, DESK),
    Step(
        "T46",
        2,
        "10:00",
        "consumer-1",
        "MktOrder",
        {"listing": 1, "quantity": 100_000, "carrier": "company-2", "transport": 60_000},
    ),
    Step(
        "T47",
        2,
        "10:10",
        "consumer-2",
        "MktOrder",
        {"listing": 1, "quantity": 50_000, "carrier": "company-2", "transport": 30_000},
    ),
    Step(
        "T48",
        2,
        "10:20",
        "consumer-1",
        "MktOrder",
        {"listing": 2, "quantity": 20_000, "carrier": None, "transport": 0},
    ),
    Step(
        "T49",
        2,
        "10:25",
        "consumer-2",
        "MktOrder",
        {"listing": 1, "quantity": 400_000, "carrier": None, "transport": 0},
    ),
    Step("T50", 2, "11:00", "farmer-1", "MktAccept", {"order": 1}),
    Step("T51", 2, "11:05", "farmer-1", "MktAccept", {"order": 2}),
    Step("T52", 2, "11:10", "farmer-1", "PrvSplit", {"lot": 1, "quantities": (100_000, 50_000)}),
    Step("T53", 2, "11:20", "farmer-1", "PrvOffer", {"lot": 3, "to": "company-2", "order": 1}),
    Step("T54", 2, "11:21", "farmer-1", "PrvOffer", {"lot": 4, "to": "company-2", "order": 2}),
    Step("T55", 2, "11:30", "company-2", "PrvAccept", {"lot": 3, "observed": 100_000}),
    Step("T56", 2, "11:31", "company-2", "PrvAccept", {"lot": 4, "observed": 50_000}),
    Step(
        "T57",
        2,
        "12:00",
        "depa",
        "GovPropose",
        {"kind": "spend", "asset": "thb", "to": "rangsit", "amount": 1_000_000},
    ),
    Step("T58", 2, "12:05", "rangsit", "GovPropose", {"kind": "param", "name": "market_fee", "value": 30}),
    Step(
        "T59",
        2,
        "12:10",
        "hospital-1",
        "GovPropose",
        {"kind": "admit_validator", "organisation": "hospital-2"},
    ),
    Step("T60", 2, "12:15", "consumer-2", "GovPropose", {"kind": "remove_member", "member": "farmer-2"}),
    *_votes(61, "13:00", 2, VOTES_2),
    *_votes(65, "13:10", 3, VOTES_3),
    Step("T73", 2, "14:00", "newcomer-1", "GovVote", {"proposal": 3, "choice": "N"}, DESK),
    *_votes(74, "14:10", 4, tuple((who, "Y") for who in VOTES_4)),
    Step("T81", 2, "14:20", "consumer-2", "GovVote", {"proposal": 5, "choice": "Y"}),
    Step("T82", 2, "16:00", "company-2", "PrvOffer", {"lot": 3, "to": "consumer-1", "order": 1}),
    Step("T83", 2, "16:01", "company-2", "PrvOffer", {"lot": 4, "to": "consumer-2", "order": 2}),
    Step("T84", 2, "16:10", "consumer-1", "PrvAccept", {"lot": 3, "observed": 100_000}),
    Step("T85", 2, "16:11", "consumer-2", "PrvAccept", {"lot": 4, "observed": 40_000}),
    Step("T86", 2, "17:00", "consumer-1", "MktConfirm", {"order": 1}),
    Step("T87", 2, "17:10", "consumer-2", "MktDispute", {"order": 2}),
    Step("T88", 2, "18:00", "consumer-1", "StkUndelegate", {"validator": "depa", "amount": 500 * CCC}),
    # Day 3: the ruling
    Step(
        "T89",
        3,
        "09:00",
        "arbitrator-1",
        "MktRule",
        {"order": 2, "buyer_goods_bps": 2_000, "carrier_bps": 5_000, "fault": "carrier"},
    ),
    # Day 4: what was decided takes effect; an order at the new fee
    Step("T110", 4, "12:50", "consumer-1", "BankTransfer", {"to": "newcomer-2", "asset": "thb", "amount": 20_000}),
    Step(
        "T119",
        4,
        "13:30",
        "consumer-1",
        "MktOrder",
        {"listing": 1, "quantity": 10_000, "carrier": "company-2", "transport": 6_000},
    ),
    Step("T120", 4, "14:00", "farmer-1", "MktAccept", {"order": 4}),
    Step("T121", 4, "14:05", "farmer-1", "PrvSplit", {"lot": 1, "quantities": (10_000,)}),
    Step("T122", 4, "14:10", "farmer-1", "PrvOffer", {"lot": 5, "to": "company-2", "order": 4}),
    Step("T123", 4, "14:20", "company-2", "PrvAccept", {"lot": 5, "observed": 10_000}),
    Step("T124", 4, "17:00", "company-2", "PrvOffer", {"lot": 5, "to": "consumer-1", "order": 4}),
    Step("T125", 4, "17:10", "consumer-1", "PrvAccept", {"lot": 5, "observed": 10_000}),
    # Day 7: a pause, a redemption, new keys, rewards
    Step("T160", 7, "12:00", "regulator-1", "SbxPause", {"sandbox": 1}),
    Step(
        "T161",
        7,
        "12:05",
        "consumer-2",
        "MktOrder",
        {"listing": 1, "quantity": 1_000, "carrier": None, "transport": 0},
    ),
    Step("T162", 7, "12:10", "farmer-1", "BankRedeem", {"amount": 100_000}),
    Step("T163", 7, "12:20", "regulator-1", "SbxResume", {"sandbox": 1}),
    Step("T164", 7, "12:21", "regulator-2", "SbxResume", {"sandbox": 1}),
    Step("T165", 7, "13:00", "consumer-1", "MemRotateKeys"),
    Step(
        "T165b",
        7,
        "13:05",
        "consumer-1",
        "BankTransfer",
        {"to": "newcomer-2", "asset": "thb", "amount": 1},
        refused=True,
    ),
    Step("T166", 7, "13:10", "consumer-1", "StkClaim", {"validator": "depa"}),
    Step("T179", 7, "22:00", "farmer-1", "StkClaim", {"validator": "rangsit"}),
    Step("T180", 7, "22:10", "depa", "StkClaimCommission"),
)


class Left(NamedTuple):
    """A step of the whole week that this week leaves out; an empty name is a rule at the end of a block."""

    name: str
    day: int
    time: str
    payer: str
    why: str
    moved: tuple[tuple[str, str, str, int], ...] = ()
    """(asset, from, to, amount)."""


_LENDING, _PROJECTS, _HEALTH = "needs lending", "needs projects", "needs health"
_RESOURCES, _KNOWLEDGE, _FEEDBACK = "needs resources", "needs knowledge", "needs feedback"
_POOL, _COLLATERAL, _FUND, _PLEDGES = "m:lending", "m:collateral", "m:qf", "m:projects"

LEFT_OUT: tuple[Left, ...] = (
    Left("T32", 1, "12:00", "company-2", _LENDING, (("thb", "company-2", _POOL, 20_000_000),)),
    Left("T37", 1, "15:00", "founder-1", _PROJECTS),
    Left("T38", 1, "15:10", "farmer-2", _PROJECTS),
    Left("T39", 1, "21:00", "company-1", _LENDING, (("uccc", "company-1", "m:farm", 700 * CCC),)),
    *(
        Left(f"T{90 + i}", 3, "10:00", who, _FEEDBACK)
        for i, who in enumerate(("consumer-1", "farmer-1", "consumer-1", "farmer-1"))
    ),
    *(Left(f"T{94 + i}", 4, "07:50", f"oracle-{i + 1}", _LENDING) for i in range(3)),
    Left("T97", 4, "07:58", "farmer-1", _LENDING, (("uccc", "farmer-1", _COLLATERAL, 5_000 * CCC),)),
    Left("T98", 4, "08:00", "farmer-1", _LENDING, (("thb", _POOL, "farmer-1", 2_000_000),)),
    Left("T99", 4, "08:58", "consumer-2", _LENDING, (("uccc", "consumer-2", _COLLATERAL, 1_000 * CCC),)),
    Left("T100", 4, "09:00", "consumer-2", _LENDING, (("thb", _POOL, "consumer-2", 500_000),)),
    Left("T101", 4, "09:01", "consumer-2", _LENDING),
    *(
        Left(f"T{102 + i}", 4, f"{10 + i // 5}:{i:02}", payer, _HEALTH)
        for i, payer in enumerate(
            (
                "hospital-1",
                "hospital-1",
                "hospital-1",
                "hospital-1",
                "hospital-1",
                "hospital-2",
                "hospital-1",
                "hospital-2",
            )
        )
    ),
    *(
        Left(f"T{111 + i}", 4, "13:00", DESK if who == "newcomer-1" else who, _PROJECTS, (("thb", who, _FUND, 90_000),))
        for i, who in enumerate(("consumer-1", "consumer-2", "farmer-1", "newcomer-1"))
    ),
    Left("T115", 4, "13:10", DESK, _PROJECTS, (("thb", "newcomer-1", _FUND, 160_000),)),
    Left("T116", 4, "13:10", "consumer-2", _PROJECTS, (("thb", "consumer-2", _FUND, 10_000),)),
    Left("T117", 4, "13:10", DESK, _PROJECTS, (("thb", "newcomer-2", _FUND, 10_000),)),
    Left("T118", 4, "13:20", "founder-1", _PROJECTS),
    Left("T126", 5, "09:00", "depa", _PROJECTS),
    Left("T127", 5, "09:05", "company-1", _PROJECTS),
    Left("T128", 5, "09:10", "company-2", _PROJECTS, (("thb", "company-2", _PLEDGES, 10_000_000),)),
    Left("T129", 5, "09:15", "rangsit", _PROJECTS),
    Left("T130", 5, "09:20", "founder-1", _PROJECTS),
    Left("T131", 5, "11:00", "hospital-2", _HEALTH),
    Left("T132", 5, "11:01", "hospital-2", _HEALTH),
    Left("T133", 5, "11:05", "hospital-1", _HEALTH),
    Left("T134", 5, "14:00", "rangsit", _RESOURCES),
    Left("T135", 5, "15:00", "founder-1", _RESOURCES, (("thb", "founder-1", "m:resources", 25_000),)),
    Left("T136", 5, "15:05", "farmer-2", _RESOURCES),
    Left("T137", 5, "15:10", "farmer-2", _RESOURCES, (("thb", "farmer-2", "m:resources", 15_000),)),
    Left("T138", 6, "09:00", "founder-1", _RESOURCES),
    *(Left(f"T{139 + i}", 6, "09:50", f"oracle-{i + 1}", _LENDING) for i in range(3)),
    Left(
        "T142",
        6,
        "10:00",
        "company-2",
        _LENDING,
        (("thb", "company-2", _POOL, 250_023), ("uccc", _COLLATERAL, "company-2", 437_540_250)),
    ),
    Left("T143", 6, "10:01", "company-2", _LENDING),
    Left(
        "T144",
        6,
        "11:00",
        "farmer-2",
        _RESOURCES,
        (("thb", "m:resources", "farmer-2", 12_500), ("thb", "m:resources", "rangsit", 2_500)),
    ),
    Left(
        "",
        6,
        "12:00",
        "",
        _PROJECTS,
        (
            ("thb", _FUND, "project-1", 360_000 + 800_000),
            ("thb", _FUND, "project-2", 180_000 + 142_857),
            ("thb", _FUND, "treasury", 57_143),
        ),
    ),
    Left("T145", 6, "12:01", "founder-1", _RESOURCES),
    Left(
        "T146",
        6,
        "12:30",
        "rangsit",
        _RESOURCES,
        (("thb", "m:resources", "rangsit", 15_000), ("thb", "m:resources", "founder-1", 10_000)),
    ),
    Left("T147", 6, "13:00", "auditor-1", _HEALTH),
    Left("T148", 6, "14:00", "hospital-2", _HEALTH),
    *(
        Left(f"T{149 + i}", 6, f"{15 + i // 2}:00", who, _KNOWLEDGE)
        for i, who in enumerate(("rangsit", DESK, "rangsit", "rangsit", "founder-1", "farmer-2"))
    ),
    Left("T155", 7, "08:10", "consumer-2", _FEEDBACK),
    Left("T156", 7, "08:11", "consumer-2", _FEEDBACK),
    Left("T157", 7, "08:30", "consumer-2", _FEEDBACK),
    Left("T158", 7, "09:00", "founder-1", _FEEDBACK),
    Left("T159", 7, "10:00", "rangsit", _KNOWLEDGE),
    *(
        Left(f"T{167 + i}", 7, "14:00", who, _HEALTH)
        for i, who in enumerate(("hospital-1", "hospital-1", "hospital-1", "hospital-2"))
    ),
    Left("T171", 7, "15:30", "consumer-2", _FEEDBACK),
    Left("T172", 7, "16:00", "founder-1", _PROJECTS),
    Left("T173", 7, "16:10", "depa", _PROJECTS),
    Left("T174", 7, "16:15", "rangsit", _PROJECTS, (("thb", _PLEDGES, "project-1", 4_000_000),)),
    Left("T175", 7, "17:00", "farmer-2", _PROJECTS),
    Left("T176", 7, "20:00", "farmer-1", _LENDING, (("thb", "farmer-1", _POOL, 2_000_307),)),
    Left("T177", 7, "20:05", "farmer-1", _LENDING, (("uccc", _COLLATERAL, "farmer-1", 5_000 * CCC),)),
    Left("T178", 7, "21:00", "company-2", _LENDING, (("uccc", "m:farm", "company-2", 600 * CCC),)),
)

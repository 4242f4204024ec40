"""Members, fee grants, money with an issuer, and the research sandbox."""

from tests.week.reference.world import HOUR, World, need

THB_CAP = 500_000_000
FLOAT_AGE_MAX = 24 * HOUR
SANDBOX_DAYS = 30
EXEMPT = ("treasury",)
"""Holders that the sandbox's guard lets pass, beside module accounts."""


# Members --------------------------------------------------------------------------------------------------------------


def mem_apply(world: World, who: str) -> None:
    """A new key asks to become a member; free."""
    need(who not in world.accounts, "members/PK_USED")
    world.accounts[who] = {"kind": "person", "pillar": "citizens", "status": "pending", "personhood": 0, "roles": set()}


def mem_sponsor(world: World, who: str, *, account: str) -> None:
    """A member vouches for an applicant."""
    need(world.active(who), "members/STATE")
    need(world.accounts.get(account, {}).get("status") == "pending", "members/STATE")
    seen_in_person = world.accounts[who]["kind"] == "organisation"
    world.accounts[account].update(status="active", personhood=2 if seen_in_person else 1)


def mem_rotate_keys(world: World, who: str) -> None:
    """A new key takes the place of the old one."""
    world.accounts[who]["keys"] = world.accounts[who].get("keys", 1) + 1


def fee_grant(world: World, who: str, *, to: str, budget: int, messages: tuple) -> None:
    """Pay somebody's fees for messages of these kinds."""
    need((who, to) not in world.grants, "bank/EXISTS")
    need(world.active(to), "bank/UNKNOWN_ACCOUNT")
    world.grants[who, to] = {"left": budget, "used": 0, "messages": messages}


# Money with an issuer -------------------------------------------------------------------------------------------------


def bank_attest_float(world: World, who: str, *, amount: int) -> None:
    """An auditor has seen so much money behind the vouchers."""
    need(world.has_role(who, "auditor"), "bank/NOT_AUDITOR")
    world.float_limit = amount


def bank_mint(world: World, who: str, *, to: str, amount: int) -> None:
    """The issuer makes vouchers: never above the cap, never above what lies behind them."""
    need(who == "company-1", "bank/NOT_ISSUER")
    need(world.supply["thb"] + amount <= THB_CAP, "bank/CAP")
    need(world.supply["thb"] + amount <= world.float_limit, "bank/FLOAT_EXCEEDED")
    enter(world, to, amount, "mint")
    world.mint("thb", to, amount)


def bank_redeem(world: World, who: str, *, amount: int) -> None:
    """Vouchers back to the issuer: an exit, which the sandbox never stops."""
    world.burn("thb", who, amount)


def bank_transfer(world: World, who: str, *, to: str, asset: str, amount: int) -> None:
    """Send money."""
    need(amount > 0, "bank/ZERO")
    if asset == "thb":
        enter(world, who, amount, "transfer")
        enter(world, to, amount, "transfer")
    world.move(asset, who, to, amount)


# Research sandbox -----------------------------------------------------------------------------------------------------


def sbx_propose(world: World, who: str, *, modules: tuple, regulators: tuple, participants: int, per_tx: int) -> None:
    """An organisation describes an experiment."""
    need(world.accounts[who]["kind"] == "organisation", "sandbox/NOT_ORGANISATION")
    need(len(regulators) >= 2, "sandbox/REGULATORS")
    world.sandbox = {
        "owner": who,
        "modules": modules,
        "regulators": regulators,
        "participants_max": participants,
        "per_tx": per_tx,
        "status": "DRAFT",
        "approvals": set(),
        "resuming": set(),
        "participants": set(),
    }


def sbx_approve(world: World, who: str, *, sandbox: int) -> None:
    """A named regulator agrees; two make it approved."""
    need(who in world.sandbox["regulators"], "sandbox/NOT_REGULATOR")
    world.sandbox["approvals"].add(who)
    if len(world.sandbox["approvals"]) >= 2:
        world.sandbox["status"] = "APPROVED"


def sbx_start(world: World, who: str, *, sandbox: int) -> None:
    """The owner begins."""
    need(who == world.sandbox["owner"], "sandbox/NOT_OWNER")
    need(world.sandbox["status"] == "APPROVED", "sandbox/STATE")
    world.sandbox["status"] = "RUNNING"


def sbx_join(world: World, who: str, *, sandbox: int) -> None:
    """A member agrees to the terms."""
    need(world.sandbox["status"] == "RUNNING", "sandbox/STATE")
    need(len(world.sandbox["participants"]) < world.sandbox["participants_max"], "sandbox/FULL")
    world.sandbox["participants"].add(who)


def sbx_pause(world: World, who: str, *, sandbox: int) -> None:
    """One regulator stops it at once."""
    need(who in world.sandbox["regulators"], "sandbox/NOT_REGULATOR")
    world.sandbox.update(status="PAUSED", resuming=set())


def sbx_resume(world: World, who: str, *, sandbox: int) -> None:
    """Two regulators let it go on."""
    need(who in world.sandbox["regulators"], "sandbox/NOT_REGULATOR")
    need(world.sandbox["status"] == "PAUSED", "sandbox/STATE")
    world.sandbox["resuming"].add(who)
    if len(world.sandbox["resuming"]) >= 2:
        world.sandbox["status"] = "RUNNING"


def enter(world: World, who: str, amount: int, what: str) -> None:
    """The guard: whoever takes vouchers on takes part, while the experiment runs and within its limits."""
    if who in EXEMPT or who.startswith("m:"):
        return
    need(world.sandbox.get("status") != "PAUSED", "sandbox/PAUSED")
    need(world.sandbox.get("status") == "RUNNING", "sandbox/STATE")
    need(who in world.sandbox["participants"], "sandbox/NOT_PARTICIPANT")
    need(what == "mint" or amount <= world.sandbox["per_tx"], "sandbox/LIMIT")

"""Proposals: who may vote with what weight is fixed when a proposal is made; ballots are counted in full each time.

Counting everything anew from the list of ballots is slower than keeping sums, and cannot drift.
"""

from math import isqrt

from tests.week.reference.staking import bonded
from tests.week.reference.world import BPS, CCC, DAY, Fail, World, need

DEPOSIT = 100 * CCC
VOTING = DAY
OPEN_MAX = 3
VALIDATOR_DELAY = 4 * DAY
PILLARS = ("government", "private", "academia", "citizens")
"""The order is that of the expected table; a pillar's chamber has one vote for each of its organisations."""

# kind -> mode, quorum (of the chambers of organisations and of citizens, where these vote), threshold, timelock
RULES = {
    "admit_member": ("member", 3_000, 5_000, 0),
    "remove_member": ("member", 5_000, 6_666, DAY),
    "spend": ("quadratic", 3_000, 5_000, DAY),
    "param": ("chambers", (5_000, 3_000), 5_000, DAY),
    "admit_validator": ("chambers", (5_000, 3_000), 5_000, DAY),
}
CHAMBERS_NEEDED = 3
"""Of four, and the citizens' is one of them."""


def gov_propose(world: World, who: str, *, kind: str, **what: object) -> None:
    """Open a vote; 100 CCC are held until it ends."""
    need(world.active(who), "gov/NOT_A_MEMBER")
    mine = [row for row in world.proposals.values() if row["proposer"] == who and row["status"] == "VOTING"]
    need(len(mine) < OPEN_MAX, "gov/TOO_MANY")
    world.move("uccc", who, "m:gov", DEPOSIT)
    number = len(world.proposals) + 1
    mode = RULES[kind][0]
    world.proposals[number] = {
        "kind": kind,
        "what": what,
        "proposer": who,
        "end": world.now + VOTING,
        "status": "VOTING",
        "votes": {},
        "electorates": _electorates(world, mode),
        "delegates": dict(world.delegates),
        "tallies": {},
        "passed_chambers": [],
    }
    world.later(world.now + VOTING, "voting_ends", number=number)


def _electorates(world: World, mode: str) -> dict:
    """Chamber -> {voter: weight}, as it is now."""
    if mode == "member":
        return {"all": dict.fromkeys(world.persons(), 1)}
    if mode == "quadratic":
        vouched = [name for name in world.persons() if world.accounts[name]["personhood"] >= 1]
        return {"all": {name: isqrt(bonded(world, name)) for name in vouched if bonded(world, name)}}
    chambers: dict = {pillar: {} for pillar in PILLARS}
    for name, row in sorted(world.accounts.items()):
        if row["kind"] == "organisation" and world.active(name):
            chambers[row["pillar"]][name] = 1
    chambers["citizens"] = dict.fromkeys(world.persons(), 1)
    return chambers


def gov_delegate(world: World, who: str, *, to: str) -> None:
    """From the next proposal on, `to` votes for me too, unless I vote myself."""
    need(world.active(to) and to != who, "gov/NO_DELEGATE")
    world.delegates[who] = to


def gov_vote(world: World, who: str, *, proposal: int, choice: str) -> None:
    """Vote, or vote anew."""
    row = world.proposals[proposal]
    need(row["status"] == "VOTING" and world.now < row["end"], "gov/CLOSED")
    need(world.active(who) and any(_weight(row, name, who) for name in row["electorates"]), "gov/NO_WEIGHT")
    row["votes"][who] = choice


def _weight(row: dict, chamber: str, who: str) -> int:
    """Own weight, and of whoever delegated before the snapshot to a voter that votes."""
    voters = row["electorates"][chamber]
    return voters.get(who, 0) + sum(voters.get(one, 0) for one, to in row["delegates"].items() if to == who)


def count(row: dict) -> dict:
    """Chamber -> {Y, N, A, V, total}: each voter's weight once, own vote before the delegate's."""
    counted = {}
    for chamber, voters in row["electorates"].items():
        sums = {"Y": 0, "N": 0, "A": 0, "V": 0}
        for voter, weight in voters.items():
            choice = row["votes"].get(voter) or row["votes"].get(row["delegates"].get(voter))
            if choice:
                sums[choice] += weight
        counted[chamber] = {**sums, "total": sum(voters.values())}
    return counted


def _reached(count: dict, quorum: int) -> bool:
    cast = count["Y"] + count["N"] + count["A"] + count["V"]
    return count["total"] > 0 and cast * BPS >= quorum * count["total"]


def _won(count: dict, threshold: int) -> bool:
    against, cast = count["N"] + count["V"], count["Y"] + count["N"] + count["A"] + count["V"]
    said = count["Y"] + against
    return said > 0 and count["Y"] * BPS > threshold * said and count["V"] * 3 <= cast


def _verdict(row: dict) -> str:
    mode, quorum, threshold, _ = RULES[row["kind"]]
    if mode != "chambers":
        count = row["tallies"]["all"]
        if not _reached(count, quorum):
            return "REJECTED_QUORUM"
        return "PASSED" if _won(count, threshold) else "REJECTED"
    for chamber, count in row["tallies"].items():
        if _reached(count, quorum[chamber == "citizens"]) and _won(count, threshold):
            row["passed_chambers"].append(chamber)
    enough = len(row["passed_chambers"]) >= CHAMBERS_NEEDED and "citizens" in row["passed_chambers"]
    return "PASSED" if enough else "REJECTED"


def voting_ends(world: World, *, number: int) -> None:
    """Count; the deposit goes back; what passed is carried out when its timelock is over."""
    row = world.proposals[number]
    row["tallies"] = count(row)
    row["status"] = _verdict(row)
    world.move("uccc", "m:gov", row["proposer"], DEPOSIT)
    if row["status"] == "PASSED":
        lock = RULES[row["kind"]][3]
        if lock:
            world.later(row["end"] + lock, "carried_out", number=number)
        else:
            carried_out(world, number=number)


def carried_out(world: World, *, number: int) -> None:
    """Do what was decided."""
    row, what = world.proposals[number], world.proposals[number]["what"]
    try:
        match row["kind"]:
            case "admit_member":
                need(world.accounts[what["member"]]["status"] == "pending", "members/STATE")
                world.accounts[what["member"]].update(status="active", personhood=1)
            case "spend":
                world.move(what["asset"], "treasury", what["to"], what["amount"])
            case "param":
                world.market_fee = what["value"]
            case "admit_validator":
                world.coming_validators[what["organisation"]] = world.now + VALIDATOR_DELAY
        row["status"] = "EXECUTED"
    except Fail:
        row["status"] = "FAILED"

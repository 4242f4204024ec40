"""Stake and rewards: plain amounts, a reward index for each validator, what cannot be divided is carried on."""

from tests.week.reference.world import BPS, CCC, DAY, World, need

WAD = 10**18
UNBOND = 3 * DAY
VALIDATORS_SHARE = 7_000
"""Of the fees, basis points."""
SELF_BOND = 20_000 * CCC
COMMISSION = 2_000
UNBONDING_MAX = 16


def bond_genesis(world: World, validators: tuple) -> None:
    """The validators' own stake."""
    for name in validators:
        world.validators[name] = {"tokens": 0, "index": 0, "rest": 0, "commission_bps": COMMISSION, "due": 0}
        _bond(world, name, name, SELF_BOND)


def _settled(world: World, validator: str, who: str) -> dict:
    """A bond with its reward up to now."""
    index = world.validators[validator]["index"]
    bond = world.bonds.setdefault((validator, who), {"amount": 0, "index": index, "pending": 0})
    bond["pending"] += (index - bond["index"]) * bond["amount"] // WAD
    bond["index"] = index
    return bond


def _bond(world: World, validator: str, who: str, amount: int) -> None:
    world.move("uccc", who, "m:bonded", amount)
    _settled(world, validator, who)["amount"] += amount
    world.validators[validator]["tokens"] += amount


def stk_delegate(world: World, who: str, *, validator: str, amount: int) -> None:
    """Stake with a validator."""
    need(validator in world.validators, "staking/NO_VALIDATOR")
    need(amount >= CCC, "staking/TOO_LITTLE")
    _bond(world, validator, who, amount)


def stk_undelegate(world: World, who: str, *, validator: str, amount: int) -> None:
    """Take stake back: the money is free after the unbonding time."""
    bond = _settled(world, validator, who)
    need(bond["amount"] >= amount, "staking/TOO_MUCH")
    bond["amount"] -= amount
    world.validators[validator]["tokens"] -= amount
    world.move("uccc", "m:bonded", "m:unbonding", amount)
    world.later(world.now + UNBOND, "unbonded", who=who, amount=amount)


def unbonded(world: World, *, who: str, amount: int) -> None:
    """The unbonding time is over."""
    world.move("uccc", "m:unbonding", who, amount)


def stk_claim(world: World, who: str, *, validator: str) -> int:
    """Take the reward."""
    bond = _settled(world, validator, who)
    amount, bond["pending"] = bond["pending"], 0
    world.move("uccc", "m:rewards", who, amount)
    return amount


def stk_claim_commission(world: World, who: str) -> int:
    """Take the commission."""
    row = world.validators[who]
    amount, row["due"] = row["due"], 0
    world.move("uccc", "m:rewards", who, amount)
    return amount


def share_fees(world: World) -> None:
    """The last rule of a block: the validators' share of its fees, the rest to the city."""
    fees = world.money["uccc", "m:fees"]
    if not fees:
        return
    each = fees * VALIDATORS_SHARE // BPS // len(world.validators)
    for row in world.validators.values():
        commission = each * row["commission_bps"] // BPS
        row["due"] += commission
        number = (each - commission) * WAD + row["rest"]
        row["index"] += number // row["tokens"]
        row["rest"] = number % row["tokens"]
    world.move("uccc", "m:fees", "m:rewards", each * len(world.validators))
    world.move("uccc", "m:fees", "treasury", world.money["uccc", "m:fees"])


def bonded(world: World, who: str) -> int:
    """All that somebody has bonded now."""
    return sum(bond["amount"] for (_, holder), bond in world.bonds.items() if holder == who)


def claims_due(world: World) -> int:
    """What `m:rewards` owes: it may hold a little more, what rounding left."""
    owed = sum(row["due"] for row in world.validators.values())
    for (validator, _), bond in world.bonds.items():
        owed += bond["pending"] + (world.validators[validator]["index"] - bond["index"]) * bond["amount"] // WAD
    return owed

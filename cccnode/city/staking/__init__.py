"""Staking: tokens bonded with validators, their part of the fees, slashing, jail (modules.md 3.4).

It never decides who validates: that is the registry's, and every validator's vote weighs the same.
"""

from typing import Final

from cccnode.city.staking.errors import ERRORS
from cccnode.city.staking.genesis import bond_validators, write_genesis
from cccnode.city.staking.invariants import INVARIANTS
from cccnode.city.staking.messages import (
    NUMBER,
    StkClaim,
    StkClaimCommission,
    StkDelegate,
    StkSetCommission,
    StkUndelegate,
    StkUnjail,
)
from cccnode.city.staking.queries import (
    DelegationAnswer,
    NoParams,
    StakedValidator,
    StakerParams,
    UnbondingAnswer,
    staking_delegations,
    staking_unbonding,
    staking_validators,
)
from cccnode.city.staking.rewards import end_block, punish, share_fees
from cccnode.city.staking.rules import (
    check_leaving,
    claim,
    claim_commission,
    delegate,
    set_commission,
    undelegate,
    unjail,
)
from cccnode.city.staking.state import Params
from cccnode.ledger.module import Message, Module, Query

__all__ = [
    "MODULE",
    "StkClaim",
    "StkClaimCommission",
    "StkDelegate",
    "StkSetCommission",
    "StkUndelegate",
    "StkUnjail",
]

_WEIGHT: Final = 4
"""Five or six items are read and written, a transfer's two or three."""

MODULE: Final = Module(
    number=NUMBER,
    name="staking",
    messages=(
        Message(
            kind=StkDelegate,
            handle=delegate,
            weight=_WEIGHT,
            verb="stk-delegate",
            positional=("validator", "amount"),
            en="Bond tokens with a validator.",
            th="ฝากโทเคนค้ำประกันกับผู้ตรวจสอบ",
        ),
        Message(
            kind=StkUndelegate,
            handle=undelegate,
            weight=_WEIGHT,
            verb="stk-undelegate",
            positional=("validator", "amount"),
            en="Take bonded tokens back; they are free after the unbonding time.",
            th="ถอนโทเคนที่ฝากไว้ จะได้คืนเมื่อครบเวลารอ",
        ),
        Message(
            kind=StkClaim,
            handle=claim,
            weight=_WEIGHT,
            verb="stk-claim",
            positional=("validator",),
            en="Take the rewards earned with a validator.",
            th="รับรางวัลที่ได้จากผู้ตรวจสอบ",
        ),
        Message(
            kind=StkClaimCommission,
            handle=claim_commission,
            weight=2,
            verb="stk-claim-commission",
            en="Take the commission of the own validator.",
            th="รับค่าคอมมิชชันของผู้ตรวจสอบของตน",
        ),
        Message(
            kind=StkSetCommission,
            handle=set_commission,
            weight=2,
            verb="stk-set-commission",
            positional=("commission_bps",),
            en="Set what part of the rewards the own validator keeps.",
            th="กำหนดค่าคอมมิชชันของผู้ตรวจสอบของตน",
        ),
        Message(
            kind=StkUnjail,
            handle=unjail,
            weight=2,
            verb="stk-unjail",
            en="Let the own validator earn again, once its time in jail is over.",
            th="ขอให้ผู้ตรวจสอบของตนกลับมาได้รางวัลเมื่อพ้นเวลาระงับ",
        ),
    ),
    queries=(
        Query(
            method="staking_validators",
            params=NoParams,
            result=tuple[StakedValidator, ...],
            answer=staking_validators,
            en="Every validator, what is bonded with it, its commission, and whether it is jailed.",
            th="ผู้ตรวจสอบทั้งหมด ยอดฝาก ค่าคอมมิชชัน และสถานะการระงับ",
        ),
        Query(
            method="staking_delegations",
            params=StakerParams,
            result=tuple[DelegationAnswer, ...],
            answer=staking_delegations,
            en="What an account has bonded, and the rewards that it may claim.",
            th="ยอดที่บัญชีฝากไว้และรางวัลที่รับได้",
        ),
        Query(
            method="staking_unbonding",
            params=StakerParams,
            result=tuple[UnbondingAnswer, ...],
            answer=staking_unbonding,
            en="What an account took back and is not free yet.",
            th="ยอดที่บัญชีถอนแล้วและยังรอเวลา",
        ),
    ),
    errors=ERRORS,
    accounts=("bonded", "unbonding", "rewards"),
    parameters=Params,
    section=True,
    genesis=write_genesis,
    genesis_end=bond_validators,
    hooks=(
        ("bank/validator_fees", share_fees),
        ("evidence/recorded", punish),
        ("members/leaving", check_leaving),
    ),
    end_block=end_block,
    invariants=INVARIANTS,
)

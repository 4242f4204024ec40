"""Error rows of staking: 6000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

UNKNOWN_VALIDATOR: Final = ErrorSpec(6001, "staking/UNKNOWN_VALIDATOR", "That account is not the account of a validator.", "บัญชีนี้ไม่ใช่บัญชีของผู้ตรวจสอบ", "Take an account that staking_validators lists as validating.", "เลือกบัญชีที่ staking_validators แสดงว่ากำลังตรวจสอบ")
TOO_SMALL: Final = ErrorSpec(6002, "staking/TOO_SMALL", "Less than may be bonded at once.", "จำนวนน้อยกว่าขั้นต่ำที่ฝากได้", "Bond at least min_delegate.", "ฝากอย่างน้อยตาม min_delegate")
FULL: Final = ErrorSpec(6003, "staking/FULL", "The validator has as many delegators as it may.", "ผู้ตรวจสอบรายนี้มีผู้ฝากเต็มแล้ว", "Choose another validator.", "เลือกผู้ตรวจสอบรายอื่น")
TOO_MUCH: Final = ErrorSpec(6004, "staking/TOO_MUCH", "More than the account has bonded with this validator.", "มากกว่าที่ฝากไว้กับผู้ตรวจสอบรายนี้", "Take back at most what staking_delegations shows.", "ถอนไม่เกินที่ staking_delegations แสดง")
UNBONDING_FULL: Final = ErrorSpec(6005, "staking/UNBONDING_FULL", "Too many withdrawals of the account wait for their time.", "รายการถอนที่รอเวลามากเกินไป", "Wait until one of them is free.", "รอให้รายการใดรายการหนึ่งครบเวลา")
NO_DELEGATION: Final = ErrorSpec(6006, "staking/NO_DELEGATION", "The account has nothing with this validator.", "บัญชีนี้ไม่มีเงินฝากกับผู้ตรวจสอบรายนี้", "Look at staking_delegations.", "ดู staking_delegations")
COMMISSION: Final = ErrorSpec(6007, "staking/COMMISSION", "The commission changes too far, too soon, or above its bound.", "ค่าคอมมิชชันเปลี่ยนมากเกินไป เร็วเกินไป หรือเกินเพดาน", "Change it by at most commission_step_bps a day, up to commission_max_bps.", "เปลี่ยนได้วันละไม่เกิน commission_step_bps และไม่เกิน commission_max_bps")
NOT_JAILED: Final = ErrorSpec(6008, "staking/NOT_JAILED", "The validator is not jailed.", "ผู้ตรวจสอบไม่ได้ถูกระงับ", "Nothing to do.", "ไม่ต้องทำอะไร")
JAILED: Final = ErrorSpec(6009, "staking/JAILED", "The validator's time in jail is not over.", "ยังไม่พ้นเวลาระงับ", "Try again after jailed_until_ms, which staking_validators shows.", "ลองใหม่หลัง jailed_until_ms ที่ staking_validators แสดง", retryable=True)
ZERO: Final = ErrorSpec(6010, "staking/ZERO", "The amount is zero.", "จำนวนเป็นศูนย์", "Give an amount of at least one base unit.", "ระบุจำนวนอย่างน้อยหนึ่งหน่วยย่อย")
BONDED: Final = ErrorSpec(6011, "staking/BONDED", "The account still has bonded tokens, rewards or withdrawals that wait.", "บัญชียังมีเงินฝาก รางวัล หรือรายการถอนที่รออยู่", "Take back what is bonded, wait until it is free, and claim the rewards.", "ถอนเงินฝาก รอให้ครบเวลา และรับรางวัลก่อน")

ERRORS: Final = (UNKNOWN_VALIDATOR, TOO_SMALL, FULL, TOO_MUCH, UNBONDING_FULL, NO_DELEGATION, COMMISSION, NOT_JAILED, JAILED, ZERO, BONDED)

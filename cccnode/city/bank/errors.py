"""Error rows of the bank: 2000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

ZERO_AMOUNT: Final = ErrorSpec(2001, "bank/ZERO", "The amount is zero.", "จำนวนเงินเป็นศูนย์", "Give an amount of at least one base unit.", "ระบุจำนวนเงินอย่างน้อยหนึ่งหน่วยย่อย")
UNKNOWN_ASSET: Final = ErrorSpec(2002, "bank/UNKNOWN_ASSET", "There is no such asset.", "ไม่มีสินทรัพย์นี้", "Use the id of an existing asset, such as uccc.", "ใช้รหัสสินทรัพย์ที่มีอยู่ เช่น uccc")
UNKNOWN_ACCOUNT: Final = ErrorSpec(2003, "bank/UNKNOWN_ACCOUNT", "The receiving account does not exist.", "ไม่มีบัญชีผู้รับ", "Check the address; the receiver must be a member first.", "ตรวจที่อยู่ ผู้รับต้องเป็นสมาชิกก่อน")
BLOCKED: Final = ErrorSpec(2004, "bank/BLOCKED", "The receiver is an account of the ledger itself; nobody may transfer to it.", "ผู้รับเป็นบัญชีของระบบ โอนเข้าไม่ได้", "Choose a member's account.", "เลือกบัญชีของสมาชิก")
INSUFFICIENT: Final = ErrorSpec(2005, "bank/INSUFFICIENT", "The account owns less than the amount.", "ยอดเงินไม่พอ", "Send less, or fund the account; the fee was taken first.", "โอนน้อยลงหรือเติมเงิน ค่าธรรมเนียมถูกหักไปก่อนแล้ว")
OVERFLOW: Final = ErrorSpec(2006, "bank/OVERFLOW", "A balance would exceed the largest amount.", "ยอดเงินเกินค่าสูงสุด", "Send less.", "โอนน้อยลง")
NOT_TRANSFERABLE: Final = ErrorSpec(2007, "bank/NOT_TRANSFERABLE", "This asset cannot be transferred.", "สินทรัพย์นี้โอนไม่ได้", "Choose a transferable asset.", "เลือกสินทรัพย์ที่โอนได้")

ERRORS: Final = (ZERO_AMOUNT, UNKNOWN_ASSET, UNKNOWN_ACCOUNT, BLOCKED, INSUFFICIENT, OVERFLOW, NOT_TRANSFERABLE)

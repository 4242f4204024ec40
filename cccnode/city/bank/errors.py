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
CAP: Final = ErrorSpec(2008, "bank/CAP", "More of the asset than there may be.", "เกินอุปทานสูงสุดของสินทรัพย์", "Mint less, or have the city raise the cap by vote.", "ออกน้อยลง หรือเสนอให้เมืองลงมติเพิ่มเพดาน")
FLOAT_EXCEEDED: Final = ErrorSpec(2009, "bank/FLOAT_EXCEEDED", "More than an auditor has seen behind the asset.", "เกินจำนวนเงินหนุนหลังที่ผู้ตรวจสอบบัญชีรับรอง", "Mint less, or have an auditor attest a larger float.", "ออกน้อยลง หรือให้ผู้ตรวจสอบบัญชีรับรองเงินหนุนหลังเพิ่ม")
FLOAT_STALE: Final = ErrorSpec(2010, "bank/FLOAT_STALE", "What an auditor saw behind the asset is too old.", "การรับรองเงินหนุนหลังเก่าเกินกำหนด", "Have an auditor attest the float again.", "ให้ผู้ตรวจสอบบัญชีรับรองใหม่")
NOT_ISSUER: Final = ErrorSpec(2011, "bank/NOT_ISSUER", "Only the asset's issuer mints it.", "เฉพาะผู้ออกสินทรัพย์เท่านั้นที่ออกเพิ่มได้", "See the asset's issuer; the city changes it by vote.", "ดูผู้ออกสินทรัพย์ การเปลี่ยนต้องใช้มติเมือง")
NOT_ISSUED: Final = ErrorSpec(2012, "bank/NOT_ISSUED", "Nobody pays out for this asset: it has no issuer.", "สินทรัพย์นี้ไม่มีผู้ออกที่จะจ่ายคืน", "Redeem an asset that has an issuer.", "ไถ่ถอนสินทรัพย์ที่มีผู้ออก")
NOT_AUDITOR: Final = ErrorSpec(2013, "bank/NOT_AUDITOR", "Only an active account with the role auditor attests a float.", "ต้องมีบทบาทผู้ตรวจสอบบัญชี", "Ask an auditor.", "ขอให้ผู้ตรวจสอบบัญชีดำเนินการ")
NOT_BACKED: Final = ErrorSpec(2014, "bank/NOT_BACKED", "Nothing is said to stand behind this asset.", "สินทรัพย์นี้ไม่มีเงินหนุนหลัง", "Attest an asset that is backed.", "รับรองเฉพาะสินทรัพย์ที่มีเงินหนุนหลัง")
INDEPENDENT: Final = ErrorSpec(2015, "bank/INDEPENDENT", "The auditor belongs to the issuer's organisation.", "ผู้ตรวจสอบบัญชีอยู่องค์กรเดียวกับผู้ออก", "Ask an auditor of another organisation.", "ใช้ผู้ตรวจสอบจากองค์กรอื่น")
FROZEN: Final = ErrorSpec(2016, "bank/FROZEN", "A regulator has frozen this asset on the account.", "สินทรัพย์ของบัญชีนี้ถูกอายัด", "Ask the regulator about the order named.", "สอบถามหน่วยงานกำกับดูแลตามคำสั่งที่ระบุ")
NOT_FROZEN: Final = ErrorSpec(2017, "bank/NOT_FROZEN", "The asset is not frozen on this account.", "สินทรัพย์ของบัญชีนี้ไม่ได้ถูกอายัด", "Nothing is to be done.", "ไม่ต้องทำอะไร")
NOT_FREEZABLE: Final = ErrorSpec(2018, "bank/NOT_FREEZABLE", "Nobody may freeze this asset.", "สินทรัพย์นี้อายัดไม่ได้", "Only assets created as freezable can be.", "อายัดได้เฉพาะสินทรัพย์ที่กำหนดไว้")
NOT_REGULATOR: Final = ErrorSpec(2019, "bank/NOT_REGULATOR", "Only an active account with the role regulator freezes.", "ต้องมีบทบาทหน่วยงานกำกับดูแล", "Ask a regulator.", "ขอให้หน่วยงานกำกับดูแลดำเนินการ")
ASSET_EXISTS: Final = ErrorSpec(2020, "bank/ASSET_EXISTS", "There is an asset of that name.", "มีสินทรัพย์ชื่อนี้แล้ว", "Choose another name.", "เลือกชื่ออื่น")
BELOW_SUPPLY: Final = ErrorSpec(2021, "bank/BELOW_SUPPLY", "There is more of the asset than this cap allows.", "อุปทานปัจจุบันมากกว่าเพดานที่ตั้ง", "Choose a cap of at least the supply.", "ตั้งเพดานไม่ต่ำกว่าอุปทาน")
NOT_ISSUABLE: Final = ErrorSpec(2022, "bank/NOT_ISSUABLE", "The supply of this asset is fixed, or made by a module's rules.", "สินทรัพย์นี้กำหนดผู้ออกไม่ได้", "Only assets with an issuer can be given another.", "เปลี่ยนได้เฉพาะสินทรัพย์ที่มีผู้ออก")
GRANT_SELF: Final = ErrorSpec(2023, "bank/GRANT_SELF", "Nobody sponsors himself.", "ออกค่าธรรมเนียมให้ตนเองไม่ได้", "Name another account.", "ระบุบัญชีอื่น")
GRANT_EXISTS: Final = ErrorSpec(2024, "bank/EXISTS", "There is a grant for this account already.", "มีสิทธิ์ออกค่าธรรมเนียมให้บัญชีนี้อยู่แล้ว", "Revoke it first.", "ยกเลิกของเดิมก่อน")
GRANT_EXPIRY: Final = ErrorSpec(2025, "bank/EXPIRY", "A grant ends after now and within a year.", "วันหมดอายุต้องอยู่หลังเวลานี้และไม่เกินหนึ่งปี", "Choose a time within a year.", "เลือกเวลาภายในหนึ่งปี")
GRANT_PERIOD: Final = ErrorSpec(2026, "bank/PERIOD", "A bound for each period needs both an amount and a length, and is not above the budget.", "วงเงินต่อรอบต้องระบุทั้งจำนวนและระยะเวลา และไม่เกินงบรวม", "Give both, or neither.", "ระบุทั้งสองค่า หรือไม่ระบุเลย")
UNKNOWN_MESSAGE_NAME: Final = ErrorSpec(2027, "bank/UNKNOWN_MESSAGE", "No message has that name.", "ไม่มีข้อความชื่อนี้", "Use names such as GovVote.", "ใช้ชื่อเช่น GovVote")
NO_GRANT: Final = ErrorSpec(2028, "bank/NO_GRANT", "The payer has neither signed nor granted this account its fees.", "ผู้จ่ายไม่ได้ลงนามและไม่ได้ให้สิทธิ์ออกค่าธรรมเนียม", "Ask for a grant, have the payer sign, or pay yourself.", "ขอสิทธิ์ ให้ผู้จ่ายลงนาม หรือจ่ายเอง")
GRANT_EXPIRED: Final = ErrorSpec(2029, "bank/GRANT_EXPIRED", "The grant's time is over.", "สิทธิ์ออกค่าธรรมเนียมหมดอายุ", "Ask for another, or pay yourself.", "ขอสิทธิ์ใหม่หรือจ่ายเอง")
GRANT_MESSAGE: Final = ErrorSpec(2030, "bank/GRANT_MESSAGE", "The grant does not pay for this message.", "สิทธิ์นี้ไม่ครอบคลุมข้อความชนิดนี้", "Pay yourself, or send only what it names.", "จ่ายเอง หรือส่งเฉพาะข้อความที่ระบุ")
GRANT_SPENT: Final = ErrorSpec(2031, "bank/GRANT_SPENT", "The grant has too little left, in all or in this period.", "วงเงินสิทธิ์คงเหลือไม่พอ", "Wait for the next period, ask for more, or pay yourself.", "รอรอบถัดไป ขอเพิ่ม หรือจ่ายเอง")
NOT_ORGANISATION: Final = ErrorSpec(2032, "bank/NOT_ORGANISATION", "Only the account of an organisation has a resource account.", "เฉพาะบัญชีองค์กรเท่านั้นที่มีบัญชีทรัพยากร", "Act as the organisation.", "ดำเนินการด้วยบัญชีองค์กร")
NO_RESOURCES: Final = ErrorSpec(2033, "bank/NO_RESOURCES", "Resource accounts are switched off here.", "ระบบบัญชีทรัพยากรปิดอยู่", "The city switches them on by vote (resource_per_day).", "เมืองเปิดใช้ได้โดยมติ (resource_per_day)")
PER_DAY: Final = ErrorSpec(2034, "bank/PER_DAY", "More transactions a day than a resource account may pay for.", "จำนวนธุรกรรมต่อวันเกินกำหนด", "Choose a number up to the parameter resource_per_day.", "เลือกจำนวนไม่เกินค่า resource_per_day")
TOO_MANY_ASSETS: Final = ErrorSpec(2035, "bank/TOO_MANY_ASSETS", "There are as many assets as there may be.", "มีสินทรัพย์ครบจำนวนสูงสุดแล้ว", "Use one of those that there are; bank_asset shows each.", "ใช้สินทรัพย์ที่มีอยู่แล้ว ดูด้วย bank_asset")
# fmt: on

ERRORS: Final = tuple(spec for spec in list(globals().values()) if isinstance(spec, ErrorSpec))
"""All rows above, in the order of the file."""

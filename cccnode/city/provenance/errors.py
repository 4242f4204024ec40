"""Error rows of the provenance module: 7000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

NOT_A_PRODUCER: Final = ErrorSpec(7001, "provenance/NOT_A_PRODUCER", "Only accounts with the role producer bring new lots in.", "เฉพาะบัญชีที่มีบทบาทผู้ผลิตเท่านั้นที่สร้างล็อตใหม่ได้", "Ask whoever grants roles in your organisation for it.", "ขอรับบทบาทผู้ผลิตจากผู้มีสิทธิ์มอบบทบาท")
TIME: Final = ErrorSpec(7002, "provenance/TIME", "The claimed time lies too far back, or ahead of now.", "เวลาที่แจ้งย้อนหลังเกินไปหรือล้ำหน้าเวลาปัจจุบัน", "Check the clock, and write things down soon.", "ตรวจนาฬิกาและบันทึกโดยเร็ว")
UNKNOWN_LOT: Final = ErrorSpec(7003, "provenance/UNKNOWN_LOT", "There is no lot of that number.", "ไม่มีล็อตหมายเลขนี้", "Look at the number on the label again.", "ตรวจหมายเลขล็อตบนฉลากอีกครั้ง")
NOT_HOLDER: Final = ErrorSpec(7004, "provenance/NOT_HOLDER", "The lot is in other hands.", "ล็อตนี้อยู่ในความครอบครองของผู้อื่น", "Only its holder may do this; prv_trace shows who that is.", "เฉพาะผู้ครอบครองเท่านั้นที่ทำได้ ดูได้ที่ prv_trace")
STATUS: Final = ErrorSpec(7005, "provenance/STATUS", "The lot's status does not allow this.", "สถานะของล็อตไม่อนุญาตให้ทำ", "See its status: used-up lots are done, goods on a trip are unloaded first.", "ดูสถานะของล็อต ของที่อยู่ระหว่างขนส่งต้องลงก่อน")
RECALLED: Final = ErrorSpec(7006, "provenance/RECALLED", "The lot was called back: it may only go home to its origin or be destroyed.", "ล็อตนี้ถูกเรียกคืน ส่งกลับต้นทางหรือทำลายได้เท่านั้น", "Offer it to its origin, or destroy it.", "ส่งคืนต้นทางหรือทำลาย")
OFFERED: Final = ErrorSpec(7007, "provenance/OFFERED", "The lot is offered to somebody already.", "ล็อตนี้ถูกเสนอให้ผู้อื่นอยู่แล้ว", "Wait for the answer, or withdraw the offer with prv-reject.", "รอคำตอบหรือถอนข้อเสนอด้วย prv-reject")
NOT_OFFERED: Final = ErrorSpec(7008, "provenance/NOT_OFFERED", "The lot is not offered to you, or the offer has expired.", "ล็อตนี้ไม่ได้ถูกเสนอให้คุณ หรือข้อเสนอหมดอายุ", "Ask its holder to offer it again.", "ขอให้ผู้ครอบครองเสนอใหม่")
MASS: Final = ErrorSpec(7009, "provenance/MASS", "More would come out than is there.", "ปริมาณที่ได้มากกว่าที่มีอยู่", "Check the quantities: goods only become less.", "ตรวจปริมาณ สินค้าเพิ่มขึ้นเองไม่ได้")
NOT_ALIKE: Final = ErrorSpec(7010, "provenance/NOT_ALIKE", "Only different lots of one origin, commodity and unit are put together.", "รวมได้เฉพาะล็อตต่างหมายเลขที่มีต้นทาง ชนิดสินค้า และหน่วยเดียวกัน", "What mixes origins is a transformation: use prv-transform.", "การผสมต่างต้นทางให้ใช้ prv-transform")
TARGET: Final = ErrorSpec(7011, "provenance/TARGET", "A lot is offered to another active account, not to oneself.", "ต้องเสนอให้บัญชีอื่นที่ใช้งานอยู่", "Check the account.", "ตรวจบัญชีผู้รับ")
UNKNOWN_EVENT: Final = ErrorSpec(7012, "provenance/UNKNOWN_EVENT", "The lot has no event of that number.", "ล็อตนี้ไม่มีเหตุการณ์หมายเลขนี้", "prv_trace lists its events.", "ดูรายการเหตุการณ์ที่ prv_trace")
NOT_SIGNER: Final = ErrorSpec(7013, "provenance/NOT_SIGNER", "Only who signed an event, or an auditor, may declare it wrong.", "เฉพาะผู้ลงนามเหตุการณ์หรือผู้ตรวจสอบบัญชีเท่านั้นที่แก้ได้", "Ask its signer or an auditor.", "ติดต่อผู้ลงนามหรือผู้ตรวจสอบบัญชี")
CORRECTED: Final = ErrorSpec(7014, "provenance/CORRECTED", "The event was declared wrong already.", "เหตุการณ์นี้ถูกแก้ไขแล้ว", "Correct the replacement, if that is wrong too.", "หากข้อมูลที่แก้ยังผิด ให้แก้ที่เหตุการณ์ใหม่")
NOT_ALLOWED: Final = ErrorSpec(7015, "provenance/NOT_ALLOWED", "Only its origin or a regulator may call a lot back.", "เฉพาะต้นทางหรือผู้กำกับดูแลเท่านั้นที่เรียกคืนได้", "Tell its origin or a regulator.", "แจ้งต้นทางหรือผู้กำกับดูแล")
UNKNOWN_TRIP: Final = ErrorSpec(7016, "provenance/UNKNOWN_TRIP", "No trip of that number of yours is under way.", "ไม่มีเที่ยวขนส่งหมายเลขนี้ของคุณที่ยังเปิดอยู่", "Check the number of the trip.", "ตรวจหมายเลขเที่ยวขนส่ง")

ERRORS: Final = (NOT_A_PRODUCER, TIME, UNKNOWN_LOT, NOT_HOLDER, STATUS, RECALLED, OFFERED, NOT_OFFERED, MASS, NOT_ALIKE, TARGET, UNKNOWN_EVENT, NOT_SIGNER, CORRECTED, NOT_ALLOWED, UNKNOWN_TRIP)

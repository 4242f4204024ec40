"""Error rows of the evidence module: 4000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

UNKNOWN_EPOCH: Final = ErrorSpec(4001, "evidence/UNKNOWN_EPOCH", "No block of that epoch was executed, so nobody knows its validators.", "ยังไม่มีบล็อกของยุคนั้น จึงไม่ทราบผู้ตรวจสอบ", "Report it again when the epoch has its first block.", "รายงานอีกครั้งเมื่อยุคนั้นมีบล็อกแรก", retryable=True)
UNKNOWN_SIGNER: Final = ErrorSpec(4002, "evidence/UNKNOWN_SIGNER", "The epoch has no validator of that index.", "ยุคนั้นไม่มีผู้ตรวจสอบลำดับนี้", "Report votes as they were received.", "รายงานคะแนนตามที่ได้รับมา")
NO_CONTRADICTION: Final = ErrorSpec(4003, "evidence/NO_CONTRADICTION", "The two votes may both be honest.", "คะแนนทั้งสองไม่ขัดแย้งกัน", "Only two different notarize votes, two different finalize votes, or a nullify and a finalize vote of one view prove a fault.", "หลักฐานต้องเป็นคะแนนรับรองสองคะแนนที่ต่างกัน คะแนนปิดสองคะแนนที่ต่างกัน หรือคะแนนข้ามกับคะแนนปิดในรอบเดียวกัน")
SIGNATURE: Final = ErrorSpec(4004, "evidence/SIGNATURE", "One of the votes is not signed by that validator's key of that epoch.", "คะแนนหนึ่งไม่ได้ลงนามด้วยกุญแจของผู้ตรวจสอบในยุคนั้น", "Report votes as they were received, with their epoch.", "รายงานคะแนนตามที่ได้รับมาพร้อมยุคที่ถูกต้อง")
KNOWN: Final = ErrorSpec(4005, "evidence/KNOWN", "This fault is recorded already.", "ความผิดนี้บันทึกไว้แล้ว", "Nothing to do; evidence_list shows it.", "ไม่ต้องทำอะไร ดูได้ที่ evidence_list")

ERRORS: Final = (UNKNOWN_EPOCH, UNKNOWN_SIGNER, NO_CONTRADICTION, SIGNATURE, KNOWN)

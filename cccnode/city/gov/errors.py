"""Error rows of governance: 5000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

NOT_A_MEMBER: Final = ErrorSpec(5001, "gov/NOT_A_MEMBER", "Only active persons and organisations may do this.", "เฉพาะบุคคลหรือองค์กรที่ยังใช้งานอยู่เท่านั้น", "Send it from an active person's or organisation's account.", "ส่งจากบัญชีบุคคลหรือองค์กรที่ใช้งานอยู่")
UNKNOWN_PROPOSAL: Final = ErrorSpec(5002, "gov/UNKNOWN_PROPOSAL", "There is no such proposal.", "ไม่มีข้อเสนอนี้", "Take a number that gov_proposals shows.", "ใช้หมายเลขที่ gov_proposals แสดง")
KIND: Final = ErrorSpec(5003, "gov/KIND", "A proposal of this kind cannot carry such messages.", "ข้อเสนอประเภทนี้ใช้ข้อความดังกล่าวไม่ได้", "Give messages whose reference page names this kind; a text carries none, every other kind at least one.", "ใช้ข้อความที่หน้าอ้างอิงระบุประเภทนี้ ข้อเสนอแบบข้อความล้วนไม่มีข้อความแนบ")
TOO_MANY: Final = ErrorSpec(5004, "gov/TOO_MANY", "As many proposals are open as may be.", "ข้อเสนอที่เปิดอยู่เต็มจำนวนแล้ว", "Wait until one has ended.", "รอให้ข้อเสนอเดิมจบก่อน", retryable=True)
CLOSED: Final = ErrorSpec(5005, "gov/CLOSED", "The proposal does not take this now.", "ข้อเสนอไม่เปิดรับสิ่งนี้ในขณะนี้", "See gov_proposal for its status and times.", "ดูสถานะและเวลาที่ gov_proposal")
NO_WEIGHT: Final = ErrorSpec(5006, "gov/NO_WEIGHT", "The account had no vote when this proposal came to a vote.", "บัญชีนี้ไม่มีสิทธิออกเสียงในขณะที่เปิดลงคะแนน", "Vote on proposals that are made from now on; gov_power shows the weight.", "ลงคะแนนข้อเสนอถัดไป ดูน้ำหนักเสียงที่ gov_power")
ENDORSED: Final = ErrorSpec(5007, "gov/ENDORSED", "The account has endorsed this proposal already.", "บัญชีนี้รับรองข้อเสนอแล้ว", "Nothing to do.", "ไม่ต้องทำอะไร")
NOT_PROPOSER: Final = ErrorSpec(5008, "gov/NOT_PROPOSER", "Only its proposer may take a proposal back.", "เฉพาะผู้เสนอเท่านั้นที่ถอนได้", "Ask the proposer.", "ติดต่อผู้เสนอ")
VOTED: Final = ErrorSpec(5009, "gov/VOTED", "Somebody has voted already.", "มีผู้ลงคะแนนแล้ว", "Let the vote go on.", "ให้การลงคะแนนดำเนินต่อไป")
DELEGATE: Final = ErrorSpec(5010, "gov/DELEGATE", "Nobody can delegate to this account, or it is the delegate already.", "มอบเสียงให้บัญชีนี้ไม่ได้ หรือมอบไว้แล้ว", "Name another active person.", "ระบุบุคคลอื่นที่ใช้งานอยู่")
# fmt: on

ERRORS: Final[tuple[ErrorSpec, ...]] = tuple(spec for spec in list(globals().values()) if isinstance(spec, ErrorSpec))

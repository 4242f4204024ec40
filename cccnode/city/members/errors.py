"""Error rows of the members module: 1000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

PK_USED: Final = ErrorSpec(1001, "members/PK_USED", "A key belongs or belonged to an account already; keys are never used twice.", "กุญแจนี้เคยใช้กับบัญชีหนึ่งแล้ว ใช้ซ้ำไม่ได้", "Make a new key.", "สร้างกุญแจใหม่")
CHARTER: Final = ErrorSpec(1002, "members/CHARTER", "The application does not accept the current charter.", "ใบสมัครไม่ได้ยอมรับธรรมนูญฉบับปัจจุบัน", "Read the current charter and apply with its version.", "อ่านธรรมนูญฉบับปัจจุบันแล้วสมัครด้วยเลขฉบับนั้น")
POP: Final = ErrorSpec(1003, "members/POP", "An application must be signed by the key it brings, and by that key alone.", "ใบสมัครต้องลงนามด้วยกุญแจของผู้สมัครเท่านั้น", "Sign with the new key; the account is the id of that key.", "ลงนามด้วยกุญแจใหม่ โดยบัญชีต้องเป็นรหัสของกุญแจนั้น")
RATE: Final = ErrorSpec(1004, "members/RATE", "This block already holds as many applications as it may.", "บล็อกนี้รับใบสมัครครบจำนวนแล้ว", "Apply again.", "สมัครใหม่อีกครั้ง", retryable=True)
LOCKOUT: Final = ErrorSpec(1005, "members/LOCKOUT", "The remaining keys could not reach the threshold, or it is zero.", "กุญแจที่เหลือมีน้ำหนักไม่ถึงเกณฑ์ หรือเกณฑ์เป็นศูนย์", "Keep enough weight for a threshold of at least one.", "เหลือน้ำหนักกุญแจให้ถึงเกณฑ์ซึ่งต้องไม่ต่ำกว่าหนึ่ง")
NOT_A_KEY: Final = ErrorSpec(1006, "members/NOT_A_KEY", "A key to revoke is not a current key of the account.", "กุญแจที่จะเพิกถอนไม่ใช่กุญแจปัจจุบันของบัญชี", "See the account's current keys.", "ตรวจกุญแจปัจจุบันของบัญชี")
TOO_MANY_KEYS: Final = ErrorSpec(1007, "members/TOO_MANY_KEYS", "The account would have more keys than may sign one transaction.", "บัญชีมีกุญแจมากเกินกำหนด", "Revoke some keys in the same message.", "เพิกถอนกุญแจบางส่วนในข้อความเดียวกัน")
WEAK_KEY: Final = ErrorSpec(1008, "members/WEAK_KEY", "A new key is a small-order point: anyone could sign for it.", "กุญแจใหม่ไม่ปลอดภัย ใครก็ลงนามแทนได้", "Use an ordinary Ed25519 key.", "ใช้กุญแจ Ed25519 ปกติ")
STATE: Final = ErrorSpec(1009, "members/STATE", "The account's status does not allow this.", "สถานะของบัญชีไม่อนุญาตให้ทำรายการนี้", "See the account's status: applicants wait, members are active.", "ตรวจสถานะบัญชี ผู้สมัครต้องรอ สมาชิกต้องใช้งานอยู่")
KIND: Final = ErrorSpec(1010, "members/KIND", "This cannot be done by, or to, an account of that kind.", "บัญชีประเภทนี้ทำรายการนี้ไม่ได้", "Persons and organisations vouch; organisations leave and are removed through the registry.", "บุคคลและองค์กรรับรองได้ ส่วนองค์กรออกหรือถูกถอดผ่านทะเบียนองค์กร")
AGE: Final = ErrorSpec(1011, "members/AGE", "The sponsor has not been a member long enough.", "ผู้รับรองเป็นสมาชิกไม่นานพอ", "Wait for the time named, or ask another member.", "รอให้ครบเวลา หรือขอสมาชิกรายอื่น")
QUOTA: Final = ErrorSpec(1012, "members/QUOTA", "The sponsor has vouched for as many as it may, or one of them was removed.", "ผู้รับรองใช้โควตาครบแล้ว หรือผู้ที่เคยรับรองถูกถอดออก", "Wait, or ask another member.", "รอ หรือขอสมาชิกรายอื่น")
OBLIGATION: Final = ErrorSpec(1013, "members/OBLIGATION", "Something is still open: an escrow, a loan, a stake, a booking, or the part of an organisation.", "ยังมีภาระผูกพันค้างอยู่", "Settle what is named first.", "จัดการภาระที่ระบุก่อน")
UNKNOWN_ROLE: Final = ErrorSpec(1014, "members/UNKNOWN_ROLE", "There is no such role.", "ไม่มีบทบาทนี้", "The city defines roles by vote.", "เมืองกำหนดบทบาทโดยมติ")
PROTECTED: Final = ErrorSpec(1015, "members/PROTECTED", "Only the city's vote gives and takes this role.", "บทบาทนี้ให้หรือถอนได้โดยมติเมืองเท่านั้น", "Make a proposal.", "ยื่นข้อเสนอ")
NOT_PERMITTED: Final = ErrorSpec(1016, "members/NOT_PERMITTED", "The account holds no role with the permission to give this one; to hold the role is not enough.", "บัญชีไม่มีสิทธิ์มอบบทบาทนี้ การถือบทบาทเองไม่เพียงพอ", "Ask somebody with the permission named.", "ขอผู้ที่มีสิทธิ์ตามที่ระบุ")
ROLE_HELD: Final = ErrorSpec(1017, "members/ROLE_HELD", "The account holds this role already.", "บัญชีถือบทบาทนี้อยู่แล้ว", "Nothing is to be done.", "ไม่ต้องทำอะไร")
ROLE_NOT_HELD: Final = ErrorSpec(1018, "members/ROLE_NOT_HELD", "The account does not hold this role.", "บัญชีไม่ได้ถือบทบาทนี้", "Nothing is to be done.", "ไม่ต้องทำอะไร")
TOO_MANY_ROLES: Final = ErrorSpec(1019, "members/TOO_MANY_ROLES", "The account holds as many roles as it may.", "บัญชีถือบทบาทครบจำนวนแล้ว", "Take one from it first.", "ถอนบทบาทหนึ่งก่อน")
GUARDIANS: Final = ErrorSpec(1020, "members/GUARDIANS", "Guardians are other active accounts, each once, and the threshold is between one and their number.", "ผู้พิทักษ์ต้องเป็นบัญชีอื่นที่ใช้งานอยู่ ไม่ซ้ำกัน และเกณฑ์ต้องอยู่ระหว่างหนึ่งถึงจำนวนผู้พิทักษ์", "Name others, or none with threshold 0.", "ระบุใหม่ หรือไม่ระบุโดยให้เกณฑ์เป็นศูนย์")
NOT_GUARDIAN: Final = ErrorSpec(1021, "members/NOT_GUARDIAN", "The acting account is no guardian of this one.", "บัญชีนี้ไม่ใช่ผู้พิทักษ์", "Only guardians whom the owner named may ask.", "เฉพาะผู้พิทักษ์ที่เจ้าของกำหนดเท่านั้น")
RECOVERY_PENDING: Final = ErrorSpec(1022, "members/RECOVERY_PENDING", "New keys wait for the owner's objection already.", "มีการกู้คืนรออยู่แล้ว", "Wait until it is done, or until the owner refuses.", "รอจนเสร็จหรือเจ้าของคัดค้าน")
NO_RECOVERY: Final = ErrorSpec(1023, "members/NO_RECOVERY", "Nobody asks for new keys of this account.", "ไม่มีคำขอกู้คืนบัญชีนี้", "Nothing is to be done.", "ไม่ต้องทำอะไร")
NOT_COUNCIL: Final = ErrorSpec(1024, "members/NOT_COUNCIL", "Only an active account with the role council suspends.", "ต้องมีบทบาทสภา (council)", "Ask a member of the council.", "ขอให้สมาชิกสภาดำเนินการ")
SAME_PILLAR: Final = ErrorSpec(1025, "members/SAME_PILLAR", "The second of the council must be of another pillar than the first.", "ผู้เห็นชอบคนที่สองต้องอยู่คนละภาคส่วน", "Ask a member of the council of another pillar.", "ขอสมาชิกสภาจากภาคส่วนอื่น")
LIVENESS: Final = ErrorSpec(1026, "members/LIVENESS", "Too few validators would be left whose organisation may act.", "จะเหลือผู้ตรวจสอบที่ดำเนินการได้น้อยเกินไป", "Admit another validator first.", "รับผู้ตรวจสอบรายใหม่ก่อน")
NOT_SUSPENDED: Final = ErrorSpec(1027, "members/NOT_SUSPENDED", "The account is not suspended.", "บัญชีไม่ได้ถูกระงับ", "Nothing is to be done.", "ไม่ต้องทำอะไร")
UNTIL: Final = ErrorSpec(1028, "members/UNTIL", "A suspension is confirmed until a time after now and within a year.", "เวลาสิ้นสุดการระงับต้องอยู่หลังเวลานี้และไม่เกินหนึ่งปี", "Choose a time within a year.", "เลือกเวลาภายในหนึ่งปี")
POLICY: Final = ErrorSpec(1029, "members/POLICY", "The city's policy does not let this happen yet; what is missing is named.", "นโยบายของเมืองยังไม่อนุญาต โดยระบุสิ่งที่ยังขาด", "Have those named send MemApprove, then send it again.", "ให้ผู้ที่ระบุส่ง MemApprove แล้วส่งใหม่อีกครั้ง")
# fmt: on

ERRORS: Final = tuple(spec for spec in list(globals().values()) if isinstance(spec, ErrorSpec))
"""All rows above, in the order of the file."""

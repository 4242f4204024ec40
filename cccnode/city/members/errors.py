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

ERRORS: Final = (PK_USED, CHARTER, POP, RATE, LOCKOUT, NOT_A_KEY, TOO_MANY_KEYS, WEAK_KEY)

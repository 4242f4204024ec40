"""Error rows of the sandbox module: 9000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

NOT_AN_ORGANISATION: Final = ErrorSpec(9001, "sandbox/NOT_AN_ORGANISATION", "Only the account of an organisation proposes an experiment.", "เฉพาะบัญชีขององค์กรเท่านั้นที่เสนอการทดลองได้", "Propose it with your organisation's account.", "เสนอด้วยบัญชีขององค์กร")
LENGTH: Final = ErrorSpec(9002, "sandbox/LENGTH", "An experiment ends in the future, after its begin, and is not longer than the city allows.", "การทดลองต้องสิ้นสุดในอนาคต หลังวันเริ่ม และไม่ยาวเกินกำหนด", "Choose begin and end within max_len_ms.", "เลือกวันเริ่มและวันสิ้นสุดภายในระยะที่กำหนด")
REGULATORS: Final = ErrorSpec(9003, "sandbox/REGULATORS", "An experiment needs regulators of at least two organisations, none of them the owner's.", "ต้องมีผู้กำกับดูแลจากอย่างน้อยสององค์กรที่ไม่ใช่องค์กรเจ้าของ", "Name other active accounts with the role regulator.", "ระบุบัญชีอื่นที่มีบทบาทผู้กำกับดูแล")
ASSET: Final = ErrorSpec(9004, "sandbox/ASSET", "An asset does not belong to this experiment, or is named twice.", "สินทรัพย์ไม่ได้เป็นของการทดลองนี้ หรือระบุซ้ำ", "Name assets whose record has this experiment's number, each once.", "ระบุสินทรัพย์ที่ผูกกับหมายเลขการทดลองนี้เพียงครั้งเดียว")
UNKNOWN_EXPERIMENT: Final = ErrorSpec(9005, "sandbox/UNKNOWN_EXPERIMENT", "There is no experiment of that number.", "ไม่มีการทดลองหมายเลขนี้", "Check the number.", "ตรวจหมายเลขการทดลอง")
NOT_THE_OWNER: Final = ErrorSpec(9006, "sandbox/NOT_THE_OWNER", "Only the owner of the experiment may do this.", "เฉพาะเจ้าของการทดลองเท่านั้นที่ทำได้", "Ask its owner.", "ติดต่อเจ้าของการทดลอง")
NOT_A_REGULATOR: Final = ErrorSpec(9007, "sandbox/NOT_A_REGULATOR", "Only a regulator that the experiment names, with the role still held, may do this.", "เฉพาะผู้กำกับดูแลที่ระบุไว้และยังมีบทบาทอยู่เท่านั้นที่ทำได้", "Ask one of its regulators.", "ติดต่อผู้กำกับดูแลของการทดลอง")
ALREADY: Final = ErrorSpec(9008, "sandbox/ALREADY", "You have said or done this already.", "ดำเนินการนี้ไปแล้ว", "Nothing to do; another organisation's word may be missing.", "ไม่ต้องทำซ้ำ อาจรอความเห็นจากอีกองค์กร")
STATUS: Final = ErrorSpec(9009, "sandbox/STATUS", "The experiment's status does not allow this.", "สถานะการทดลองไม่อนุญาตให้ทำ", "See its status with sandbox_experiment.", "ดูสถานะด้วย sandbox_experiment")
TERMS: Final = ErrorSpec(9010, "sandbox/TERMS", "These are not the terms of the experiment.", "ข้อตกลงไม่ตรงกับของการทดลอง", "Read the current terms and give their hash.", "อ่านข้อตกลงปัจจุบันแล้วใช้ค่าแฮชของฉบับนั้น")
FULL: Final = ErrorSpec(9011, "sandbox/FULL", "The experiment has as many participants as it may.", "ผู้เข้าร่วมครบจำนวนแล้ว", "Wait until somebody leaves.", "รอจนมีผู้ออกจากการทดลอง", retryable=True)
NOT_PARTICIPANT: Final = ErrorSpec(9012, "sandbox/NOT_PARTICIPANT", "The account does not take part in the experiment that this asset belongs to.", "บัญชีไม่ได้เข้าร่วมการทดลองของสินทรัพย์นี้", "Read its terms and join with sbx-join.", "อ่านข้อตกลงแล้วเข้าร่วมด้วย sbx-join")
PAUSED: Final = ErrorSpec(9013, "sandbox/PAUSED", "A regulator has paused the experiment; only what leads out goes on.", "ผู้กำกับดูแลสั่งพักการทดลอง ทำได้เฉพาะการออก", "Wait until it is resumed, or redeem.", "รอจนกว่าจะเปิดใหม่ หรือไถ่ถอน", retryable=True)
EXPIRED: Final = ErrorSpec(9014, "sandbox/EXPIRED", "The experiment has not begun or is over; only what leads out goes on.", "การทดลองยังไม่เริ่มหรือสิ้นสุดแล้ว ทำได้เฉพาะการออก", "Redeem what you own of its assets.", "ไถ่ถอนสินทรัพย์ที่ถืออยู่")
NOT_COVERED: Final = ErrorSpec(9015, "sandbox/NOT_COVERED", "The experiment does not cover this use or this asset.", "การทดลองไม่ครอบคลุมการใช้งานหรือสินทรัพย์นี้", "See its scopes and limits.", "ดูขอบเขตและเพดานของการทดลอง")
LIMIT: Final = ErrorSpec(9016, "sandbox/LIMIT", "This would pass a limit of the experiment.", "เกินเพดานของการทดลอง", "Use less, or see sandbox_usage for what is left.", "ใช้น้อยลง หรือดูเพดานที่เหลือด้วย sandbox_usage")
CONSENT: Final = ErrorSpec(9017, "sandbox/CONSENT", "No regulator of the experiment has consented to that end.", "ยังไม่มีผู้กำกับดูแลยินยอมวันสิ้นสุดนี้", "Have one of its regulators send sbx-consent with the same end.", "ให้ผู้กำกับดูแลส่ง sbx-consent ด้วยวันสิ้นสุดเดียวกัน")
# fmt: on

ERRORS: Final = tuple(spec for spec in list(globals().values()) if isinstance(spec, ErrorSpec))
"""All rows above, in the order of the file."""

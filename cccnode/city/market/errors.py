"""Error rows of the market module: 8000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

NOT_HOLDER: Final = ErrorSpec(8001, "market/NOT_HOLDER", "The seller does not hold that much of the lot.", "ผู้ขายไม่ได้ถือครองล็อตนี้ในปริมาณที่เสนอ", "List what prv_holder shows as yours and usable.", "เสนอขายเฉพาะล็อตที่ถือครองและใช้ได้")
UNKNOWN_LISTING: Final = ErrorSpec(8002, "market/UNKNOWN_LISTING", "There is no open listing of that number.", "ไม่มีรายการขายหมายเลขนี้ที่เปิดอยู่", "Look for another listing.", "เลือกรายการขายอื่น")
UNKNOWN_ORDER: Final = ErrorSpec(8003, "market/UNKNOWN_ORDER", "There is no order of that number.", "ไม่มีคำสั่งซื้อหมายเลขนี้", "Check the number of the order.", "ตรวจหมายเลขคำสั่งซื้อ")
NOT_A_PARTY: Final = ErrorSpec(8004, "market/NOT_A_PARTY", "Only another party of this order or listing may do this.", "เฉพาะคู่กรณีที่เกี่ยวข้องเท่านั้นที่ทำได้", "See who may do what in the module's README.", "ดูสิทธิ์ของแต่ละฝ่ายในเอกสารของโมดูล")
SELF: Final = ErrorSpec(8005, "market/SELF", "Buyer, seller and carrier are three different accounts.", "ผู้ซื้อ ผู้ขาย และผู้ขนส่งต้องเป็นคนละบัญชี", "Choose other accounts.", "เลือกบัญชีอื่น")
QTY_UNAVAILABLE: Final = ErrorSpec(8006, "market/QTY_UNAVAILABLE", "That much is not for sale any more.", "ปริมาณที่เหลือขายไม่พอ", "Order at most what the listing has left.", "สั่งไม่เกินปริมาณที่เหลือ")
MINIMUM: Final = ErrorSpec(8007, "market/MINIMUM", "The order is smaller than the seller sells.", "สั่งน้อยกว่าปริมาณขั้นต่ำ", "Order at least the listing's minimum.", "สั่งอย่างน้อยตามขั้นต่ำของรายการ")
CARRIER: Final = ErrorSpec(8008, "market/CARRIER", "That carrier may not carry this, or pay is promised to no carrier.", "ผู้ขนส่งรายนี้ใช้ไม่ได้ หรือมีค่าขนส่งแต่ไม่มีผู้ขนส่ง", "Name an active carrier that the listing allows, or no carrier and no pay.", "ระบุผู้ขนส่งที่รายการอนุญาต หรือไม่ระบุทั้งผู้ขนส่งและค่าขนส่ง")
TOO_LARGE: Final = ErrorSpec(8009, "market/TOO_LARGE", "The sum is larger than any amount may be.", "ยอดรวมเกินค่าสูงสุด", "Order less.", "สั่งน้อยลง")
EXPIRY: Final = ErrorSpec(8010, "market/EXPIRY", "A listing ends after now, and within the time that the city allows.", "วันหมดอายุต้องอยู่ในอนาคตและไม่เกินที่เมืองกำหนด", "Choose an end within listing_ms of now.", "เลือกวันหมดอายุภายในระยะที่กำหนด")
STATUS: Final = ErrorSpec(8011, "market/STATUS", "The order is not where this may be done.", "สถานะคำสั่งซื้อไม่อนุญาตให้ทำ", "See its status with market_order.", "ดูสถานะด้วย market_order")
EXPIRED: Final = ErrorSpec(8012, "market/EXPIRED", "The time for this is over.", "หมดเวลาดำเนินการแล้ว", "Nothing to do: the order goes on by itself.", "ไม่ต้องทำอะไร ระบบจะดำเนินการต่อเอง")
WRONG_HANDOVER: Final = ErrorSpec(8013, "market/WRONG_HANDOVER", "This handover does not fit the order that it names.", "การส่งมอบนี้ไม่ตรงกับคำสั่งซื้อที่ระบุ", "Hand the ordered goods from seller to carrier to buyer, in time.", "ส่งมอบสินค้าที่สั่งจากผู้ขายสู่ผู้ขนส่งสู่ผู้ซื้อให้ทันเวลา")
NOT_THE_ARBITRATOR: Final = ErrorSpec(8014, "market/NOT_THE_ARBITRATOR", "Somebody else was drawn to rule on this order, or you ruled already.", "คุณไม่ใช่ผู้ชี้ขาดที่จับฉลากได้ หรือได้ชี้ขาดไปแล้ว", "See market_disputes for those that wait for you.", "ดูข้อพิพาทที่รอคุณใน market_disputes")
RULING: Final = ErrorSpec(8015, "market/RULING", "Nobody carried this order, so no carrier is at fault.", "คำสั่งซื้อนี้ไม่มีผู้ขนส่ง จึงให้ผู้ขนส่งผิดไม่ได้", "Rule on buyer and seller only.", "ชี้ขาดเฉพาะผู้ซื้อและผู้ขาย")
APPEALED: Final = ErrorSpec(8016, "market/APPEALED", "There was an appeal already; the panel's word is the last.", "มีการอุทธรณ์แล้ว คำชี้ขาดของคณะเป็นที่สุด", "Nothing more can be done here.", "ไม่สามารถดำเนินการต่อได้")
OPEN_ORDERS: Final = ErrorSpec(8017, "market/OPEN_ORDERS", "The account is buyer, seller or carrier of orders that are not over.", "บัญชียังเป็นคู่กรณีของคำสั่งซื้อที่ไม่จบ", "Bring them to an end, or wait: every order ends by itself.", "ดำเนินการให้จบ หรือรอ คำสั่งซื้อทุกรายการจบได้เอง")

ERRORS: Final = (NOT_HOLDER, UNKNOWN_LISTING, UNKNOWN_ORDER, NOT_A_PARTY, SELF, QTY_UNAVAILABLE, MINIMUM, CARRIER, TOO_LARGE, EXPIRY, STATUS, EXPIRED, WRONG_HANDOVER, NOT_THE_ARBITRATOR, RULING, APPEALED, OPEN_ORDERS)

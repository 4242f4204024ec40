"""Every error that a person or a program can meet, in one table: name, number, text, remedy, Thai and English.

Names are stable (`area/NAME`); numbers go into receipts.  Core rows stand here; a city module brings its own rows
(number = module number * 1000 + n) and the registry joins them, so that code, RPC, logs and docs say the same.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One row of the error table."""

    code: int
    name: str
    """`area/NAME`."""
    en: str
    """What happened, one sentence."""
    th: str
    remedy: str
    """What to do about it, in English."""
    remedy_th: str
    retryable: bool = False
    """Whether the same request may succeed later, unchanged."""


@dataclass(slots=True)
class Fault(Exception):
    """A named error with the values that explain it.  Expected in normal operation; never our own bug."""

    spec: ErrorSpec
    values: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name, text and values on one line."""
        details = ", ".join(f"{key}={_show(value)}" for key, value in self.values.items())
        return f"{self.spec.name}: {self.spec.en}" + (f" ({details})" if details else "")


def fault(spec: ErrorSpec, **values: object) -> Fault:
    """The exception for one row, with the values that explain this occurrence."""
    return Fault(spec, values)


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
MALFORMED: Final = ErrorSpec(1, "core/MALFORMED", "The bytes do not decode to what was expected.", "ข้อมูลอ่านไม่ออกหรือไม่ตรงรูปแบบ", "Send the canonical MessagePack encoding of the documented fields.", "ส่งข้อมูล MessagePack ตามรูปแบบในเอกสาร")
NON_CANONICAL: Final = ErrorSpec(2, "core/NON_CANONICAL", "The bytes decode, but are not the one canonical encoding of their value.", "การเข้ารหัสไม่เป็นรูปแบบมาตรฐานเดียว", "Use shortest integers and no surplus bytes; re-encode with the client library.", "ใช้ไลบรารีไคลเอนต์เข้ารหัสใหม่")
UNKNOWN_MESSAGE: Final = ErrorSpec(3, "core/UNKNOWN_MESSAGE", "A message tag is not in this node's registry.", "ไม่รู้จักชนิดข้อความนี้", "Check the tag, or upgrade the node that refused it.", "ตรวจรหัสข้อความหรืออัปเกรดโหนด")
OVERSIZE: Final = ErrorSpec(4, "core/OVERSIZE", "Larger than the limit.", "ขนาดเกินกำหนด", "Split the request.", "แบ่งคำขอให้เล็กลง")
WRONG_CHAIN: Final = ErrorSpec(5, "core/WRONG_CHAIN", "Made for another chain.", "เป็นของเครือข่ายอื่น", "Sign with this network's chain id (chain_status shows it).", "ลงนามด้วยรหัสเครือข่ายนี้")
UNSUPPORTED_VERSION: Final = ErrorSpec(6, "core/UNSUPPORTED_VERSION", "The format version is not supported.", "ไม่รองรับรุ่นของรูปแบบนี้", "Use version 1.", "ใช้รุ่น 1")

TX_EXPIRED: Final = ErrorSpec(100, "tx/EXPIRED", "The transaction's deadline has passed; it was not and will not be executed.", "ธุรกรรมหมดอายุและจะไม่ถูกดำเนินการ", "Build it again with a later valid_until_ms.", "สร้างใหม่โดยกำหนดเวลาหมดอายุช้ากว่าเดิม")
TX_EXPIRY_TOO_FAR: Final = ErrorSpec(101, "tx/EXPIRY_TOO_FAR", "The deadline is further ahead than the network allows.", "กำหนดเวลาหมดอายุไกลเกินไป", "Choose valid_until_ms within tx_lifetime_max of now.", "เลือกเวลาหมดอายุให้อยู่ในช่วงที่กำหนด")
TX_DUPLICATE: Final = ErrorSpec(102, "tx/DUPLICATE", "This transaction was already decided.", "ธุรกรรมนี้ถูกตัดสินไปแล้ว", "Nothing to do: ask tx_status for its receipt.", "ไม่ต้องทำอะไร ดูผลด้วย tx_status")
TX_BAD_SIGNATURE: Final = ErrorSpec(103, "tx/BAD_SIGNATURE", "A signature does not verify.", "ลายเซ็นไม่ถูกต้อง", "Sign the signed part with the key listed in signers.", "ลงนามด้วยกุญแจที่ระบุ")
TX_SMALL_ORDER_KEY: Final = ErrorSpec(104, "tx/SMALL_ORDER_KEY", "A signer's key or a signature's R is a small-order point.", "กุญแจหรือค่า R ไม่ปลอดภัย", "Use an ordinary Ed25519 key.", "ใช้กุญแจ Ed25519 ปกติ")
TX_SIGNERS: Final = ErrorSpec(105, "tx/SIGNERS", "Signers are not sorted, repeat, or do not match the signatures in number.", "รายชื่อผู้ลงนามไม่เรียงหรือซ้ำ", "Sort signers, list each once, one signature for each.", "เรียงผู้ลงนามและใส่ลายเซ็นให้ครบ")
TX_UNKNOWN_ACCOUNT: Final = ErrorSpec(106, "tx/UNKNOWN_ACCOUNT", "The acting account does not exist.", "ไม่มีบัญชีนี้", "Apply for membership first.", "สมัครสมาชิกก่อน")
TX_KEY_WITHOUT_WEIGHT: Final = ErrorSpec(107, "tx/KEY_WITHOUT_WEIGHT", "A signer is not a current key of the account or of the fee payer.", "กุญแจนี้ไม่มีสิทธิ์ในบัญชี", "Sign with current keys only.", "ใช้กุญแจปัจจุบันของบัญชี")
TX_BELOW_THRESHOLD: Final = ErrorSpec(108, "tx/BELOW_THRESHOLD", "The signers' weight does not reach the account's threshold.", "น้ำหนักลายเซ็นไม่ถึงเกณฑ์", "Collect more signatures of the account's keys.", "เพิ่มผู้ลงนาม")
TX_FEE_TOO_LOW: Final = ErrorSpec(109, "tx/FEE_TOO_LOW", "fee_max is below the fee of this transaction.", "ค่าธรรมเนียมสูงสุดต่ำเกินไป", "Raise fee_max to the fee named here.", "เพิ่มค่าธรรมเนียมสูงสุด")
TX_INSUFFICIENT_FEE_BALANCE: Final = ErrorSpec(110, "tx/INSUFFICIENT_FEE_BALANCE", "The payer cannot cover the fees of its pending transactions.", "ยอดเงินไม่พอจ่ายค่าธรรมเนียม", "Fund the payer or wait for pending transactions.", "เติมเงินหรือรอธุรกรรมก่อนหน้า", retryable=True)
TX_WEIGHT: Final = ErrorSpec(111, "tx/WEIGHT", "The transaction weighs more than a block may.", "ธุรกรรมหนักเกินไป", "Split it.", "แบ่งธุรกรรม")
TX_ACCOUNT_STATUS: Final = ErrorSpec(112, "tx/ACCOUNT_STATUS", "The account's status does not allow this.", "สถานะบัญชีไม่อนุญาต", "See the account's status.", "ตรวจสถานะบัญชี")
POOL_FULL: Final = ErrorSpec(120, "pool/FULL", "This node's mempool is full.", "คิวธุรกรรมของโหนดเต็ม", "Send again in a second, or to another node.", "ส่งใหม่ภายหลังหรือส่งโหนดอื่น", retryable=True)
POOL_PAYER_LIMIT: Final = ErrorSpec(121, "pool/PAYER_LIMIT", "The payer has too many pending transactions at this node.", "ผู้จ่ายมีธุรกรรมรอมากเกินไป", "Wait until some are executed.", "รอให้ธุรกรรมก่อนหน้าเสร็จ", retryable=True)
POOL_NOT_READY: Final = ErrorSpec(122, "pool/NOT_READY", "This node cannot take transactions now.", "โหนดยังไม่พร้อมรับธุรกรรม", "Ask /readyz why, or use another node.", "ดูสาเหตุที่ /readyz หรือใช้โหนดอื่น", retryable=True)
POOL_PENDING: Final = ErrorSpec(123, "pool/PENDING", "This transaction is already waiting at this node.", "ธุรกรรมนี้รออยู่ที่โหนดนี้แล้ว", "Nothing to do: ask tx_wait for its receipt.", "ไม่ต้องทำอะไร รอผลด้วย tx_wait")
POOL_APPLICATIONS: Final = ErrorSpec(124, "pool/APPLICATIONS", "This node relays no more membership applications for now.", "โหนดรับใบสมัครครบโควตาแล้ว", "Send it again in a minute, or to another node.", "ส่งใหม่ภายหลังหรือส่งโหนดอื่น", retryable=True)
BLOCK_INVALID: Final = ErrorSpec(130, "block/INVALID", "A block's body breaks a rule.", "เนื้อหาบล็อกผิดกฎ", "The proposer is faulty or of another version.", "ผู้เสนอบล็อกผิดพลาดหรือต่างรุ่น")

GROUP_FULL: Final = ErrorSpec(200, "state/GROUP_FULL", "A state group holds as many items as it may.", "กลุ่มข้อมูลเต็ม", "Remove an item first.", "ลบรายการก่อน")
VALUE_TOO_LARGE: Final = ErrorSpec(201, "state/VALUE_TOO_LARGE", "A state key or value is larger than the limit.", "ข้อมูลใหญ่เกินไป", "Use smaller fields.", "ใช้ข้อมูลที่เล็กลง")
INVALID_PROOF: Final = ErrorSpec(202, "state/INVALID_PROOF", "A state proof does not lead to the state root.", "หลักฐานไม่นำไปสู่ค่ารากของสถานะ", "Do not trust the answer; ask another node.", "อย่าเชื่อคำตอบนี้ ให้ถามโหนดอื่น")
PROOF_CHAIN: Final = ErrorSpec(210, "proof/OTHER_CHAIN", "What is shown belongs to another chain.", "หลักฐานเป็นของเครือข่ายอื่น", "Compare the genesis hash with the one that the network publishes.", "เทียบแฮช genesis กับค่าที่เครือข่ายประกาศ")
PROOF_CERTIFICATE: Final = ErrorSpec(211, "proof/CERTIFICATE", "The certificate does not make this header final.", "ใบรับรองไม่ได้ยืนยันว่าส่วนหัวบล็อกนี้เป็นที่สุด", "Do not rely on it; ask another node.", "อย่าเชื่อถือข้อมูลนี้ ให้ถามโหนดอื่น")
PROOF_VALIDATORS: Final = ErrorSpec(212, "proof/VALIDATORS", "The validators are not those that the chain names for this block.", "ผู้ตรวจสอบไม่ใช่ชุดที่เชนกำหนดสำหรับบล็อกนี้", "Follow the epochs from genesis again, and ask another node.", "ตามยุคจาก genesis ใหม่ และถามโหนดอื่น")
PROOF_HISTORY: Final = ErrorSpec(213, "proof/HISTORY", "The history is cut off, has a gap, or is not the one that is known.", "ประวัติถูกตัด ขาดตอน หรือไม่ตรงกับที่ทราบ", "Ask another node; if this one is your own, see `cccnode doctor`.", "ถามโหนดอื่น หากเป็นโหนดของท่านเอง ให้ดู `cccnode doctor`")
PROOF_RESULT: Final = ErrorSpec(214, "proof/RESULT", "The final header does not report these results for this height.", "ส่วนหัวบล็อกที่เป็นที่สุดไม่ได้รายงานผลนี้สำหรับความสูงนี้", "Do not rely on it; ask another node.", "อย่าเชื่อถือข้อมูลนี้ ให้ถามโหนดอื่น")
PROOF_CONTENT: Final = ErrorSpec(215, "proof/CONTENT", "What is shown is not what the block holds.", "สิ่งที่แสดงไม่ใช่สิ่งที่อยู่ในบล็อก", "Do not rely on it; ask another node.", "อย่าเชื่อถือข้อมูลนี้ ให้ถามโหนดอื่น")
PROOF_QUESTION: Final = ErrorSpec(216, "proof/OTHER_QUESTION", "The proof holds, but answers another question.", "หลักฐานถูกต้อง แต่ตอบคำถามอื่น", "Do not rely on it; ask another node.", "อย่าเชื่อถือข้อมูลนี้ ให้ถามโหนดอื่น")
EVIDENCE_FILE: Final = ErrorSpec(217, "proof/EVIDENCE_FILE", "The evidence file does not prove what it should.", "แฟ้มหลักฐานไม่พิสูจน์สิ่งที่ควรพิสูจน์", "Ask whoever gave you the file for a fresh export; do not rely on this one.", "ขอให้ผู้ที่มอบแฟ้มส่งออกใหม่ อย่าเชื่อถือแฟ้มนี้")

RPC_PARSE: Final = ErrorSpec(-32700, "rpc/PARSE", "The request is not valid JSON, or nests too deeply.", "คำขอไม่ใช่ JSON ที่ถูกต้อง", "Send one JSON-RPC 2.0 object or an array of them.", "ส่ง JSON-RPC 2.0")
RPC_INVALID_REQUEST: Final = ErrorSpec(-32600, "rpc/INVALID_REQUEST", "The JSON is not a JSON-RPC 2.0 request.", "คำขอไม่ตรงมาตรฐาน JSON-RPC 2.0", "Give jsonrpc, method, params and id.", "ระบุ jsonrpc method params id")
RPC_METHOD_NOT_FOUND: Final = ErrorSpec(-32601, "rpc/METHOD_NOT_FOUND", "No such method.", "ไม่มีเมธอดนี้", "See the method list in the docs.", "ดูรายชื่อเมธอดในเอกสาร")
RPC_INVALID_PARAMS: Final = ErrorSpec(-32602, "rpc/INVALID_PARAMS", "A parameter is missing, unknown or of the wrong form.", "พารามิเตอร์ไม่ถูกต้อง", "See the method's parameters in the docs.", "ดูพารามิเตอร์ในเอกสาร")
RPC_INTERNAL: Final = ErrorSpec(-32603, "rpc/INTERNAL", "The node failed to answer; its log says why.", "โหนดขัดข้อง", "Report it with the log line.", "แจ้งผู้ดูแลพร้อมบันทึก", retryable=True)
RPC_LIMIT: Final = ErrorSpec(-32005, "rpc/LIMIT_EXCEEDED", "More calls, bytes or items than one request may hold.", "คำขอเกินขีดจำกัด", "Split the request.", "แบ่งคำขอ")
RPC_BUSY: Final = ErrorSpec(-32006, "rpc/BUSY", "Too many requests are waiting.", "มีคำขอรออยู่มาก", "Try again in a moment.", "ลองใหม่อีกครั้ง", retryable=True)
RPC_HTTP: Final = ErrorSpec(310, "rpc/HTTP", "The HTTP request is not one that this port answers.", "คำขอ HTTP ไม่ถูกต้องสำหรับพอร์ตนี้", "POST one JSON-RPC 2.0 request to /rpc.", "ส่งคำขอ JSON-RPC 2.0 ด้วย POST ไปที่ /rpc")
RPC_TIMEOUT: Final = ErrorSpec(311, "rpc/TIMEOUT", "The request did not arrive in time.", "คำขอมาไม่ครบภายในเวลาที่กำหนด", "Send it faster, or split it.", "ส่งให้เร็วขึ้นหรือแบ่งคำขอ", retryable=True)
NOT_FOUND: Final = ErrorSpec(300, "rpc/NOT_FOUND", "There is no such thing at this node's height.", "ไม่พบข้อมูล", "Check the id or height; a node that lags may find it later.", "ตรวจรหัสหรือความสูงบล็อก", retryable=True)
RPC_RATE_LIMITED: Final = ErrorSpec(312, "rpc/RATE_LIMITED", "This client asks for more than its share of this node.", "ไคลเอนต์นี้เรียกใช้เกินส่วนแบ่งของโหนด", "Wait as long as retry_ms says; whoever needs more asks the operator for an API key.", "รอตามเวลาใน retry_ms หากต้องการมากกว่านี้ให้ขอ API key จากผู้ดูแลโหนด", retryable=True)
RPC_KEY_UNKNOWN: Final = ErrorSpec(313, "rpc/KEY_UNKNOWN", "The API key is not one of this node.", "API key นี้ไม่ใช่ของโหนดนี้", "Send a key that the operator gave you, or none.", "ส่ง API key ที่ผู้ดูแลโหนดให้ หรือไม่ต้องส่ง")
RPC_ORIGIN: Final = ErrorSpec(314, "rpc/ORIGIN", "Pages of this web site may not use this node.", "เว็บไซต์นี้ไม่ได้รับอนุญาตให้ใช้โหนดนี้", "The operator allows a site with rpc.cors_origins in config.toml.", "ผู้ดูแลโหนดอนุญาตเว็บไซต์ได้ด้วย rpc.cors_origins ใน config.toml")
RPC_TLS_FILES: Final = ErrorSpec(315, "rpc/TLS_FILES", "The certificate or key of the RPC port cannot be used.", "ใบรับรองหรือกุญแจของพอร์ต RPC ใช้ไม่ได้", "Give a PEM chain in rpc.tls_cert and its key, not encrypted, in rpc.tls_key.", "ระบุไฟล์ PEM ใน rpc.tls_cert และกุญแจที่ไม่เข้ารหัสใน rpc.tls_key")
WAIT_TIMEOUT: Final = ErrorSpec(302, "rpc/WAIT_TIMEOUT", "The transaction was not decided while waiting.", "รอผลไม่ทันเวลา", "Ask again; it is not lost.", "ถามอีกครั้ง", retryable=True)
NOT_PROVABLE: Final = ErrorSpec(303, "rpc/NOT_PROVABLE", "This node cannot prove that, or not yet.", "โหนดนี้ยังพิสูจน์สิ่งนี้ไม่ได้", "Ask again in a moment, or for what the values say is provable; the state of older heights is proven by whoever kept a proof.", "ลองใหม่ในอีกสักครู่ หรือขอสิ่งที่ระบุว่าพิสูจน์ได้ สถานะของความสูงเก่าพิสูจน์ได้โดยผู้ที่เก็บหลักฐานไว้", retryable=True)
NO_STATE: Final = ErrorSpec(304, "rpc/NO_STATE", "This node has no state yet: it is fetching a snapshot.", "โหนดนี้ยังไม่มีข้อมูล กำลังดึงสแนปช็อต", "Wait; `cccnode status` shows how far it is. Or ask another node.", "รอสักครู่ ดูความคืบหน้าด้วย cccnode status หรือถามโหนดอื่น", retryable=True)

NO_HISTORY: Final = ErrorSpec(306, "rpc/NO_HISTORY", "This node keeps no history of accounts.", "โหนดนี้ไม่เก็บประวัติของบัญชี", "Set storage.history = true in its config.toml and start it again (it fills itself), or ask another node.", "ตั้ง storage.history = true ใน config.toml แล้วเริ่มโหนดใหม่ หรือถามโหนดอื่น")
EVENTS_LAGGED: Final = ErrorSpec(330, "events/LAGGED", "A reader of events is too far behind: what follows its cursor is no longer kept or was not taken in time.", "ผู้อ่านเหตุการณ์ตามไม่ทัน: เหตุการณ์ถัดจากเคอร์เซอร์ไม่ถูกเก็บไว้แล้ว หรือไม่ได้รับไปทันเวลา", "Read on after your own cursor; where `oldest` in the details lies above it, go on there, and ask an archive node for what is missing.", "อ่านต่อจากเคอร์เซอร์ของท่าน หาก `oldest` ในรายละเอียดสูงกว่า ให้เริ่มที่นั่น และขอส่วนที่ขาดจากโหนดเก็บถาวร")

NODE_UNREGISTERED: Final = ErrorSpec(400, "net/NOT_REGISTERED", "The node's key is not in the registry.", "โหนดยังไม่ได้ลงทะเบียน", "Have the organisation register this node's key; the node keeps trying and joins by itself.", "ให้องค์กรลงทะเบียนกุญแจของโหนดนี้ แล้วโหนดจะเชื่อมต่อเอง")
NET_WRONG_CHAIN: Final = ErrorSpec(401, "net/WRONG_CHAIN", "The other node is of another chain.", "โหนดปลายทางอยู่คนละเครือข่าย", "Compare genesis hashes.", "เทียบค่า genesis")
NET_VERSION: Final = ErrorSpec(402, "net/VERSION", "No common protocol version.", "รุ่นโปรโตคอลไม่ตรงกัน", "Upgrade the older node.", "อัปเกรดโหนดที่เก่ากว่า")
NET_DUPLICATE: Final = ErrorSpec(403, "net/DUPLICATE_IDENTITY", "This identity is already connected from elsewhere.", "ตัวตนนี้เชื่อมต่ออยู่แล้ว", "Make sure that no second process uses the same key.", "ตรวจว่าไม่มีโปรแกรมอื่นใช้กุญแจเดียวกัน")
NET_FULL: Final = ErrorSpec(404, "net/TOO_MANY_PEERS", "The node has all the peers it takes.", "โหนดรับเพื่อนเต็มแล้ว", "Try the addresses it names instead.", "ลองที่อยู่อื่นที่แนะนำ", retryable=True)
NET_OVERSIZE: Final = ErrorSpec(405, "net/OVERSIZE_FRAME", "A frame is larger than its channel allows.", "เฟรมใหญ่เกินกำหนด", "The peer is faulty or of another version.", "ปลายทางผิดพลาดหรือต่างรุ่น")
NET_MALFORMED: Final = ErrorSpec(406, "net/MALFORMED_FRAME", "A frame does not decode.", "เฟรมอ่านไม่ออก", "The peer is faulty or of another version.", "ปลายทางผิดพลาดหรือต่างรุ่น")
NET_IDENTITY: Final = ErrorSpec(407, "net/WRONG_IDENTITY", "The node at this address has another key than expected.", "กุญแจของโหนดปลายทางไม่ตรง", "Correct the address, or the registry.", "แก้ที่อยู่หรือทะเบียน")
NET_UNREACHABLE: Final = ErrorSpec(408, "net/UNREACHABLE", "No connection could be made.", "เชื่อมต่อไม่ได้", "Check that the other node runs, its address, and firewalls on the way.", "ตรวจว่าโหนดปลายทางทำงาน ที่อยู่ และไฟร์วอลล์", retryable=True)
NET_SILENT: Final = ErrorSpec(409, "net/SILENT", "The peer was silent, or took nothing, for longer than a live node may.", "ปลายทางเงียบหรือไม่รับข้อมูลนานเกินไป", "Check the other node and the network; it is dialled again by itself.", "ตรวจโหนดปลายทางและเครือข่าย ระบบจะต่อใหม่เอง", retryable=True)
NET_CLOSED: Final = ErrorSpec(410, "net/CLOSED", "The connection ended.", "การเชื่อมต่อสิ้นสุด", "Nothing to do: it is dialled again by itself.", "ไม่ต้องทำอะไร ระบบจะต่อใหม่เอง", retryable=True)
NET_MISBEHAVED: Final = ErrorSpec(411, "net/MISBEHAVED", "The peer broke the rules too often and is kept out for a while.", "ปลายทางทำผิดกติกาบ่อยเกินไป จึงถูกกันไว้ชั่วคราว", "See the offences named; upgrade or repair that node.", "ดูความผิดที่ระบุ แล้วอัปเกรดหรือซ่อมโหนดนั้น", retryable=True)
NET_CROSSED: Final = ErrorSpec(412, "net/CROSSED", "Two nodes dialled each other at once; one of the two connections is given up.", "สองโหนดต่อหากันพร้อมกัน จึงเลิกการเชื่อมต่อหนึ่ง", "Nothing to do: the other connection is used.", "ไม่ต้องทำอะไร ระบบใช้การเชื่อมต่ออีกเส้น", retryable=True)
NET_ADDRESS_FORGED: Final = ErrorSpec(413, "net/ADDRESS_FORGED", "An address record is not signed by its node, or holds no address.", "ลายเซ็นที่อยู่ของโหนดไม่ถูกต้อง", "The peer that passed it on is faulty or of another version.", "โหนดที่ส่งต่อผิดพลาดหรือต่างรุ่น")
NET_ADDRESS_STALE: Final = ErrorSpec(414, "net/ADDRESS_STALE", "An address record is not newer than the one that is known.", "ที่อยู่ของโหนดไม่ใหม่กว่าที่รู้แล้ว", "Nothing to do: the newer one is used.", "ไม่ต้องทำอะไร ระบบใช้ที่อยู่ใหม่กว่า")
NET_ADDRESS_AHEAD: Final = ErrorSpec(415, "net/ADDRESS_AHEAD", "An address record is dated more than ten minutes ahead.", "วันที่ของที่อยู่โหนดล้ำหน้าเกินสิบนาที", "Set the clock of that node, or of this one.", "ตั้งนาฬิกาของโหนดนั้นหรือโหนดนี้ให้ตรง")

CONFIG_INVALID: Final = ErrorSpec(500, "config/INVALID", "The configuration is not valid.", "การตั้งค่าไม่ถูกต้อง", "Correct the lines named; `cccnode config check` shows all of them.", "แก้บรรทัดที่ระบุ")
GENESIS_INVALID: Final = ErrorSpec(501, "genesis/INVALID", "The genesis document is not valid.", "เอกสาร genesis ไม่ถูกต้อง", "Correct every item listed.", "แก้ทุกรายการที่ระบุ")
GENESIS_UNSIGNED: Final = ErrorSpec(502, "genesis/UNSIGNED", "The genesis document lacks a signature that it lists, or holds a wrong one.", "เอกสาร genesis ขาดลายเซ็นที่ต้องมี หรือมีลายเซ็นที่ไม่ถูกต้อง", "Ask each organisation named to sign exactly this document (`cccnode genesis sign`), then collect again.", "ขอให้องค์กรที่ระบุลงนามเอกสารฉบับนี้ (cccnode genesis sign) แล้วรวบรวมใหม่")
GENESIS_DRAFTS: Final = ErrorSpec(503, "genesis/DRAFTS_DIFFER", "Two drafts of the genesis document contradict each other.", "ร่างเอกสาร genesis สองฉบับขัดแย้งกัน", "Agree on what the line names, then collect again.", "ตกลงกันในรายการที่ระบุ แล้วรวบรวมใหม่")
CARD_MALFORMED: Final = ErrorSpec(540, "card/MALFORMED", "The text is not a network card.", "ข้อความนี้ไม่ใช่การ์ดเครือข่าย", "Copy the whole text that begins with ccccard1, or give a file that holds it.", "คัดลอกข้อความทั้งหมดที่ขึ้นต้นด้วย ccccard1 หรือระบุไฟล์ที่เก็บข้อความนั้น")
CARD_CHECKSUM: Final = ErrorSpec(541, "card/CHECKSUM", "The network card was damaged on its way: its checksum does not match.", "การ์ดเครือข่ายเสียหาย ค่าตรวจสอบไม่ตรง", "Copy the whole text again; do not type it.", "คัดลอกข้อความทั้งหมดอีกครั้ง อย่าพิมพ์เอง")
CARD_EXPIRED: Final = ErrorSpec(542, "card/EXPIRED", "The network card is too old: its addresses and checkpoint may be.", "การ์ดเครือข่ายหมดอายุ", "Ask a member for a new one (`cccnode card make`).", "ขอการ์ดใหม่จากสมาชิก (cccnode card make)")
CARD_VERSION: Final = ErrorSpec(543, "card/VERSION", "The network card is of a version that this program does not know.", "โปรแกรมนี้ไม่รู้จักรุ่นของการ์ดเครือข่าย", "Upgrade this program.", "อัปเกรดโปรแกรม")
CARD_OTHER_GENESIS: Final = ErrorSpec(544, "card/OTHER_GENESIS", "The genesis document is not that of the network card.", "เอกสาร genesis ไม่ตรงกับการ์ดเครือข่าย", "Use the document of the card's network; whoever gave you the other one, or a node that serves it, is wrong.", "ใช้เอกสารของเครือข่ายในการ์ด ผู้ที่ให้เอกสารนี้หรือโหนดที่ส่งเอกสารนี้ไม่ถูกต้อง")
CARD_CHECKPOINT: Final = ErrorSpec(545, "card/CHECKPOINT", "The history that this node was given does not hold the block that the network card names.", "ประวัติที่โหนดได้รับไม่มีบล็อกตามที่การ์ดเครือข่ายระบุ", "Do not trust what it shows; ask members whose history is right, and start again in an empty home with a new card.", "อย่าเชื่อข้อมูลของโหนดนี้ สอบถามสมาชิก แล้วเริ่มใหม่ในโฟลเดอร์ว่างด้วยการ์ดใหม่")
JOIN_MALFORMED: Final = ErrorSpec(550, "join/MALFORMED", "The text is not a join request.", "ข้อความนี้ไม่ใช่คำขอเข้าร่วม", "Copy the whole text that begins with cccjoin1, or give a file that holds it.", "คัดลอกข้อความทั้งหมดที่ขึ้นต้นด้วย cccjoin1 หรือระบุไฟล์ที่เก็บข้อความนั้น")
JOIN_SIGNATURE: Final = ErrorSpec(551, "join/SIGNATURE", "A key that the join request names did not sign it.", "กุญแจในคำขอเข้าร่วมไม่ได้ลงนามคำขอนี้", "Do not propose it; ask the organisation for a new one (`cccnode join request`).", "อย่าเสนอคำขอนี้ ให้องค์กรทำคำขอใหม่ (cccnode join request)")
SIGNER_AWAY: Final = ErrorSpec(570, "signer/AWAY", "The remote signer is not connected, so this node does not vote.", "โปรแกรมลงนามระยะไกลไม่ได้เชื่อมต่อ โหนดจึงไม่ลงคะแนน", "Start `cccnode signer run` on its machine and check the way to signer.listen; voting goes on by itself.", "เริ่ม cccnode signer run บนเครื่องนั้น และตรวจเส้นทางไปยัง signer.listen แล้วโหนดจะลงคะแนนต่อเอง", retryable=True)
SIGNER_MARK: Final = ErrorSpec(571, "signer/BELOW_MARK", "The signer has signed in a later view, and signs nothing below it.", "ผู้ลงนามเคยลงนามในวิวที่ใหม่กว่าแล้ว จึงไม่ลงนามย้อนหลัง", "Nothing to do if another node of yours uses this signer; else wait until this node is at the tip.", "ไม่ต้องทำอะไรหากมีอีกโหนดของท่านใช้ผู้ลงนามนี้ มิฉะนั้นรอให้โหนดตามทัน")
SIGNER_CONFLICT: Final = ErrorSpec(572, "signer/CONFLICT", "The signer has signed another vote of this view, which this one contradicts.", "ผู้ลงนามลงนามคะแนนอื่นในวิวนี้แล้ว ซึ่งขัดแย้งกับคะแนนนี้", "Let one node only use this signer; look for a second home with the same keys.", "ให้โหนดเดียวใช้ผู้ลงนามนี้ ตรวจหาโฟลเดอร์อื่นที่ใช้กุญแจเดียวกัน")
SIGNER_CHAIN: Final = ErrorSpec(573, "signer/OTHER_CHAIN", "The signer signs nothing for this chain: it has no mark of it.", "ผู้ลงนามไม่ลงนามให้เครือข่ายนี้ เพราะไม่มีบันทึกของเครือข่าย", "Allow the chain once with `cccnode signer allow --genesis FILE`; where the mark was lost, give its floor.", "อนุญาตเครือข่ายด้วย cccnode signer allow --genesis ไฟล์ หากบันทึกสูญหายให้ระบุ --floor")
SIGNER_DAMAGED: Final = ErrorSpec(574, "signer/MARK_DAMAGED", "The signer's record of what it has signed is damaged, missing, or there already.", "บันทึกการลงนามของผู้ลงนามเสียหาย สูญหาย หรือมีอยู่แล้ว", "Never delete it. Allow the chain anew with a --floor above everything that this key has signed.", "ห้ามลบ ให้อนุญาตเครือข่ายใหม่โดยระบุ --floor ให้สูงกว่าทุกสิ่งที่กุญแจนี้เคยลงนาม")
SIGNER_IDENTITY: Final = ErrorSpec(575, "signer/IDENTITY", "The other side of the signer's connection is not the one that was agreed on.", "อีกฝั่งของการเชื่อมต่อผู้ลงนามไม่ใช่ที่ตกลงกันไว้", "Compare the node key after --dial, and the signer's card in the node's home.", "เทียบกุญแจโหนดหลัง --dial และการ์ดของผู้ลงนามในโฟลเดอร์โหนด")
VALIDATOR_NOT_READY: Final = ErrorSpec(560, "validator/NOT_READY", "This node is not ready to validate.", "โหนดยังไม่พร้อมเป็นผู้ตรวจสอบ", "Do what each line asks, then try again; `cccnode validator check` shows all of them.", "แก้ตามแต่ละบรรทัด แล้วลองใหม่ ดูทั้งหมดด้วย cccnode validator check")
HOME_LOCKED: Final = ErrorSpec(510, "home/LOCKED", "Another process uses this home.", "มีโปรแกรมอื่นใช้โฟลเดอร์นี้อยู่", "Stop the process named, or choose another --home.", "หยุดโปรแกรมนั้นหรือใช้โฟลเดอร์อื่น")
HOME_OTHER_CHAIN: Final = ErrorSpec(511, "home/OTHER_CHAIN", "The data belongs to another chain or node.", "ข้อมูลเป็นของเครือข่ายหรือโหนดอื่น", "Use the home that belongs to this genesis, or an empty one.", "ใช้โฟลเดอร์ที่ตรงกับ genesis")
HOME_FORMAT: Final = ErrorSpec(512, "home/FORMAT", "The data was written by a newer program.", "ข้อมูลเขียนโดยโปรแกรมรุ่นใหม่กว่า", "Upgrade this program.", "อัปเกรดโปรแกรม")
PORT_IN_USE: Final = ErrorSpec(513, "home/PORT_IN_USE", "A port that this node must listen on is taken.", "พอร์ตถูกใช้งานอยู่", "Stop the other program or change the port in config.toml.", "หยุดโปรแกรมอื่นหรือเปลี่ยนพอร์ต")
LISTEN_FAILED: Final = ErrorSpec(521, "home/LISTEN_FAILED", "An address that this node must listen on cannot be used.", "ใช้ที่อยู่สำหรับรับการเชื่อมต่อไม่ได้", "Correct the listen addresses in config.toml.", "แก้ที่อยู่ listen ใน config.toml")
UNREACHABLE: Final = ErrorSpec(320, "client/UNREACHABLE", "No node answers at this address.", "ติดต่อโหนดตามที่อยู่นี้ไม่ได้", "Check that the node runs (`cccnode status`) and the address after --node.", "ตรวจว่าโหนดทำงานอยู่และที่อยู่ถูกต้อง", retryable=True)
BAD_ANSWER: Final = ErrorSpec(321, "client/BAD_ANSWER", "The answer is not one of a cccnode RPC port.", "คำตอบไม่ใช่ของพอร์ต RPC ของ cccnode", "Give the address of a node's RPC port after --node.", "ระบุที่อยู่พอร์ต RPC ของโหนด")
SERVER_LIES: Final = ErrorSpec(322, "client/UNPROVEN", "A node showed something that does not hold.", "โหนดแสดงข้อมูลที่ตรวจสอบแล้วไม่ถูกต้อง", "Use another node, and tell the operator of the one named.", "ใช้โหนดอื่น และแจ้งผู้ดูแลโหนดที่ระบุ")
UNDECIDED: Final = ErrorSpec(323, "client/UNDECIDED", "No node could say what became of a transaction, long after its deadline.", "ไม่มีโหนดใดบอกได้ว่าธุรกรรมเป็นอย่างไร แม้เลยกำหนดเวลาไปนานแล้ว", "Ask a node for `tx_status` with the id and the deadline in the details before you sign anything again.", "ก่อนลงนามใหม่ ให้ถาม `tx_status` จากโหนดด้วยรหัสธุรกรรมและกำหนดเวลาในรายละเอียด")
TESTNET_MISSING: Final = ErrorSpec(530, "testnet/MISSING", "There is no test network in this home.", "ไม่มีเครือข่ายทดสอบในโฟลเดอร์นี้", "Start one with `cccnode testnet up`.", "เริ่มด้วย cccnode testnet up")
TESTNET_NOT_READY: Final = ErrorSpec(531, "testnet/NOT_READY", "A node of the test network did not become ready.", "โหนดในเครือข่ายทดสอบไม่พร้อมทำงาน", "Read the log named here.", "อ่านบันทึกตามที่ระบุ")
TESTNET_MIXED: Final = ErrorSpec(532, "testnet/OTHER_SHAPE", "The test network here has another number of nodes.", "เครือข่ายทดสอบนี้มีจำนวนโหนดไม่ตรง", "Use the number it has, or wipe it with `cccnode testnet reset`.", "ใช้จำนวนเดิมหรือล้างด้วย cccnode testnet reset")
TESTNET_NODE: Final = ErrorSpec(533, "testnet/NO_SUCH_NODE", "The test network has no such node, or it is in the wrong state.", "ไม่มีโหนดนี้หรือสถานะไม่ถูกต้อง", "Nodes are numbered from 0; `cccnode status` shows them.", "โหนดเริ่มนับจาก 0")
HOME_EXISTS: Final = ErrorSpec(534, "home/EXISTS", "There is a node in this home already.", "มีโหนดอยู่ในโฟลเดอร์นี้แล้ว", "Choose another --home; nothing was changed.", "เลือกโฟลเดอร์อื่น ไม่มีการเปลี่ยนแปลง")
HOME_EMPTY: Final = ErrorSpec(535, "home/EMPTY", "There is no node in this home.", "ไม่มีโหนดในโฟลเดอร์นี้", "Give the --home of a node, or make one with `cccnode init --genesis FILE`.", "ระบุ --home ของโหนด หรือสร้างด้วย cccnode init --genesis ไฟล์")
KEY_EXISTS: Final = ErrorSpec(522, "keys/EXISTS", "There is a key file of this name already.", "มีไฟล์กุญแจชื่อนี้แล้ว", "Choose another name; a key is never overwritten.", "เลือกชื่ออื่น กุญแจจะไม่ถูกเขียนทับ")
KEY_NEEDS_PASSPHRASE: Final = ErrorSpec(523, "keys/NEEDS_PASSPHRASE", "The key file is encrypted and no passphrase was given.", "ไฟล์กุญแจเข้ารหัสไว้และไม่ได้ให้รหัสผ่าน", "Give --passphrase-file or CCCNODE_PASSPHRASE.", "ใส่ --passphrase-file หรือ CCCNODE_PASSPHRASE")
KEY_WEAK_PASSPHRASE: Final = ErrorSpec(524, "keys/WEAK_PASSPHRASE", "The passphrase is too short.", "รหัสผ่านสั้นเกินไป", "Choose a longer one; several words are easy to remember.", "เลือกรหัสผ่านที่ยาวขึ้น")
KEY_WORDS: Final = ErrorSpec(525, "keys/WORDS", "These are not backup words.", "ไม่ใช่ชุดคำสำรองที่ถูกต้อง", "Compare every word and the order with the paper; the list is the English one of BIP-39.", "เทียบทุกคำและลำดับกับกระดาษ รายการคำคือภาษาอังกฤษของ BIP-39")
DISK_READ_ONLY: Final = ErrorSpec(514, "home/READ_ONLY", "The home cannot be written.", "เขียนข้อมูลลงดิสก์ไม่ได้", "Check ownership and mount options.", "ตรวจสิทธิ์และการเมานต์")
DISK_FULL: Final = ErrorSpec(515, "home/DISK_FULL", "The disk is full; the node stopped before it could lose anything.", "ดิสก์เต็ม โหนดหยุดก่อนเสียข้อมูล", "Free space and start again.", "เพิ่มพื้นที่แล้วเริ่มใหม่")
DISK_FAILED: Final = ErrorSpec(516, "home/DISK_FAILED", "The disk refused a write or a sync.", "ดิสก์ขัดข้อง", "Check the disk before starting again.", "ตรวจดิสก์ก่อนเริ่มใหม่")
KEY_MISSING: Final = ErrorSpec(517, "keys/MISSING", "A key file is missing.", "ไม่พบไฟล์กุญแจ", "Restore it from backup or make one with `cccnode keys new`.", "กู้คืนหรือสร้างกุญแจใหม่")
KEY_PASSPHRASE: Final = ErrorSpec(518, "keys/PASSPHRASE", "The passphrase does not open the key file.", "รหัสผ่านกุญแจไม่ถูกต้อง", "Give the right passphrase by --passphrase-file or CCCNODE_PASSPHRASE.", "ใส่รหัสผ่านที่ถูกต้อง")
KEY_PERMISSIONS: Final = ErrorSpec(519, "keys/PERMISSIONS", "Others may read a key file.", "ผู้อื่นอ่านไฟล์กุญแจได้", "chmod 600 the file.", "ตั้งสิทธิ์ไฟล์เป็น 600")
KEY_DAMAGED: Final = ErrorSpec(520, "keys/DAMAGED", "A key file is not what it should be.", "ไฟล์กุญแจเสียหาย", "Restore it from backup.", "กู้คืนจากสำเนาสำรอง")

JOURNAL_CORRUPT: Final = ErrorSpec(600, "storage/JOURNAL_CORRUPT", "The consensus journal is damaged in the middle; signing could contradict earlier votes.", "บันทึกฉันทามติเสียหาย จึงงดลงคะแนน", "The node observes until the next epoch. Keep the file for inspection.", "โหนดจะสังเกตการณ์จนถึงยุคถัดไป")
BLOCKS_CORRUPT: Final = ErrorSpec(601, "storage/BLOCKS_CORRUPT", "A stored block is damaged.", "บล็อกที่เก็บไว้เสียหาย", "Stop the node and run `cccnode db repair`; votes and keys stay as they are.", "หยุดโหนดแล้วใช้ cccnode db repair บันทึกการลงคะแนนและกุญแจจะคงเดิม")
STATE_CORRUPT: Final = ErrorSpec(602, "storage/STATE_CORRUPT", "The stored state does not match its root.", "สถานะที่เก็บไว้ไม่ตรงกับค่าราก", "Stop the node and run `cccnode db repair`; votes and keys stay as they are.", "หยุดโหนดแล้วใช้ cccnode db repair บันทึกการลงคะแนนและกุญแจจะคงเดิม")
ENGINE_MISSING: Final = ErrorSpec(603, "storage/ENGINE_MISSING", "The LevelDB library cannot be loaded.", "โหลดไลบรารี LevelDB ไม่ได้", "Install plyvel (Debian: python3-plyvel or libleveldb-dev).", "ติดตั้ง plyvel")
DIVERGED: Final = ErrorSpec(604, "storage/DIVERGED", "This node's result differs from the certified one.", "ผลลัพธ์ของโหนดไม่ตรงกับที่รับรอง", "The node stopped and stays readable: keep data/, and find the transaction with `cccnode doctor divergence`.", "โหนดหยุดทำงานแต่ยังอ่านได้ โปรดเก็บ data/ และค้นหาธุรกรรมด้วย cccnode doctor divergence")
BATCHES_CORRUPT: Final = ErrorSpec(605, "storage/BATCHES_CORRUPT", "A stored batch is damaged.", "ชุดธุรกรรมที่เก็บไว้เสียหาย", "Remove data/batches/; what is still needed is fetched from other nodes.", "ลบ data/batches/ แล้วโหนดจะดึงชุดที่จำเป็นจากโหนดอื่น")
PRUNED: Final = ErrorSpec(610, "storage/PRUNED", "This node no longer keeps that height.", "โหนดนี้ไม่เก็บความสูงนี้แล้ว", "Ask a node that keeps it: the values name those that this node knows, else an archive node (profile archive).", "ถามโหนดที่ยังเก็บไว้: ค่าที่แนบมาระบุโหนดที่รู้จัก มิฉะนั้นให้ถามโหนดเก็บถาวร (โปรไฟล์ archive)")
BACKUP_INVALID: Final = ErrorSpec(640, "storage/BACKUP_INVALID", "The backup is not whole, or damaged.", "ข้อมูลสำรองไม่ครบหรือเสียหาย", "Use another backup; make a new one into an empty folder with `cccnode db backup FOLDER`.", "ใช้ข้อมูลสำรองชุดอื่น หรือสำรองใหม่ลงโฟลเดอร์ว่างด้วย cccnode db backup โฟลเดอร์")
BACKUP_OTHER: Final = ErrorSpec(641, "storage/BACKUP_OTHER", "The folder holds the backup of another chain, or of data that went further than this node's.", "โฟลเดอร์นี้เก็บข้อมูลสำรองของเครือข่ายอื่น หรือของข้อมูลที่ใหม่กว่าโหนดนี้", "Choose an empty folder; nothing was changed.", "เลือกโฟลเดอร์ว่าง ไม่มีการเปลี่ยนแปลง")
BACKUP_FORMAT: Final = ErrorSpec(642, "storage/BACKUP_FORMAT", "The backup was made by a newer program.", "ข้อมูลสำรองสร้างด้วยโปรแกรมรุ่นใหม่กว่า", "Use the program version that made it, or a newer one.", "ใช้โปรแกรมรุ่นที่สร้างข้อมูลสำรองหรือใหม่กว่า")
BACKUP_BUSY: Final = ErrorSpec(643, "storage/BACKUP_BUSY", "A backup of this node, or into this folder, is under way already.", "กำลังสำรองข้อมูลของโหนดนี้หรือลงโฟลเดอร์นี้อยู่แล้ว", "Wait until it ends.", "รอให้การสำรองเดิมเสร็จก่อน", retryable=True)
RESTORE_OVER: Final = ErrorSpec(644, "storage/RESTORE_OVER", "This home has data already, which restoring would replace.", "โฟลเดอร์นี้มีข้อมูลอยู่แล้ว การกู้คืนจะแทนที่ข้อมูลเดิม", "Choose an empty home, or say --replace: state, blocks, receipts and index are replaced; votes, batches and keys stay.", "เลือกโฟลเดอร์ว่าง หรือใส่ --replace เพื่อแทนที่สถานะ บล็อก ใบเสร็จ และดัชนี ส่วนบันทึกการลงคะแนนและกุญแจจะคงเดิม")
DATA_DAMAGED: Final = ErrorSpec(645, "storage/DATA_DAMAGED", "What is stored does not agree with itself.", "ข้อมูลที่เก็บไว้ไม่สอดคล้องกัน", "A home: `cccnode db repair`. A backup: use another one.", "สำหรับโหนดใช้ cccnode db repair สำหรับข้อมูลสำรองให้ใช้ชุดอื่น")

SNAPSHOT_INVALID: Final = ErrorSpec(650, "storage/SNAPSHOT_INVALID", "The snapshot does not hold.", "สแนปช็อตไม่ถูกต้อง", "Take another one, or let the node fetch it from other nodes; nothing was changed.", "ใช้สแนปช็อตอื่นหรือให้โหนดดึงจากโหนดอื่น ไม่มีการเปลี่ยนแปลง")
SNAPSHOT_MISSING: Final = ErrorSpec(651, "storage/SNAPSHOT_MISSING", "There is no such snapshot here.", "ไม่พบสแนปช็อตนี้", "`cccnode snapshot list` shows those that are here.", "ดูรายการด้วย cccnode snapshot list")
SNAPSHOT_BUSY: Final = ErrorSpec(652, "storage/SNAPSHOT_BUSY", "This node is taking a snapshot already.", "โหนดกำลังสร้างสแนปช็อตอยู่แล้ว", "Wait until it is whole; `cccnode snapshot list` shows it then.", "รอให้เสร็จก่อน แล้วดูด้วย cccnode snapshot list", retryable=True)
SNAPSHOT_OLDER: Final = ErrorSpec(653, "storage/SNAPSHOT_OLDER", "This home is further than the snapshot.", "โหนดนี้มีข้อมูลใหม่กว่าสแนปช็อต", "Nothing is to be done; start the node, it catches up by itself.", "ไม่ต้องทำอะไร เริ่มโหนดแล้วจะตามทันเอง")
SNAPSHOT_UNCERTIFIED: Final = ErrorSpec(654, "storage/SNAPSHOT_UNCERTIFIED", "No certificates lead from genesis to this state.", "ไม่มีใบรับรองต่อเนื่องจากจุดเริ่มต้นถึงสถานะนี้", "A restart certificate ended an epoch, or its end is not kept here. Nodes join such a network block by block; `cccnode db backup` copies the data.", "มีการเริ่มเครือข่ายใหม่ด้วยใบรับรองพิเศษ โหนดใหม่ต้องดึงทีละบล็อก หรือสำรองข้อมูลด้วย cccnode db backup")

NOT_SIGNING_JOURNAL_LOST: Final = ErrorSpec(700, "consensus/JOURNAL_LOST", "The vote journal is missing or older than a vote of this node; it observes until the next epoch.", "บันทึกการลงคะแนนหาย โหนดสังเกตการณ์จนถึงยุคถัดไป", "Wait for the next epoch, or rotate the consensus key.", "รอยุคถัดไปหรือเปลี่ยนกุญแจ")
NO_QUORUM: Final = ErrorSpec(701, "consensus/NO_QUORUM", "Too few validators vote to make blocks.", "ผู้ตรวจสอบที่ลงคะแนนไม่พอ", "Bring back the validators named.", "นำผู้ตรวจสอบที่ระบุกลับมา", retryable=True)
BEHIND: Final = ErrorSpec(702, "consensus/BEHIND", "This node is catching up.", "โหนดกำลังตามบล็อกให้ทัน", "Wait; see `behind`.", "รอให้ตามทัน", retryable=True)
CLOCK_SKEW: Final = ErrorSpec(703, "node/CLOCK_SKEW", "This machine's clock differs from its peers'.", "นาฬิกาเครื่องไม่ตรงกับเพื่อน", "Run an NTP client such as chrony.", "ติดตั้ง NTP เช่น chrony")
NO_PEERS: Final = ErrorSpec(704, "net/NO_PEERS", "No other node is connected.", "ไม่มีโหนดอื่นเชื่อมต่ออยู่", "Check the network and the addresses.", "ตรวจเครือข่ายและที่อยู่", retryable=True)
OBSERVER: Final = ErrorSpec(705, "consensus/NOT_A_VALIDATOR", "This node is not a validator of the current epoch.", "โหนดนี้ไม่ใช่ผู้ตรวจสอบในยุคนี้", "Nothing to do for a peer.", "ไม่ต้องทำอะไรหากเป็นโหนดทั่วไป")
INDEX_BEHIND: Final = ErrorSpec(707, "storage/INDEX_BEHIND", "The transaction index lags behind the chain.", "ดัชนีธุรกรรมตามบล็อกไม่ทัน", "Wait; tx_get may miss the newest transactions meanwhile.", "รอให้ดัชนีตามทัน", retryable=True)
RESTART_REFUSED: Final = ErrorSpec(709, "consensus/RESTART_REFUSED", "A restart certificate does not hold here.", "ใบรับรองการเริ่มใหม่ใช้กับโหนดนี้ไม่ได้", "Act on the reason; what was accepted is withdrawn with `cccnode restart forget`.", "แก้ตามเหตุผลที่ระบุ หรือถอนการยอมรับด้วย cccnode restart forget")
RESTART_SIGNED: Final = ErrorSpec(712, "consensus/RESTART_SIGNED", "This validator has signed a restart and votes no more in the epoch that it gives up.", "โหนดลงนามให้เริ่มใหม่แล้ว จึงไม่ลงคะแนนในยุคเดิม", "Finish the ceremony: `cccnode restart accept FILE`, on all survivors.", "ทำพิธีให้เสร็จด้วย cccnode restart accept FILE")
RESTART_MALFORMED: Final = ErrorSpec(711, "restart/MALFORMED", "The file is not a restart certificate.", "ไฟล์นี้ไม่ใช่ใบรับรองการเริ่มใหม่", "Get it again from the organisation that made it.", "ขอไฟล์ใหม่จากองค์กรที่จัดทำ")
RESTART_PROMISE_DAMAGED: Final = ErrorSpec(713, "restart/PROMISE_DAMAGED", "The note of which epoch this validator gave up when it signed a restart cannot be read.", "อ่านบันทึกว่าโหนดสละยุคใดเมื่อลงนามเริ่มใหม่ไม่ได้", "Write the number of the epoch that was given up into the file: the certificate's epoch less two.", "เขียนหมายเลขยุคที่สละลงในไฟล์ คือยุคในใบรับรองลบสอง")
RESTART_NOT_ACCEPTED: Final = ErrorSpec(710, "consensus/RESTART_NOT_ACCEPTED", "Other nodes show blocks of an epoch that no block known here leads to.", "โหนดอื่นใช้บล็อกของยุคที่โหนดนี้ไม่รู้จัก", "If the organisations agreed on a restart, get its certificate and run `cccnode restart accept FILE`.", "หากองค์กรตกลงเริ่มใหม่ ให้รับใบรับรองแล้วใช้ cccnode restart accept FILE")
WATCHING: Final = ErrorSpec(708, "consensus/WATCHING", "This node has just started and listens before it signs.", "โหนดเพิ่งเริ่มทำงานและฟังเครือข่ายก่อนลงนาม", "Wait; it signs once it has heard a quorum of validators.", "รอ โหนดจะลงนามเมื่อได้ยินผู้ตรวจสอบครบองค์ประชุม", retryable=True)
SAFETY_ALARM: Final = ErrorSpec(706, "consensus/SAFETY_ALARM", "Conflicting certificates were seen, or someone signs with this node's key; it stopped signing.", "พบใบรับรองขัดแย้งกัน โหนดหยุดลงนาม", "Keep the journal and report it to the other organisations.", "เก็บบันทึกและแจ้งองค์กรอื่น")

INCIDENT_INVALID: Final = ErrorSpec(740, "incident/INVALID", "The file is not a whole incident capsule.", "ไฟล์ไม่ใช่แคปซูลเหตุการณ์ที่สมบูรณ์", "Fetch the file again from whoever recorded it.", "ขอไฟล์จากผู้บันทึกอีกครั้ง")
INCIDENT_VERSION: Final = ErrorSpec(741, "incident/VERSION", "The capsule was recorded by a program whose consensus state is built differently.", "แคปซูลบันทึกด้วยโปรแกรมที่มีโครงสร้างสถานะฉันทามติต่างกัน", "Replay it with the version of the program that recorded it.", "เล่นซ้ำด้วยโปรแกรมรุ่นเดียวกับที่บันทึก")
INCIDENT_DIFFERS: Final = ErrorSpec(742, "incident/DIFFERS", "The replay does something else than the node did.", "ผลการเล่นซ้ำไม่ตรงกับที่โหนดทำจริง", "Compare the program versions; if they are equal, keep the capsule and report it: the core is not deterministic, or the capsule was changed.", "เทียบรุ่นโปรแกรม หากตรงกันให้เก็บแคปซูลไว้และแจ้งผู้พัฒนา")
INCIDENT_BUSY: Final = ErrorSpec(743, "incident/BUSY", "This node is recording an incident already.", "โหนดกำลังบันทึกเหตุการณ์อยู่แล้ว", "Wait until it ends.", "รอให้การบันทึกเดิมจบก่อน", retryable=True)
INCIDENT_NOTHING: Final = ErrorSpec(744, "incident/NOTHING_TO_RECORD", "This node takes no part in consensus, so there is nothing to record.", "โหนดนี้ไม่ได้ร่วมฉันทามติ จึงไม่มีอะไรให้บันทึก", "Record at a validator of the current epoch.", "บันทึกที่โหนดผู้ตรวจสอบของยุคปัจจุบัน")

OFFLINE: Final = ErrorSpec(720, "doctor/OFFLINE", "Validators do not answer: their node is down, hangs, or is out of reach.", "ผู้ตรวจสอบไม่ตอบ โหนดอาจหยุด ค้าง หรือติดต่อไม่ได้", "Ask the organisations named to start their node; `cccnode doctor` on that machine says what keeps it from running. If it runs, check the network to it.", "ให้องค์กรที่ระบุเริ่มโหนด ใช้ cccnode doctor ที่เครื่องนั้นเพื่อดูสาเหตุ หากโหนดทำงานอยู่ให้ตรวจเครือข่าย", retryable=True)
SLOW: Final = ErrorSpec(721, "doctor/SLOW", "A machine answers late.", "เครื่องตอบช้า", "Look at its load, its disk and its network; a machine of its own helps.", "ตรวจภาระงาน ดิสก์ และเครือข่ายของเครื่องนั้น", retryable=True)
OTHER_VERSION: Final = ErrorSpec(722, "doctor/OTHER_VERSION", "A node runs another version of the program than most.", "โหนดใช้โปรแกรมคนละรุ่นกับโหนดส่วนใหญ่", "Install the version that most run on the nodes named, and start them again.", "ติดตั้งรุ่นที่โหนดส่วนใหญ่ใช้ที่โหนดที่ระบุ แล้วเริ่มใหม่")
OTHER_ROOT: Final = ErrorSpec(723, "doctor/OTHER_ROOT", "The results of a node differ from those of the majority: its data is damaged, or its program decides otherwise.", "ผลลัพธ์ของโหนดไม่ตรงกับเสียงข้างมาก ข้อมูลเสียหายหรือโปรแกรมตัดสินต่างกัน", "Keep its data/ for inspection and compare program versions; then let it fetch everything anew with an empty data/.", "เก็บ data/ ไว้ตรวจสอบและเทียบรุ่นโปรแกรม แล้วให้โหนดดึงข้อมูลใหม่ทั้งหมด")
WRONG_CLOCK: Final = ErrorSpec(724, "doctor/WRONG_CLOCK", "The clock of a machine is wrong.", "นาฬิกาของเครื่องไม่ถูกต้อง", "Set the clock of the machines named and run an NTP client there, such as chrony.", "ตั้งนาฬิกาของเครื่องที่ระบุ และติดตั้ง NTP เช่น chrony")
PARTITION: Final = ErrorSpec(725, "doctor/PARTITION", "The network between validators is cut: the sides named do not reach each other.", "เครือข่ายระหว่างผู้ตรวจสอบขาด แต่ละฝั่งติดต่อกันไม่ได้", "Restore the network between the sides (firewall, VPN, routing); the nodes connect again by themselves. Seen from one side alone, machines that are off look the same: ask nodes of both, `cccnode doctor --node A --node B`.", "แก้เครือข่ายระหว่างฝั่ง (ไฟร์วอลล์ VPN เส้นทาง) แล้วโหนดจะต่อกันเอง หากดูจากฝั่งเดียวเครื่องที่ปิดอยู่จะดูเหมือนกัน ให้ถามโหนดทั้งสองฝั่งด้วย cccnode doctor --node A --node B", retryable=True)
LINK_DOWN: Final = ErrorSpec(726, "doctor/LINK_DOWN", "Validators that run cannot reach each other directly.", "ผู้ตรวจสอบที่ทำงานอยู่ติดต่อกันโดยตรงไม่ได้", "Check the addresses, ports and firewalls between the pairs named.", "ตรวจที่อยู่ พอร์ต และไฟร์วอลล์ระหว่างคู่ที่ระบุ", retryable=True)
NOT_SIGNING: Final = ErrorSpec(727, "doctor/NOT_SIGNING", "A validator runs and does not vote.", "ผู้ตรวจสอบทำงานแต่ไม่ลงคะแนน", "Do what the reason named asks for; where none is named, ask its organisation why, and whether it is to be replaced.", "แก้ตามสาเหตุที่ระบุ หากไม่มีให้สอบถามองค์กร และพิจารณาเปลี่ยนผู้ตรวจสอบ")
DISK_LOW: Final = ErrorSpec(728, "doctor/DISK_LOW", "A machine has little disk space left.", "พื้นที่ดิสก์เหลือน้อย", "Free space now: a node stops when its disk is full.", "เพิ่มพื้นที่ดิสก์ก่อนเต็ม โหนดจะหยุดเมื่อดิสก์เต็ม")
EPOCH_PENDING: Final = ErrorSpec(729, "doctor/EPOCH_PENDING", "The last block of the epoch is not final yet, and no other may follow before.", "บล็อกสุดท้ายของยุคยังไม่เป็นที่สุด จึงยังสร้างบล็อกต่อไม่ได้", "Wait: it is proposed again until a quorum of this epoch's validators finalizes it. Bring back those named.", "รอ บล็อกนี้จะถูกเสนอซ้ำจนผู้ตรวจสอบของยุคนี้ครบองค์ประชุม นำผู้ที่ระบุกลับมา", retryable=True)
DOUBLE_VOTE: Final = ErrorSpec(730, "doctor/DOUBLE_VOTE", "A validator signed two votes that contradict each other.", "ผู้ตรวจสอบลงนามสองคะแนนที่ขัดกัน", "Its organisation stops every copy of that key and rotates it; the others decide whether it stays.", "ให้องค์กรหยุดสำเนากุญแจทั้งหมดและเปลี่ยนกุญแจ องค์กรอื่นตัดสินว่าจะให้อยู่ต่อหรือไม่")
IDLE: Final = ErrorSpec(731, "doctor/IDLE", "There is nothing to do: no transaction waits, and an empty block comes at every heartbeat.", "ไม่มีงานรอ ไม่มีธุรกรรมค้าง และมีบล็อกว่างตามรอบ", "Nothing to do: send a transaction and a block comes.", "ไม่ต้องทำอะไร เมื่อส่งธุรกรรมจะมีบล็อกใหม่")
NOT_RUNNING: Final = ErrorSpec(732, "doctor/NOT_RUNNING", "No process runs the node of this home.", "ไม่มีโปรแกรมทำงานกับโฟลเดอร์นี้", "Start it: `cccnode run --home FOLDER`.", "เริ่มด้วย cccnode run --home โฟลเดอร์")
NOT_ANSWERING: Final = ErrorSpec(733, "doctor/NOT_ANSWERING", "The process of a node runs and does not answer at its RPC port.", "โปรแกรมของโหนดทำงานแต่ไม่ตอบที่พอร์ต RPC", "Wait a moment if it just started; otherwise read its log, stop the process named and start it again.", "หากเพิ่งเริ่มให้รอสักครู่ มิฉะนั้นดูบันทึก หยุดโปรแกรมที่ระบุแล้วเริ่มใหม่", retryable=True)
FALLEN_BEHIND: Final = ErrorSpec(734, "doctor/BEHIND", "A node is catching up with blocks that others have.", "โหนดกำลังตามบล็อกให้ทันโหนดอื่น", "Wait for the time named; if it does not come nearer, read the node's log.", "รอตามเวลาที่ระบุ หากไม่คืบหน้าให้ดูบันทึกของโหนด", retryable=True)
NOT_DIVERGED: Final = ErrorSpec(750, "divergence/NOT_DIVERGED", "This node has not found its results to differ from certified ones.", "โหนดนี้ไม่พบว่าผลลัพธ์ของตนต่างจากที่รับรอง", "Ask the node that `cccnode status` calls diverged, with --home and --node.", "ถามโหนดที่ cccnode status แสดงว่า diverged โดยระบุ --home และ --node")
NO_WITNESS: Final = ErrorSpec(751, "divergence/NO_WITNESS", "None of the nodes asked has the certified results.", "ไม่มีโหนดที่ถามซึ่งมีผลลัพธ์ตามที่รับรอง", "Give the RPC address of a healthy node after --peer; several may be named.", "ระบุที่อยู่ RPC ของโหนดที่ปกติหลัง --peer ระบุได้หลายโหนด", retryable=True)
REPLAY_IMPOSSIBLE: Final = ErrorSpec(752, "divergence/REPLAY_IMPOSSIBLE", "The chain cannot be executed again from its genesis here.", "ไม่สามารถประมวลผลเชนใหม่จาก genesis ได้", "Name a --peer that keeps all blocks, such as an archive.", "ระบุ --peer ที่เก็บบล็อกไว้ครบ เช่น archive")
EXPORT_TARGET: Final = ErrorSpec(760, "export/TARGET", "The database of the export cannot be used.", "ใช้ฐานข้อมูลปลายทางไม่ได้", "Check the address after --to, that the server runs and lets this user create tables; then start again: it goes on where it was.", "ตรวจที่อยู่หลัง --to และตรวจว่าเซิร์ฟเวอร์ทำงานและผู้ใช้สร้างตารางได้ แล้วเริ่มใหม่ ระบบจะทำต่อจากเดิม", retryable=True)
EXPORT_OTHER_CHAIN: Final = ErrorSpec(761, "export/OTHER_CHAIN", "The database holds the export of another chain.", "ฐานข้อมูลเป็นของเครือข่ายอื่น", "Use a database for each chain.", "ใช้ฐานข้อมูลแยกสำหรับแต่ละเครือข่าย")
EXPORT_SCHEMA: Final = ErrorSpec(762, "export/SCHEMA", "The tables were made by a newer program.", "ตารางสร้างโดยโปรแกรมรุ่นใหม่กว่า", "Upgrade this program.", "อัปเกรดโปรแกรม")
EXPORT_TAKEN: Final = ErrorSpec(763, "export/TAKEN", "Another exporter writes the same tables.", "มีโปรแกรมส่งออกอื่นเขียนตารางเดียวกัน", "Run one exporter for each database; nothing was written twice.", "ใช้โปรแกรมส่งออกหนึ่งตัวต่อฐานข้อมูล ไม่มีข้อมูลซ้ำ")
EXPORT_DRIVER: Final = ErrorSpec(764, "export/DRIVER", "The PostgreSQL driver is not installed.", "ยังไม่ได้ติดตั้งไดรเวอร์ PostgreSQL", "Install it: `pip install cccnode[postgres]`.", "ติดตั้งด้วย pip install cccnode[postgres]")
EXPORT_AWAY: Final = ErrorSpec(765, "export/AWAY", "The database of the export does not answer, or is busy.", "ฐานข้อมูลปลายทางไม่ตอบ หรือไม่ว่าง", "Nothing is lost: it is asked again until it answers. See that the server runs and is reached from here.", "ไม่มีข้อมูลสูญหาย ระบบจะลองใหม่จนกว่าจะตอบ ตรวจว่าเซิร์ฟเวอร์ทำงานและเชื่อมต่อได้", retryable=True)
EXPORT_FULL: Final = ErrorSpec(766, "export/FULL", "No space is left for the database of the export.", "พื้นที่สำหรับฐานข้อมูลปลายทางเต็ม", "Free space for it, then start again: it goes on where it was.", "เพิ่มพื้นที่ว่าง แล้วเริ่มใหม่ ระบบจะทำต่อจากเดิม")
EXPORT_GAP: Final = ErrorSpec(767, "export/GAP", "The node no longer has some heights that the tables lack.", "โหนดไม่มีบางความสูงที่ตารางยังขาดอยู่แล้ว", "Run the export once with --node of an archive node: what is missing is filled. The table `ranges` says which heights those are.", "เรียกใช้กับ --node ที่เป็นโหนดเก็บถาวรหนึ่งครั้ง ส่วนที่ขาดจะถูกเติม ตาราง ranges ระบุความสูงที่ขาด")
REPORT_INVALID: Final = ErrorSpec(753, "divergence/REPORT_INVALID", "The file is no report of a divergence, or the node it names did not sign it.", "ไฟล์ไม่ใช่รายงานผลลัพธ์ต่าง หรือโหนดที่ระบุไม่ได้ลงนาม", "Ask its organisation for the file as `cccnode doctor divergence` wrote it.", "ขอไฟล์ตามที่ cccnode doctor divergence เขียนจากองค์กรนั้น")
# fmt: on

CORE_ERRORS: Final[tuple[ErrorSpec, ...]] = tuple(
    spec for spec in list(globals().values()) if isinstance(spec, ErrorSpec)
)
"""All rows above, in the order of the file."""

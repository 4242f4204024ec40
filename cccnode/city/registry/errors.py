"""Error rows of the registry: 3000 + n."""

# fmt: off
# ruff: noqa: E501 - one row a line reads best as a table
from typing import Final

from cccnode.types.errors import ErrorSpec

NOT_ORGANISATION: Final = ErrorSpec(3001, "registry/NOT_ORGANISATION", "The account is not that of an organisation.", "บัญชีนี้ไม่ใช่บัญชีขององค์กร", "Sign with the account of an organisation; registry_organisations lists them.", "ลงนามด้วยบัญชีขององค์กร ดูรายชื่อที่ registry_organisations")
NOT_ACTIVE: Final = ErrorSpec(3002, "registry/NOT_ACTIVE", "The organisation has left the network or was removed.", "องค์กรนี้ออกจากเครือข่ายแล้วหรือถูกถอดออก", "Be admitted again, under another name.", "ขอเข้าร่วมใหม่ด้วยชื่ออื่น")
UNKNOWN_ORGANISATION: Final = ErrorSpec(3003, "registry/UNKNOWN_ORGANISATION", "There is no organisation of that name.", "ไม่มีองค์กรชื่อนี้", "See registry_organisations.", "ดูรายชื่อที่ registry_organisations")
NAME_TAKEN: Final = ErrorSpec(3004, "registry/NAME_TAKEN", "An organisation has or had that name; names are never used twice.", "ชื่อนี้มีองค์กรใช้แล้วหรือเคยใช้ ใช้ซ้ำไม่ได้", "Choose another name.", "เลือกชื่ออื่น")
FULL: Final = ErrorSpec(3005, "registry/FULL", "The network holds as many organisations or validators as it may.", "จำนวนองค์กรหรือผู้ตรวจสอบเต็มแล้ว", "Remove one first, or join without validating.", "ถอดรายหนึ่งออกก่อน หรือเข้าร่วมโดยไม่เป็นผู้ตรวจสอบ")
THRESHOLD: Final = ErrorSpec(3006, "registry/THRESHOLD", "The keys of the new account cannot reach its threshold, or it is zero.", "กุญแจของบัญชีใหม่มีน้ำหนักไม่ถึงเกณฑ์ หรือเกณฑ์เป็นศูนย์", "Give keys that weigh at least the threshold, which is at least one.", "ให้กุญแจที่มีน้ำหนักถึงเกณฑ์ซึ่งต้องไม่ต่ำกว่าหนึ่ง")

CERTIFICATE: Final = ErrorSpec(3010, "registry/CERTIFICATE", "The certificate does not carry exactly one Ed25519 key.", "ใบรับรองไม่มีกุญแจ Ed25519 เพียงหนึ่งเดียว", "Give the certificate that the node made from its own key.", "ใช้ใบรับรองที่โหนดสร้างจากกุญแจของตน")
NODE_KNOWN: Final = ErrorSpec(3011, "registry/NODE_KNOWN", "A node of that key is registered already.", "โหนดที่ใช้กุญแจนี้ลงทะเบียนแล้ว", "Make a new node key; a key belongs to one node.", "สร้างกุญแจโหนดใหม่ กุญแจหนึ่งเป็นของโหนดเดียว")
NODE_LIMIT: Final = ErrorSpec(3012, "registry/NODE_LIMIT", "The organisation has as many nodes as it may, or replaced too many within one epoch.", "จำนวนโหนดขององค์กรเต็มแล้ว หรือเปลี่ยนโหนดมากเกินไปในยุคเดียว", "Remove a node first; after many replacements wait for the next epoch.", "ถอดโหนดหนึ่งก่อน หากเปลี่ยนหลายครั้งให้รอยุคถัดไป")
UNKNOWN_NODE: Final = ErrorSpec(3013, "registry/UNKNOWN_NODE", "The organisation has no node of that key.", "องค์กรไม่มีโหนดที่ใช้กุญแจนี้", "See registry_nodes.", "ดูรายการที่ registry_nodes")
LAST_NODE: Final = ErrorSpec(3014, "registry/LAST_NODE", "It is the last node of a validator, whose votes would find no way.", "เป็นโหนดสุดท้ายของผู้ตรวจสอบ จะส่งคะแนนเสียงไม่ได้", "Add another node first, or pause validating.", "เพิ่มโหนดอื่นก่อน หรือหยุดเป็นผู้ตรวจสอบชั่วคราว")

KEY_USED: Final = ErrorSpec(3020, "registry/KEY_USED", "The consensus key is or was used on this chain; none is ever used twice.", "กุญแจลงคะแนนนี้เคยใช้ในเครือข่ายแล้ว ใช้ซ้ำไม่ได้", "Make a new consensus key.", "สร้างกุญแจลงคะแนนใหม่")
WEAK_KEY: Final = ErrorSpec(3021, "registry/WEAK_KEY", "A key is a small-order point: anyone could sign for it.", "กุญแจไม่ปลอดภัย ใครก็ลงนามแทนได้", "Use an ordinary Ed25519 key.", "ใช้กุญแจ Ed25519 ปกติ")
PROOF: Final = ErrorSpec(3022, "registry/PROOF", "The consensus key did not sign what it must to be registered.", "กุญแจลงคะแนนไม่ได้ลงนามยืนยันตนเอง", "Sign with the private key of the new consensus key, for this organisation and chain.", "ลงนามด้วยกุญแจลับของกุญแจลงคะแนนใหม่ สำหรับองค์กรและเครือข่ายนี้")
NOT_VALIDATOR: Final = ErrorSpec(3023, "registry/NOT_VALIDATOR", "The organisation does not validate, or not after this epoch.", "องค์กรนี้ไม่ได้เป็นผู้ตรวจสอบ หรือจะไม่เป็นหลังยุคนี้", "See registry_validators.", "ดูรายชื่อที่ registry_validators")
IS_VALIDATOR: Final = ErrorSpec(3024, "registry/IS_VALIDATOR", "The organisation validates already, or will from the next epoch on.", "องค์กรนี้เป็นผู้ตรวจสอบอยู่แล้ว หรือจะเป็นในยุคถัดไป", "Nothing to do; another key is set by rotating it.", "ไม่ต้องทำอะไร หากต้องการเปลี่ยนกุญแจให้หมุนกุญแจ")
QUORUM_AT_RISK: Final = ErrorSpec(3025, "registry/QUORUM_AT_RISK", "After this change too few of the validators that led blocks lately would remain to make a quorum.", "หลังการเปลี่ยนนี้ ผู้ตรวจสอบที่ทำงานอยู่จะเหลือไม่ครบองค์ประชุม", "Bring the silent validators back, or remove them first; registry_preflight shows the numbers. The second and third validator of a network need a flagged proposal, because two or three stand no failure.", "นำผู้ตรวจสอบที่เงียบกลับมาหรือถอดออกก่อน ดูตัวเลขที่ registry_preflight ผู้ตรวจสอบรายที่สองและสามต้องใช้ข้อเสนอแบบ flagged เพราะเครือข่ายยังทนความเสียหายไม่ได้", retryable=True)

UNKNOWN_PROPOSAL: Final = ErrorSpec(3030, "registry/UNKNOWN_PROPOSAL", "No such proposal is open.", "ไม่มีข้อเสนอหมายเลขนี้ที่เปิดอยู่", "See registry_proposals for the open ones, registry_decisions for what became of others.", "ดูข้อเสนอที่เปิดอยู่ที่ registry_proposals และผลของข้อเสนออื่นที่ registry_decisions")
PROPOSAL_EXPIRED: Final = ErrorSpec(3031, "registry/PROPOSAL_EXPIRED", "The proposal's time is over.", "ข้อเสนอหมดเวลาแล้ว", "Propose it again.", "เสนอใหม่อีกครั้ง")
TOO_MANY_PROPOSALS: Final = ErrorSpec(3032, "registry/TOO_MANY_PROPOSALS", "As many proposals are open as may be, of this organisation or in all.", "ข้อเสนอที่เปิดอยู่เต็มจำนวนแล้ว ทั้งขององค์กรนี้หรือรวมทั้งหมด", "Withdraw one, or wait until some are decided or expire.", "ถอนข้อเสนอหนึ่ง หรือรอให้บางข้อเสนอตัดสินหรือหมดเวลา", retryable=True)
DUPLICATE_PROPOSAL: Final = ErrorSpec(3033, "registry/DUPLICATE_PROPOSAL", "The same change is proposed already.", "มีข้อเสนอเดียวกันเปิดอยู่แล้ว", "Approve the proposal named.", "อนุมัติข้อเสนอที่ระบุ")
ALREADY_APPROVED: Final = ErrorSpec(3034, "registry/ALREADY_APPROVED", "The organisation approved this proposal already.", "องค์กรนี้อนุมัติข้อเสนอนี้แล้ว", "Nothing to do; others must approve too.", "ไม่ต้องทำอะไร รอองค์กรอื่นอนุมัติ")
NOT_ELIGIBLE: Final = ErrorSpec(3035, "registry/NOT_ELIGIBLE", "The policy of this change counts other organisations' approvals.", "นโยบายของการเปลี่ยนนี้ไม่นับการอนุมัติขององค์กรนี้", "See registry_policies: some changes are decided by validators only.", "ดู registry_policies บางเรื่องตัดสินโดยผู้ตรวจสอบเท่านั้น")
NOT_PROPOSER: Final = ErrorSpec(3036, "registry/NOT_PROPOSER", "Only the organisation that made a proposal may withdraw it.", "ถอนข้อเสนอได้เฉพาะองค์กรที่เสนอ", "Do not approve it, and it expires.", "ไม่ต้องอนุมัติ แล้วข้อเสนอจะหมดอายุเอง")
OUT_OF_BOUNDS: Final = ErrorSpec(3037, "registry/OUT_OF_BOUNDS", "A proposed value is outside its bounds.", "ค่าที่เสนออยู่นอกขอบเขต", "Choose a value within the bounds named in the module's README.", "เลือกค่าในขอบเขตที่ระบุใน README ของโมดูล")

RECEIPT_SUBJECT: Final = ErrorSpec(3040, "registry/RECEIPT_SUBJECT", "The readiness receipt is of another organisation, or its node is not registered to this one.", "ใบรับรองความพร้อมเป็นขององค์กรอื่น หรือโหนดไม่ได้ลงทะเบียนกับองค์กรนี้", "Make the receipt on a registered node of the candidate.", "สร้างใบรับรองบนโหนดที่ลงทะเบียนของผู้สมัคร")
RECEIPT_STALE: Final = ErrorSpec(3041, "registry/RECEIPT_STALE", "The readiness receipt names a height that is too old, or no checkpoint.", "ใบรับรองความพร้อมอ้างความสูงที่เก่าเกินไปหรือไม่ใช่จุดตรวจสอบ", "Make a new receipt; registry_checkpoints lists the heights that may be named.", "สร้างใบรับรองใหม่ ดูความสูงที่ใช้ได้ที่ registry_checkpoints", retryable=True)
RECEIPT_ROOT: Final = ErrorSpec(3042, "registry/RECEIPT_ROOT", "The candidate computed another state than this chain has at that height.", "ผู้สมัครคำนวณสถานะต่างจากเครือข่ายที่ความสูงนั้น", "The candidate's program or data is wrong: upgrade it, or let it catch up anew.", "โปรแกรมหรือข้อมูลของผู้สมัครผิด ให้อัปเกรดหรือดึงข้อมูลใหม่")

RETIRED: Final = ErrorSpec(3043, "registry/RETIRED", "The founders' approvals are retired: the city's votes decide.", "การอนุมัติของผู้ก่อตั้งสิ้นสุดแล้ว เมืองเป็นผู้ลงมติ", "Ask the city: the same command with `--by-vote deposit`.", "ขอให้เมืองลงมติด้วยคำสั่งเดิมและ --by-vote deposit")

FEATURE_ACTIVE: Final = ErrorSpec(3050, "registry/FEATURE_ACTIVE", "The feature is in force already.", "กฎชุดนี้มีผลใช้บังคับแล้ว", "Nothing to do; rules are changed by another feature.", "ไม่ต้องทำอะไร หากต้องการเปลี่ยนกฎให้กำหนดชุดใหม่")
FEATURE_UNPLANNED: Final = ErrorSpec(3051, "registry/FEATURE_UNPLANNED", "No feature of that name is scheduled.", "ไม่มีกฎชุดชื่อนี้ที่กำหนดไว้", "See registry_features; the city schedules one by a vote of the kind upgrade.", "ดูที่ registry_features เมืองกำหนดด้วยมติประเภท upgrade")

ERRORS: Final = (
    NOT_ORGANISATION, NOT_ACTIVE, UNKNOWN_ORGANISATION, NAME_TAKEN, FULL, THRESHOLD,
    CERTIFICATE, NODE_KNOWN, NODE_LIMIT, UNKNOWN_NODE, LAST_NODE,
    KEY_USED, WEAK_KEY, PROOF, NOT_VALIDATOR, IS_VALIDATOR, QUORUM_AT_RISK,
    UNKNOWN_PROPOSAL, PROPOSAL_EXPIRED, TOO_MANY_PROPOSALS, DUPLICATE_PROPOSAL, ALREADY_APPROVED, NOT_ELIGIBLE,
    NOT_PROPOSER, OUT_OF_BOUNDS,
    RECEIPT_SUBJECT, RECEIPT_STALE, RECEIPT_ROOT, RETIRED,
    FEATURE_ACTIVE, FEATURE_UNPLANNED,
)

"""Checks an evidence file of a cccnode network, with no node and without cccnode.

    python3 evidence_verifier.py FILE --genesis HASH [--lang th]

It needs Python 3.11 and PyNaCl.  HASH is the genesis hash (the chain id) as the network publishes it.  The genesis
document in the file must have it, and names the first validators; the last block of each epoch, signed by a quorum,
names the next ones; hashes lead from a block that a quorum signed to what is shown.  Exits with 0 proven, 1 refused.
"""

import argparse
import datetime as dt
import hashlib
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from nacl import exceptions, signing

# fmt: off
# ruff: noqa: E501, SIM905 - a reason a line reads best
Finding = tuple[str, dict[str, Any]]
GENESIS, BLOCK, EPOCH, TX, SIGN, VALUE, GROUP, BUCKET, BRANCH = (b"ccc/1/" + tag for tag in (b"genesis", b"block", b"epoch", b"tx", b"sign", b"value", b"group", b"bucket", b"branch"))
HEADER = "version chain epoch view height parent parent_view time_ms proposer body_root tx_count body_bytes exec_height state_root results_root history_root epoch_record_hash next_epoch_record_hash extra_hash".split()
REASONS = {
    "malformed": ("The file is damaged, or is no evidence file.", "แฟ้มเสียหายหรือไม่ใช่แฟ้มหลักฐาน"),
    "version": ("The file is of a version that this program does not know.", "โปรแกรมนี้ไม่รู้จักรุ่นของแฟ้ม"),
    "nothing": ("The file proves nothing: it is empty.", "แฟ้มว่างเปล่า ไม่พิสูจน์สิ่งใด"),
    "genesis": ("The file is of another network: its genesis has another hash.", "แฟ้มเป็นของเครือข่ายอื่น แฮช genesis ไม่ตรงกัน"),
    "chain": ("A header belongs to another network.", "ส่วนหัวบล็อกเป็นของเครือข่ายอื่น"),
    "gap": ("An epoch is missing or out of order.", "ยุคขาดหายหรือสลับลำดับ"),
    "end": ("A block that should end an epoch does not.", "บล็อกที่ควรเป็นบล็อกสุดท้ายของยุคไม่ได้ปิดยุค"),
    "successors": ("The validators of an epoch are not those that the epoch before named.", "ผู้ตรวจสอบของยุคไม่ตรงกับที่ยุคก่อนกำหนด"),
    "unknown": ("Nothing in the file leads to the validators of a header's epoch.", "ไม่มีสิ่งใดในแฟ้มนำไปสู่ผู้ตรวจสอบของยุคนั้น"),
    "set": ("A header names other validators than its epoch has.", "ส่วนหัวบล็อกระบุผู้ตรวจสอบไม่ตรงกับยุค"),
    "outside": ("A header lies outside of its epoch: those validators had no say then.", "ส่วนหัวบล็อกอยู่นอกยุค ผู้ตรวจสอบชุดนั้นไม่มีสิทธิ์ในเวลานั้น"),
    "other": ("A certificate is for another block.", "ใบรับรองเป็นของบล็อกอื่น"),
    "kind": ("A certificate does not make its block final.", "ใบรับรองไม่ได้ทำให้บล็อกเป็นที่สุด"),
    "quorum": ("A certificate is not signed by a quorum.", "ใบรับรองมีผู้ลงนามไม่ครบองค์ประชุม"),
    "signature": ("A signature in a certificate is not that validator's.", "ลายเซ็นในใบรับรองไม่ใช่ของผู้ตรวจสอบนั้น"),
    "result": ("The certified header does not report this result.", "ส่วนหัวที่รับรองแล้วไม่ได้รายงานผลนี้"),
    "history": ("The block is not in the history of the certified header.", "บล็อกไม่อยู่ในประวัติของส่วนหัวที่รับรองแล้ว"),
    "heights": ("Block and result are of different heights.", "บล็อกและผลลัพธ์มีความสูงไม่ตรงกัน"),
    "transaction": ("The transaction is not in the block.", "ธุรกรรมไม่อยู่ในบล็อก"),
    "signer": ("A signature of the transaction does not hold.", "ลายเซ็นของธุรกรรมไม่ถูกต้อง"),
    "receipt": ("The receipt is not one of the block.", "ใบผลธุรกรรมไม่ใช่ของบล็อกนี้"),
    "stranger": ("The receipt is another transaction's.", "ใบผลเป็นของธุรกรรมอื่น"),
    "receipts": ("These are not all receipts of the block, in order.", "ไม่ใช่ใบผลทั้งหมดของบล็อกตามลำดับ"),
    "hidden": ("Items of the group are hidden: the list is not complete.", "มีรายการในกลุ่มถูกซ่อน รายการไม่ครบ"),
    "order": ("Names in a proof are out of order, or repeat.", "ชื่อในหลักฐานไม่เรียงลำดับหรือซ้ำกัน"),
    "state": ("What is shown of the state does not lead to its root.", "สิ่งที่แสดงไม่นำไปสู่รากของสถานะ"),
}
SENTENCES = {
    "network": ("Network {name}: {epochs} epoch changes lead from its genesis to the validators {validators}.", "เครือข่าย {name}: การเปลี่ยนยุค {epochs} ครั้ง นำจาก genesis ไปถึงผู้ตรวจสอบ {validators}"),
    "transaction": ("Transaction {id} of account {account} was decided in block {height}, {time}: {outcome}, fee {fee}.\n  signed by  {signers}\n  messages   {messages}\n  events     {events}", "ธุรกรรม {id} ของบัญชี {account} ตัดสินในบล็อก {height} เวลา {time}: {outcome} ค่าธรรมเนียม {fee}\n  ลงนามโดย  {signers}\n  ข้อความ    {messages}\n  เหตุการณ์   {events}"),
    "group": ("After block {height} (reported by block {by}) group {group} held exactly these {count} items:", "หลังบล็อก {height} (รายงานโดยบล็อก {by}) กลุ่ม {group} มีรายการครบถ้วน {count} รายการ:"),
    "block": ("Block {height}, {time}, has exactly {count} receipts, with {events} events.", "บล็อก {height} เวลา {time} มีใบผลครบถ้วน {count} ใบ รวม {events} เหตุการณ์"),
    "outcome": ("it failed with error number {code}", "ไม่สำเร็จ รหัส {code}"),
    "success": ("it succeeded", "สำเร็จ"),
}
FINAL = ((int, 32, int, int, int, 32, int, int, int, 32, int, int, int, 32, 32, 32, 32, 32, 32), (int, int, (int, int, int, 32), bytes, [64]))
RESULT = (int, 32, 32, [32], FINAL)
SIDES, PAST, STATE = (int, [32]), (FINAL[0], [32]), ([(bytes, bytes)], [(bytes, 32)], [(bytes, 32)], [32])
FILE = (str, int, bytes, [(FINAL, list)], [(bytes, SIDES, SIDES, PAST, bytes, SIDES, RESULT)], [(bytes, STATE, RESULT)], [([bytes], PAST, RESULT)])
# fmt: on


class Refused(Exception):
    """Why nothing is proven: a key of REASONS, and where."""


def need(condition: object, reason: str, detail: str = "") -> None:
    """Refuse unless a condition holds."""
    if not condition:
        raise Refused(reason, detail)


def encode(value: Any) -> bytes:
    """The one MessagePack encoding of a value: nil, bool, integer, bytes, text or a list of them."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        if -32 <= value < 128:
            return bytes([value & 255])
        size = next(size for size in (1, 2, 4, 8) if (-1 << 8 * size - 1 if value < 0 else 0) <= value < 1 << 8 * size)
        code = (0xD0 if value < 0 else 0xCC) + size.bit_length() - 1
        return bytes([code]) + value.to_bytes(size, "big", signed=value < 0)
    if isinstance(value, bytes):
        return _head(len(value), None, 0, 0xC4) + value
    if isinstance(value, str):
        return _head(len(value.encode()), 0xA0, 32, 0xD9) + value.encode()
    return _head(len(value), 0x90, 16, 0xDB) + b"".join(map(encode, value))


def _head(length: int, fix: int | None, fix_max: int, code: int) -> bytes:
    if fix is not None and length < fix_max:
        return bytes([fix | length])
    for extra, size in ((0, 1), (1, 2), (2, 4)):
        if length < 1 << 8 * size and not (code == 0xDB and size == 1):
            return bytes([code + extra]) + length.to_bytes(size, "big")
    raise Refused("malformed")


def decode(raw: bytes) -> Any:
    """The value of canonical bytes."""
    try:
        value, end = _read(raw, 0)
        need(end == len(raw) and encode(value) == raw, "malformed", "not canonical")
    except (IndexError, UnicodeDecodeError, RecursionError, StopIteration) as error:
        raise Refused("malformed") from error
    return value


def _read(raw: bytes, at: int) -> tuple[Any, int]:
    code, at = raw[at], at + 1
    if code < 0x80 or code >= 0xE0:
        return (code if code < 0x80 else code - 256), at
    if code in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[code], at
    if 0xCC <= code <= 0xD3:
        end = at + (1 << (code & 3))
        return int.from_bytes(raw[at:end], "big", signed=code >= 0xD0), end
    if 0xC4 <= code <= 0xC6 or 0xD9 <= code <= 0xDD:
        size = 1 << (code - 0xC4 if code < 0xC7 else code - 0xD9 if code < 0xDC else code - 0xDB)
        length, at = int.from_bytes(raw[at : at + size], "big"), at + size
    else:
        need(0x90 <= code < 0xC0, "malformed")
        length = code & (15 if code < 0xA0 else 31)
    if 0x90 <= code < 0xA0 or code in (0xDC, 0xDD):
        items = []
        for _ in range(length):
            item, at = _read(raw, at)
            items.append(item)
        return items, at
    part = raw[at : at + length]  # what is cut off is found by encoding it again
    return (part if 0xC4 <= code <= 0xC6 else part.decode()), at + length


def sha256(*parts: bytes) -> bytes:
    """SHA-256 of parts one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def fit(value: Any, shape: Any) -> None:
    """Refuse a value of another form: a type, a length in bytes, [what a list holds], (what stands in it, ...)."""
    if isinstance(shape, list | tuple):
        need(isinstance(value, list), "malformed", "a list is expected")
        for item, of in zip(value, shape * len(value) if isinstance(shape, list) else shape, strict=True):
            fit(item, of)
    elif isinstance(shape, type):
        need(
            type(value) is shape and (not isinstance(value, int) or value >= 0), "malformed", "another type is expected"
        )
    else:
        need(isinstance(value, bytes) and len(value) == shape, "malformed", f"{shape} bytes are expected")


def inclusion(leaf: bytes, index: int, size: int, path: list[Any], root: bytes) -> bool:
    """Whether a path leads from leaf number `index` of `size` to the root."""
    if not 0 <= index < size:
        return False
    last, value = size - 1, sha256(b"\0", leaf)
    for sibling in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            value = sha256(b"\1", sibling, value)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            value = sha256(b"\1", value, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and value == root


def branch_root(leaf: bytes, branch: Any) -> bytes:
    """The root that a branch [sides, siblings] leads to."""
    left, path = branch
    need(left >> len(path) == 0, "malformed", "a stray side")
    value = sha256(b"\0", leaf)
    for level, sibling in enumerate(path):
        value = sha256(b"\1", sibling, value) if left >> level & 1 else sha256(b"\1", value, sibling)
    return value


def list_root(leaves: list[bytes]) -> bytes:
    """The root over a whole list."""
    if len(leaves) < 2:
        return sha256(b"\0", leaves[0]) if leaves else sha256()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", list_root(leaves[:split]), list_root(leaves[split:]))


class Trust:
    """The validators of each epoch, from the genesis hash on."""

    def __init__(self, genesis: bytes, expected: bytes) -> None:
        need(sha256(GENESIS, genesis) == expected, "genesis", "0x" + sha256(GENESIS, genesis).hex())
        document = decode(genesis)
        self.chain, self.name, self.depth = expected, document[1], document[3]
        rows = [(name, key, sorted(bytes.fromhex(node[0]) for node in nodes)) for name, _, key, nodes in document[4]]
        validators = [[name, bytes.fromhex(key), nodes] for name, key, nodes in rows if key is not None]
        limits = [*document[9][:2], *(number or 2**62 for number in document[9][2:])]  # an epoch without an end
        self.records: list[Any] = [[0, validators, limits, document[10], document[11]]]
        self.ends: list[int] = []

    def follow(self, link: Any) -> None:
        """The validators of the next epoch, named by the last block of this one."""
        header, record = self.final(link[0]), link[1]
        need(header["epoch"] == len(self.records) - 1, "gap", f"epoch {header['epoch']}")
        need(header["next_epoch_record_hash"] != bytes(32), "end", f"block {header['height']}")
        named = sha256(EPOCH, encode(record)) == header["next_epoch_record_hash"]
        need(named and record[0] == len(self.records), "successors", f"epoch {record[0]}")
        self.records.append(record)
        self.ends.append(header["height"])

    def final(self, anchor: Any) -> dict[str, Any]:
        """The fields of a header that a quorum of its epoch made final."""
        fields, (scheme, kind, proposal, bitmap, signatures) = anchor
        header = dict(zip(HEADER, fields, strict=True))
        epoch, height = header["epoch"], header["height"]
        need(header["chain"] == self.chain, "chain")
        need(epoch < len(self.records), "unknown", f"epoch {epoch}")
        members = self.records[epoch][1]
        need(header["epoch_record_hash"] == sha256(EPOCH, encode(self.records[epoch])), "set", f"epoch {epoch}")
        first = self.ends[epoch - 1] if epoch else 0
        inside = height > first and (epoch >= len(self.ends) or height <= self.ends[epoch])
        need(inside, "outside", f"block {height}, epoch {epoch}")
        need(proposal[2:] == [height, sha256(BLOCK, encode(fields))], "other", f"block {height}")
        need((scheme, kind) == (1, 3), "kind", f"block {height}")
        signers = [i for i in range(len(bitmap) * 8) if bitmap[i >> 3] >> (i & 7) & 1]
        quorum = len(members) - (len(members) - 1) // 3
        fits = len(bitmap) == (len(members) + 7) // 8 and len(signers) == len(signatures)
        need(
            fits and len(signers) >= quorum and signers[-1] < len(members),
            "quorum",
            f"{len(signers)} of {len(members)}, block {height}",
        )
        numbers = b"".join(number.to_bytes(8, "big") for number in (epoch, *proposal[:3]))
        message = b"ccc/1/\x03" + self.chain + numbers + proposal[3]
        for signer, signature in zip(signers, signatures, strict=True):
            need(signed(members[signer][1], message, signature), "signature", f"{members[signer][0]}, block {height}")
        return header

    def result(self, result: Any) -> dict[str, Any]:
        """The certified header that reports what executing a block gave."""
        height, state_root, receipts_root, path, anchor = result
        header = self.final(anchor)
        leaf = encode([height, state_root, receipts_root])
        found = inclusion(leaf, height, header["exec_height"] + 1, path, header["results_root"])
        need(found, "result", f"block {height}")
        return header

    def past(self, past: Any, result: Any) -> dict[str, Any]:
        """The header of a block in the history of the certified one that reports its result."""
        fields, path = past
        later, header = self.result(result), dict(zip(HEADER, fields, strict=True))
        identity, height = sha256(BLOCK, encode(fields)), header["height"]
        need(inclusion(identity, height, later["height"], path, later["history_root"]), "history", f"block {height}")
        need(height == result[0], "heights")
        when = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=header["time_ms"])
        return header | {"time": f"{when:%Y-%m-%d %H:%M:%S UTC}"}


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature holds."""
    try:
        return bool(signing.VerifyKey(key).verify(message, signature))
    except (exceptions.BadSignatureError, ValueError, TypeError):
        return False


def check_transaction(trust: Trust, proof: Any) -> Finding:
    """A transaction in a block, and its receipt."""
    raw, batch, body, past, receipt, receipts, result = proof
    header = trust.past(past, result)
    need(branch_root(branch_root(raw, batch), body) == header["body_root"], "transaction")
    need(branch_root(receipt, receipts) == result[2], "receipt")
    fields, (tx_id, code, fee, events) = decode(raw), decode(receipt)
    part = encode(fields[:9])
    need(tx_id == sha256(TX, part), "stranger")
    need(len(fields) == 10 and len(fields[8]) == len(fields[9]), "signer")
    signatures = zip(fields[8], fields[9], strict=True)
    need(all(signed(key, SIGN + part, signature) for key, signature in signatures), "signer")
    shown = {"id": tx_id, "account": fields[2], "height": header["height"], "time": header["time"]}
    return "transaction", shown | {
        "code": code,
        "fee": fee,
        "signers": fields[8],
        "messages": fields[7],
        "events": events,
    }


def check_group(trust: Trust, proof: Any) -> Finding:
    """All items of a group of the state after a height."""
    group, (items, hidden, neighbours, path), result = proof
    header = trust.result(result)
    need(not hidden, "hidden")
    listing = [(name, sha256(VALUE, value)) for name, value in items]
    groups = [(name, digest) for name, digest in neighbours]
    need(listing or all(name != group for name, _ in groups), "state", "listed and said to be absent")
    if listing:
        groups = sorted([*groups, (group, sha256(GROUP, bytes([len(group)]), group, listed(listing)))])
    for names in (listing, neighbours, groups):
        need(all(a[0] < b[0] for a, b in pairwise(names)), "order")
    bucket = int.from_bytes(sha256(group)[:4], "big") >> (32 - trust.depth)
    value = sha256(BUCKET, bytes([trust.depth]), bucket.to_bytes(4, "big"), listed(groups))
    for level, sibling in enumerate(path):
        value = sha256(BRANCH, *((sibling, value) if bucket >> level & 1 else (value, sibling)))
    need(value == result[1] and len(path) == trust.depth, "state")
    return "group", {"group": group, "items": items, "height": result[0], "by": header["height"]}


def listed(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Names with their hashes, as they are hashed."""
    return b"".join(bytes([len(name)]) + name + digest for name, digest in pairs)


def check_block(trust: Trust, proof: Any) -> Finding:
    """All receipts of a block."""
    receipts, past, result = proof
    header = trust.past(past, result)
    need(list_root(receipts) == result[2], "receipts")
    return "block", {"height": header["height"], "time": header["time"], "receipts": [decode(raw) for raw in receipts]}


def verify(raw: bytes, genesis: bytes) -> list[Finding]:
    """What the bytes of an evidence file prove, as (kind, fields), under a genesis hash; raises Refused."""
    try:
        value = decode(raw)
        need(isinstance(value, list) and value[:1] == ["ccc/evidence"], "malformed")
        need(value[1] == 1, "version")
        fit(value, FILE)
        _, _, document, links, transactions, groups, blocks = value
        trust = Trust(document, genesis)
        for link in links:
            trust.follow(link)
        shown = {"name": trust.name, "epochs": len(links), "validators": [row[0] for row in trust.records[-1][1]]}
        found = [check_transaction(trust, proof) for proof in transactions]
        found += [check_group(trust, proof) for proof in groups] + [check_block(trust, proof) for proof in blocks]
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise Refused("malformed") from error
    need(found, "nothing")
    return [("network", shown), *found]


def text(value: Any) -> str:
    """A value for people: bytes in hexadecimal, with the text that they may be."""
    if isinstance(value, bytes):
        readable = value.isascii() and value.decode("ascii", "replace").isprintable() and value
        return "0x" + value.hex() + (f' "{value.decode()}"' if readable else "")
    return "[" + ", ".join(map(text, value)) + "]" if isinstance(value, list) else str(value)


def plain(value: bytes) -> Any:
    """What a value of the state says, where it is one of this encoding."""
    try:
        return decode(value)
    except Refused:
        return value


def tell(kind: str, fields: dict[str, Any], lang: str = "en") -> str:
    """One finding in words."""
    thai = lang == "th"
    shown = {name: text(value) for name, value in fields.items()}
    if kind == "transaction":
        shown["outcome"] = SENTENCES["outcome" if fields["code"] else "success"][thai].format(**shown)
    if kind == "block":
        shown["events"] = str(sum(len(row[3]) for row in fields["receipts"]))
    if kind in ("group", "block"):
        shown["count"] = str(len(fields["items" if kind == "group" else "receipts"]))
    items = [f"\n  {text(item)} = {text(plain(value))}" for item, value in fields.get("items", [])]
    return SENTENCES[kind][thai].format(**shown) + "".join(items)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Checks an evidence file of a cccnode network, without a node.")
    parser.add_argument("file")
    parser.add_argument("--genesis", required=True, metavar="HASH", help="the network's genesis hash, hexadecimal")
    parser.add_argument("--lang", choices=("en", "th"), default="en")
    given = parser.parse_args()
    try:
        found = verify(Path(given.file).read_bytes(), bytes.fromhex(given.genesis.removeprefix("0x")))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except Refused as error:
        (reason, where), word = (*error.args, "")[:2], "ปฏิเสธ" if given.lang == "th" else "REFUSED"
        sys.stdout.write(f"{word}: {REASONS[reason][given.lang == 'th']}{where and f' ({where})'}\n")
        return 1
    sys.stdout.writelines(tell(kind, fields, given.lang) + "\n" for kind, fields in found)
    sys.stdout.write("พิสูจน์แล้ว\n" if given.lang == "th" else "PROVEN.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

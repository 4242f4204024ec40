"""Key files: one private key each, encrypted with a passphrase, in JSON that says what it is (conventions.md 1.4).

The shape is ERC-2335's: named modules for key derivation and cipher, and the public key in clear, so that tools can
show it without the passphrase.  Argon2id makes guessing slow, ChaCha20-Poly1305 binds role and public key to the
secret, and the decrypted key must give the public key that the file claims.  Keys of a demo network are not encrypted
and say so.
"""

import json
import os
import unicodedata
import uuid
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cccnode.crypto.signing import SigningKey
from cccnode.home import disk_fault
from cccnode.types import errors
from cccnode.types.errors import fault

PASSPHRASE_ENV: Final = "CCCNODE_PASSPHRASE"  # noqa: S105 - the name of a variable
PASSPHRASE_LENGTH_MIN: Final = 8
WARNING: Final = "NOT ENCRYPTED: a key of a demo network. Never use it for anything of value."

_FILE_BYTES_MAX: Final = 16 * 1024
_MODE: Final = 0o600
_OTHERS: Final = 0o077

Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})+$", max_length=512)]


class Role(StrEnum):
    """What a key is for; a key is never used for two things."""

    NODE = "node"
    """Authenticates connections between nodes (TLS)."""
    VALIDATOR = "validator"
    """Signs votes."""
    ACCOUNT = "account"
    """Signs a member's transactions."""


class Argon2id(msgspec.Struct, frozen=True, kw_only=True, tag_field="function", tag="argon2id"):
    """Cost of one guess; bounded, so that a foreign file cannot exhaust memory."""

    memory_kib: Annotated[int, Meta(ge=8192, le=1024 * 1024)] = 64 * 1024
    iterations: Annotated[int, Meta(ge=1, le=16)] = 3
    lanes: Annotated[int, Meta(ge=1, le=16)] = 4
    salt: Hex


class Cipher(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed 32-byte seed."""

    function: Literal["chacha20-poly1305"] = "chacha20-poly1305"
    nonce: Hex
    message: Hex


class Sealed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="encrypted"):
    """A seed under a passphrase."""

    kdf: Argon2id
    cipher: Cipher


class Open(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    """A seed in clear."""

    seed: Hex
    warning: str = WARNING


class KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says without a passphrase."""

    version: Literal[1] = 1
    role: Role
    pubkey: Hex
    description: Annotated[str, Meta(max_length=256)] = ""
    path: Annotated[str, Meta(max_length=256)] = ""
    """Derivation path when the key comes from backup words; empty for a random key."""
    uuid: Annotated[str, Meta(max_length=64)]
    crypto: Sealed | Open

    @property
    def public_key(self) -> bytes:
        """The 32-byte public key."""
        return bytes.fromhex(self.pubkey)

    @property
    def encrypted(self) -> bool:
        """False for keys of a demo network."""
        return isinstance(self.crypto, Sealed)


def create(
    path: Path,
    *,
    role: Role,
    passphrase: str | None,
    description: str = "",
    key: SigningKey | None = None,
    derivation: str = "",
) -> KeyFile:
    """Write a new key file, readable by the owner only; `passphrase` None leaves it unencrypted (demo networks).

    `derivation` is the path below backup words of a key that comes from them.

    Raises:
        Fault: `keys/EXISTS`, `keys/WEAK_PASSPHRASE`, `home/READ_ONLY`, `home/DISK_FULL`.
    """
    key = key or SigningKey.generate()
    if passphrase is not None and len(_normal(passphrase)) < PASSPHRASE_LENGTH_MIN:
        raise fault(errors.KEY_WEAK_PASSPHRASE, length_min=PASSPHRASE_LENGTH_MIN)
    document = KeyFile(
        role=role,
        pubkey=key.public_key.hex(),
        description=description,
        path=derivation,
        uuid=str(uuid.uuid4()),
        crypto=Open(seed=key.seed.hex()) if passphrase is None else _seal(key, role, passphrase),
    )
    _write_once(path, json.dumps(msgspec.to_builtins(document), indent=2, ensure_ascii=False).encode() + b"\n")
    return document


def read(path: Path) -> KeyFile:
    """What a key file says in clear.

    Raises:
        Fault: `keys/MISSING`, `keys/PERMISSIONS`, `keys/DAMAGED`.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise fault(errors.KEY_MISSING, path=str(path)) from error
    except OSError as error:
        raise disk_fault(error, path) from error
    if mode & _OTHERS:
        raise fault(errors.KEY_PERMISSIONS, path=str(path), mode=f"{mode & 0o777:o}")
    try:
        return msgspec.json.decode(raw, type=KeyFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise fault(errors.KEY_DAMAGED, path=str(path), why=str(error)) from error


def unlock(path: Path, *, role: Role, passphrase: str | None = None) -> SigningKey:
    """The private key in a file of this role.

    Raises:
        Fault: as `read`; `keys/NEEDS_PASSPHRASE`, `keys/PASSPHRASE`; `keys/DAMAGED` for a key of another role, or a
            secret that does not give the public key shown.
    """
    document = read(path)
    if document.role is not role:
        raise fault(errors.KEY_DAMAGED, path=str(path), why=f"it is a {document.role} key, not a {role} key")
    seed = _open(path, document, passphrase)
    if len(seed) != 32 or SigningKey(seed).public_key.hex() != document.pubkey:
        raise fault(errors.KEY_DAMAGED, path=str(path), why="the secret does not belong to the public key shown")
    return SigningKey(seed)


def read_private(path: Path) -> SigningKey:
    """The key in a file of another program: PEM (PKCS#8, not encrypted) or the 32-byte seed in hexadecimal.

    Raises:
        Fault: `keys/MISSING`, `keys/PERMISSIONS`, `keys/DAMAGED`, disk faults.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError as error:
        raise fault(errors.KEY_MISSING, path=str(path)) from error
    except OSError as error:
        raise disk_fault(error, path) from error
    if mode & _OTHERS:
        raise fault(errors.KEY_PERMISSIONS, path=str(path), mode=f"{mode & 0o777:o}")
    text = raw.strip().removeprefix(b"0x")
    try:
        seed = _pem_seed(raw) if raw.lstrip().startswith(b"-----") else bytes.fromhex(text.decode("ascii"))
    except (ValueError, TypeError) as error:
        raise fault(errors.KEY_DAMAGED, path=str(path), why=f"neither PEM nor hexadecimal: {error}") from error
    if len(seed) != 32:
        raise fault(errors.KEY_DAMAGED, path=str(path), why="an Ed25519 seed has 32 bytes")
    return SigningKey(seed)


def write_pem(path: Path, key: SigningKey) -> None:
    """Write a private key in clear, as PEM (PKCS#8), for another program; readable by the owner only.

    Raises:
        Fault: `keys/EXISTS`, disk faults.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - slow import
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    _write_once(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _pem_seed(raw: bytes) -> bytes:
    """The seed in a PEM file.

    Raises:
        ValueError, TypeError: it holds something else, or needs a passphrase.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - slow import, rarely needed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(raw, password=None)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the key in it is not an Ed25519 key")  # noqa: TRY004 - a file's content, not an argument
    return key.private_bytes_raw()


def find_passphrase(file: Path | None, environment: Mapping[str, str] | None = None) -> str | None:
    """The passphrase of an unattended start: first line of `file`, else CCCNODE_PASSPHRASE, else None.

    Raises:
        Fault: `keys/MISSING` or `keys/PERMISSIONS` for the passphrase file.
    """
    env = os.environ if environment is None else environment
    if file is None:
        return env.get(PASSPHRASE_ENV)
    try:
        with file.open(encoding="utf-8") as text:
            mode = os.fstat(text.fileno()).st_mode
            if mode & _OTHERS:
                raise fault(errors.KEY_PERMISSIONS, path=str(file), mode=f"{mode & 0o777:o}")
            return text.readline(4096).rstrip("\r\n")
    except FileNotFoundError as error:
        raise fault(errors.KEY_MISSING, path=str(file)) from error
    except UnicodeDecodeError as error:
        raise fault(errors.KEY_DAMAGED, path=str(file), why="not UTF-8 text") from error
    except OSError as error:
        raise disk_fault(error, file) from error


def _seal(key: SigningKey, role: Role, passphrase: str) -> Sealed:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415 - slow import

    kdf = Argon2id(salt=os.urandom(16).hex())
    nonce = os.urandom(12)
    bound = _bound(role, key.public_key)
    message = ChaCha20Poly1305(_derive(kdf, passphrase)).encrypt(nonce, key.seed, bound)
    return Sealed(kdf=kdf, cipher=Cipher(nonce=nonce.hex(), message=message.hex()))


def _open(path: Path, document: KeyFile, passphrase: str | None) -> bytes:
    crypto = document.crypto
    if isinstance(crypto, Open):
        return bytes.fromhex(crypto.seed)
    if passphrase is None:
        raise fault(errors.KEY_NEEDS_PASSPHRASE, path=str(path))
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - slow import, rarely needed
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415

    cipher = ChaCha20Poly1305(_derive(crypto.kdf, passphrase))
    bound = _bound(document.role, document.public_key)
    try:
        return cipher.decrypt(bytes.fromhex(crypto.cipher.nonce), bytes.fromhex(crypto.cipher.message), bound)
    except InvalidTag as error:
        raise fault(errors.KEY_PASSPHRASE, path=str(path)) from error
    except ValueError as error:
        raise fault(errors.KEY_DAMAGED, path=str(path), why=str(error)) from error


def _derive(kdf: Argon2id, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as Derivation  # noqa: PLC0415 - as above

    return Derivation(
        salt=bytes.fromhex(kdf.salt).ljust(8, b"\0"),
        length=32,
        iterations=kdf.iterations,
        lanes=kdf.lanes,
        memory_cost=kdf.memory_kib,
    ).derive(_normal(passphrase).encode())


def _bound(role: Role, public_key: bytes) -> bytes:
    """Authenticated with the secret: a file whose role or public key was changed does not open."""
    return f"cccnode/key/1/{role}/".encode() + public_key


def _normal(passphrase: str) -> str:
    """ERC-2335: NFKD, without control characters, so that every keyboard gives the same bytes."""
    text = unicodedata.normalize("NFKD", passphrase)
    return "".join(character for character in text if unicodedata.category(character) != "Cc")


def _write_once(path: Path, content: bytes) -> None:
    """Create the file with mode 0600, synced; an existing one is never touched."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise fault(errors.KEY_EXISTS, path=str(path)) from error
    except OSError as error:
        raise disk_fault(error, path) from error

"""Who signs: an account with the key that acts for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from cccnode.crypto.signing import SigningKey
from cccnode.keys import Role, unlock
from cccnode.types.addresses import account_text, parse_account
from cccnode.types.transaction import account_id
from cccnode.words import key_of_words


class Signer(Protocol):
    """An account with the key that acts for it."""

    @property
    def account(self) -> bytes:
        """The 20-byte account id."""

    @property
    def key(self) -> SigningKey:
        """Its key."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account with one key."""

    account: bytes
    key: SigningKey

    @classmethod
    def from_key(cls, key: SigningKey) -> Self:
        """The account that was opened with this key."""
        return cls(account_id(key.public_key), key)

    @classmethod
    def from_key_file(cls, path: Path | str, *, passphrase: str | None = None, address: str | None = None) -> Self:
        """The account of a key file; `address` where the key has replaced the one that the account began with.

        Raises:
            Fault: what is wrong with the file or the passphrase: `keys/MISSING`, `keys/PASSPHRASE`, ...
        """
        key = unlock(Path(path), role=Role.ACCOUNT, passphrase=passphrase)
        return cls.from_key(key) if address is None else cls(parse_account(address), key)

    @classmethod
    def from_words(cls, words: str, *, number: int = 0, address: str | None = None) -> Self:
        """The account of backup words; `number` counts the accounts of the same words.

        Raises:
            Fault: `keys/WORDS`.
        """
        key = key_of_words(words, Role.ACCOUNT, number)
        return cls.from_key(key) if address is None else cls(parse_account(address), key)

    @property
    def address(self) -> str:
        """`ccc1...`, as people and the RPC write it."""
        return account_text(self.account)

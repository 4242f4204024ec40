"""Accounts out of key files and backup words."""

from pathlib import Path

import pytest

from cccnode import keys
from cccnode.client import Account
from cccnode.crypto.signing import SigningKey
from cccnode.types.addresses import account_text
from cccnode.types.errors import Fault
from cccnode.words import key_of_words
from tests.support.fake_node import ACCOUNT, KEY, OTHER

WORDS = "abandon " * 11 + "about"


def test_from_key() -> None:
    """The account opened with a key."""
    assert Account.from_key(KEY) == Account(ACCOUNT, KEY)
    assert Account.from_key(KEY).address == account_text(ACCOUNT)


def test_from_key_file(tmp_path: Path) -> None:
    """A key file is opened with its passphrase; a rotated key acts for the account that is named."""
    path = tmp_path / "account.json"
    keys.create(path, role=keys.Role.ACCOUNT, passphrase="correct horse", key=KEY)
    assert Account.from_key_file(str(path), passphrase="correct horse").account == ACCOUNT
    assert Account.from_key_file(path, passphrase="correct horse", address=account_text(OTHER)).account == OTHER
    with pytest.raises(Fault, match="keys/PASSPHRASE"):
        Account.from_key_file(path, passphrase="another one")


def test_invalid_role(tmp_path: Path) -> None:
    """A key of a node signs no transaction."""
    path = tmp_path / "node.json"
    keys.create(path, role=keys.Role.NODE, passphrase=None, key=SigningKey(bytes(32)))
    with pytest.raises(Fault, match="keys/DAMAGED"):
        Account.from_key_file(path)


def test_from_words() -> None:
    """Backup words give one account for each number, the same as `cccnode keys`; wrong ones are refused."""
    first, second = Account.from_words(WORDS), Account.from_words(WORDS, number=1)
    assert first.key.seed == key_of_words(WORDS, "account").seed
    assert first.account != second.account
    assert Account.from_words(WORDS, address=account_text(OTHER)).account == OTHER
    with pytest.raises(Fault, match="keys/WORDS"):
        Account.from_words("abandon " * 12)

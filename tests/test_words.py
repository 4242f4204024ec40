"""Backup words and the keys below them, against the published vectors."""

import pytest

from cccnode import words
from cccnode.keys import Role
from cccnode.types.errors import KEY_WORDS, Fault

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"

# BIP-39, trezor/python-mnemonic vectors.json; the extra passphrase of all of them is TREZOR.
BIP39 = [
    (
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        (
            "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b"
            "2f001698e7463b04"
        ),
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        WORDS,
        (
            "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee626"
            "0e8d9739fce1f607"
        ),
    ),
]

# SLIP-0010, test vectors 1 and 2 for ed25519: seed, path, private key.
_ONE = "000102030405060708090a0b0c0d0e0f"
_TWO = (
    "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a"
    "5754514e4b484542"
)
SLIP10 = [
    (_ONE, "m", "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"),
    (_ONE, "m/0'", "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"),
    (_ONE, "m/0'/1'", "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2"),
    (_ONE, "m/0'/1'/2'", "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9"),
    (_ONE, "m/0'/1'/2'/2'", "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662"),
    (_ONE, "m/0'/1'/2'/2'/1000000000'", "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793"),
    (_TWO, "m", "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012"),
    (_TWO, "m/0'", "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635"),
    (
        _TWO,
        "m/0'/2147483647'/1'/2147483646'/2'",
        "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
    ),
]


@pytest.mark.parametrize(("entropy", "text", "seed"), BIP39)
def test_bip39_vectors(entropy: str, text: str, seed: str) -> None:
    """Words and seeds are those of BIP-39."""
    assert words.fingerprint(bytes.fromhex(entropy)) == text
    assert words.check_words(text) == text
    assert words.words_seed(text, "TREZOR").hex() == seed


@pytest.mark.parametrize(("seed", "path", "private"), SLIP10)
def test_slip10_vectors(seed: str, path: str, private: str) -> None:
    """Derived keys are those of SLIP-0010."""
    assert words.derive(bytes.fromhex(seed), path).seed.hex() == private


def test_new_words() -> None:
    """Twenty-four words, others each time, that are accepted however they are typed."""
    made = words.new_words()
    assert len(made.split()) == 24
    assert words.new_words() != made
    assert words.check_words("  " + made.upper().replace(" ", "\n ")) == made


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 words"),
        (WORDS + " year", "13 words"),
        (WORDS.replace("year", "yaer"), "not in the list: word 4"),
        (WORDS.replace("year", "yellow"), "checksum"),
    ],
)
def test_other_words_are_refused(text: str, why: str) -> None:
    """A wrong word is named by its place only: an error is no place for a secret."""
    with pytest.raises(Fault) as refused:
        words.check_words(text)
    assert refused.value.spec is KEY_WORDS
    assert why in str(refused.value.values["why"])
    assert "yaer" not in str(refused.value)


def test_one_key_for_each_role_and_number() -> None:
    """The same words never give one key for two things."""
    keys = {words.key_of_words(WORDS, role, number).public_key for role in Role for number in range(3)}
    assert len(keys) == 3 * len(Role)
    assert words.path_of(Role.ACCOUNT, 2) == "m/44'/6513507'/2'"
    assert words.path_of(Role.VALIDATOR) == "m/44'/6513507'/0'/1'"


@pytest.mark.parametrize("path", ["", "44'/0'", "m/44/0'", "m/2147483648'", "m/01'", "m" + "/1'" * 11])
def test_only_hardened_paths(path: str) -> None:
    """Ed25519 has no other derivation, and a path has an end."""
    with pytest.raises(ValueError, match=r"path|steps"):
        words.derive(bytes(64), path)


def test_numbers_have_bounds() -> None:
    """A number that no path holds is refused before anything is derived."""
    with pytest.raises(ValueError, match="number"):
        words.path_of(Role.ACCOUNT, 2**31)

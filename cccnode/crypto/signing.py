"""Ed25519 signing (RFC 8032): deterministic, so that signing the same bytes twice gives the same signature."""

import os

from nacl.signing import SigningKey as _SigningKey


class SigningKey:
    """A private key.  It signs and says its public key; it never prints itself."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        """A key from its 32-byte seed."""
        self._key = _SigningKey(seed)
        self.public_key: bytes = bytes(self._key.verify_key)
        """The 32-byte public key."""

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key from the operating system's randomness."""
        return cls(os.urandom(32))

    @property
    def seed(self) -> bytes:
        """The 32-byte secret, for writing an encrypted key file."""
        return bytes(self._key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        return self._key.sign(message).signature

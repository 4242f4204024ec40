"""Hashes, signatures and Merkle trees: the only room that touches cryptographic libraries' primitives."""

"""Whole networks in one process from one seed: the main proof that the protocol and the node are right."""

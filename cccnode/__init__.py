"""cccnode: a permissioned ledger node for a city that no single party owns."""

"""The ledger: what a block does to the state, whatever the city's modules are (README.md gives the reading order)."""

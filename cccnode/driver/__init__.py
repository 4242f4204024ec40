"""The driver carries out what the pure parts decide: it owns the order of disk, network and time."""

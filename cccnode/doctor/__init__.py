"""Why the chain, or a node, does not move: pure reasoning over what nodes observe."""

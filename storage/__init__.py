"""What a node keeps: vote journal, blocks, batches, the authenticated state, and the facade that commits them.

Nothing here knows consensus, ledger or network; bytes and nouns come in, durable bytes go out.
"""

"""The nouns of the ledger, one file each: what they hold, how they are identified, how large they may be."""

"""Genesis: the document that begins a chain, its strict validation, and documents for demo networks."""

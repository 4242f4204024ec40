"""Directed scenarios as text: what happens to a few validators, and what must come of it."""

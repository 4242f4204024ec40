"""Consensus: a pure Simplex core.  Events and the time go in, effects come out; README.md numbers the rules."""

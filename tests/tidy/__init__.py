"""The house rules as tests: what no other tool checks."""

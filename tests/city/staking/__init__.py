"""Tests of cccnode.city.staking."""

"""Tests of the consensus room."""

"""The full counts: every campaign and every benchmark, to be stopped and gone on with at will."""

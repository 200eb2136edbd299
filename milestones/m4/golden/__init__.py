"""Golden fixtures of m4."""

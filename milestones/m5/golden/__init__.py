"""Golden fixtures of m5."""

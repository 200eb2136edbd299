"""Golden fixtures of m3."""

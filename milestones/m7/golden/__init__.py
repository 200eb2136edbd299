"""Golden fixtures of m7: greedy continuations by transformers."""

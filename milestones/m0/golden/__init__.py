"""Golden fixtures of m0: token ids by the tokenizers package."""

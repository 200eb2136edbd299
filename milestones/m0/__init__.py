"""m0: the tokenizer."""

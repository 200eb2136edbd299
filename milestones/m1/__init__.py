"""m1: weights: GGUF files, dequantization, rows of the embedding."""

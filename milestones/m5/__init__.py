"""m5: quantization: float rows to packed blocks, and products straight from them."""

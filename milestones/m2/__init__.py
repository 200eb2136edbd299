"""m2: the forward pass: matmul, rms_norm, rope, attention, swiglu, add."""

"""m3: sampling: argmax, so far."""

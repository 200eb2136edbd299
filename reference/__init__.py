"""What every kernel must equal: plain PyTorch on the CPU, one op a file. Imports nothing of ours but compare and tolerance."""

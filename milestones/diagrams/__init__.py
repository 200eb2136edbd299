"""The live diagrams: one page a diagram, its numbers from the kernels that the specs prove."""

"""Conformance of the device: metalcompute's API, the language that the kernels use, errors, the cache."""

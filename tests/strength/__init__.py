"""How strong the specs are: named mutants, generic ones, and kernels that compute nothing. `pytest tests/strength`."""

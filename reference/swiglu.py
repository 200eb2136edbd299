"""SwiGLU: the gate, through SiLU, scales what goes up, element by element. (Shazeer, GLU Variants Improve Transformer, 2020)

    y[i] = gate[i] · sigmoid(gate[i]) · up[i]          sigmoid(g) = 1 / (1 + e^−g)

>>> swiglu(torch.tensor([0.0, 2.0, -2.0]), torch.tensor([5.0, 3.0, 3.0]))  # sigmoid(2) ≈ 0.8808
tensor([ 0.0000,  5.2848, -0.7152])
"""

import torch


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """gate and up of one shape, float32 or float64 → the same. Where e^−gate is infinite, the result is 0, as it should be."""
    return gate / (1 + torch.exp(-gate)) * up

"""A projection back into the residual stream, which is then prepared for the next norm's product.

>>> y = leave(torch.ones(32), torch.ones(32), nibbles=False)
>>> rows = torch.tensor(([0x00, 0x3C] + [1] * 32) * 32, dtype=torch.uint8)  # 32 rows of ones: each product is 32
>>> x, left = project_add(y, rows, "Q8_0", (32, 32), torch.full((32,), -30.0), torch.full((32,), 0.5), nibbles=False)
>>> x[0].item(), left[0].item(), left[32:].tolist()  # −30 + 32; times ½; its sum; the squares' sum
(2.0, 1.0, [32.0, 128.0])
"""

import torch

from reference.matvec_q import matvec_q
from reference.prepare import leave, take


def project_add(
    y: torch.Tensor, raw: torch.Tensor, kind: str, shape: tuple[int, int], x: torch.Tensor, norm: torch.Tensor, nibbles: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """y as `leave` leaves it (k), raw the bytes of a weight (n, k), x and norm (n) → the new x (n), what is left; float64."""
    value = x.double() + matvec_q(take(y, kind != "Q8_0")[0], raw, kind, shape)
    return value, leave(value, norm.double(), nibbles)

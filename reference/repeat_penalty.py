"""Repetition penalty (Keskar et al., CTRL, 2019, §4.1): a seen token's logit, if positive, is divided by it, else multiplied.

>>> repeat_penalty(torch.tensor([4.0, -4.0, 4.0]), torch.tensor([True, True, False]), 2.0)
tensor([ 2., -8.,  4.])
"""

import torch


def repeat_penalty(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """logits (n) float, seen (n) bool → (n). However often a token was seen, it pays once."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

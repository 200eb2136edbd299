"""The milestones m0–m7: each a kernel, its host side, its reference's spec, and a runnable artifact."""

"""Runs .metal source through one API, metalcompute's: `Device`, `get_devices`, `error`.

On macOS it is metalcompute itself; elsewhere it is the portable Metal device. Nothing else in this repository asks which.
"""

import sys

if sys.platform == "darwin":
    from metalcompute import Device, error, get_devices
else:
    from metal.portable import Device, error, get_devices

__all__ = ["Device", "error", "get_devices"]

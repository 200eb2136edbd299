"""The portable Metal device: metalcompute's API on Linux, over OpenCL. Emulation, labelled so everywhere."""

from .device import Buffer, Device, Function, Kernel, Run, get_devices
from .errors import SourceError, error

__all__ = ["Buffer", "Device", "Function", "Kernel", "Run", "SourceError", "error", "get_devices"]

"""The portable Metal device: metalcompute's API on Linux, over OpenCL. Emulation, labelled so everywhere."""

from .buffers import Buffer
from .checked.findings import Finding, KernelFault
from .device import Device, Kernel, get_devices
from .errors import SourceError, error
from .function import Function, Run
from .recording import Recording

__all__ = [
    "Buffer",
    "Device",
    "Finding",
    "Function",
    "Kernel",
    "KernelFault",
    "Recording",
    "Run",
    "SourceError",
    "error",
    "get_devices",
]

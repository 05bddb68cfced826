"""Engines: one batch in, one batch out.

The whole contract is :class:`Engine`. Only this package imports onnxruntime, and it and ``networks`` import torch.
"""

from my_submission.engines.base import DeferredEngine, Engine, SegmentsEngine
from my_submission.engines.devices import Device, parse_device, resolve_device

__all__ = ["DeferredEngine", "Device", "Engine", "SegmentsEngine", "parse_device", "resolve_device"]

"""Engines run networks: one batch in, one batch out, as :class:`Engine` defines.

Only this package imports onnxruntime and OpenVINO; torch is imported here and in ``networks``.
"""

from my_submission.engines.base import DeferredEngine, Engine, SegmentsEngine
from my_submission.engines.devices import Device, parse_device, resolve_device

__all__ = ["DeferredEngine", "Device", "Engine", "SegmentsEngine", "parse_device", "resolve_device"]

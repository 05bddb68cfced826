"""Conditioned U-Nets: one network for any source. LaSAFT, LightSAFT and LASAFT-Net-v2."""

from my_submission.networks.lasaft.config import LasaftV1Config, LasaftV2Config
from my_submission.networks.lasaft.framework import ConditionedNet, FrameworkConfig, LasaftConfig

__all__ = ["ConditionedNet", "FrameworkConfig", "LasaftConfig", "LasaftV1Config", "LasaftV2Config"]

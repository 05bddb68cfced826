"""Conditioned U-Nets, one network for any source: LaSAFT, LightSAFT, LASAFT-Net-v2, and the starter's."""

from my_submission.networks.lasaft.config import LasaftV1Config, LasaftV2Config
from my_submission.networks.lasaft.framework import ConditionedNet, FrameworkConfig, LasaftConfig
from my_submission.networks.lasaft.gated_tfc_tdf import GatedTfcTdfConfig

__all__ = ["ConditionedNet", "FrameworkConfig", "GatedTfcTdfConfig", "LasaftConfig", "LasaftV1Config", "LasaftV2Config"]

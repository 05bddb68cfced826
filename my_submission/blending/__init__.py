"""Blending: complete stems from the estimates of several branches, and the mixture without some of them."""

from my_submission.blending.blender import BlendedBuffer, StemBlender
from my_submission.blending.residual import residual_mixture

__all__ = ["BlendedBuffer", "StemBlender", "residual_mixture"]

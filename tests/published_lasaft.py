"""Shapes of the published conditioned U-Nets."""

from my_submission.networks.lasaft import LasaftV1Config, LasaftV2Config

LIGHTSAFT = LasaftV1Config(
    n_blocks=9, internal_channels=16, block="tfc_lightsaft", num_tdfs=16, dk=64, embedding_dim=64
)
"""LightSAFT as submitted to the challenge (``lightsaft_small_2020``)."""

LASAFT_V1 = LasaftV1Config()
"""LaSAFT with GPoCM, the first paper's network."""

LASAFT_V1_LARGE = LasaftV1Config(n_fft=4096, n_blocks=9, embedding_dim=64)
"""``lasaft_large_2020``; its keys have 32 entries, unlike in its authors' table."""

LASAFT_V2_LIGHT = LasaftV2Config(
    internal_channels=20,
    num_tdfs=12,
    first_conv_activation="leaky_relu",
    tfc_tdf_activation="leaky_relu",
)
"""LASAFT-Net-v2 as submitted to the challenge."""

LASAFT_V2 = LasaftV2Config()
"""LASAFT-Net-v2, also called medium."""

LASAFT_V2_LARGE = LasaftV2Config(n_fft=4096, n_blocks=9, embedding_dim=64)
"""LASAFT-Net-v2, large."""


def options(act: str = "relu", **others: object) -> dict[str, object]:
    """Options of the published networks that weights do not show, with one activation throughout."""
    places = ("first_conv", "tfc_tdf", "downsampling", "upsampling")
    activations = {f"{place}_activation": act for place in places}
    modes = {"spec_est_mode": "mapping", "last_activation": "identity"}
    return {**activations, **modes, "condition_to": "decoder", "pocm_type": "matmul", **others}

"""Hashes of the published artefacts, so that no manifest can give their names to other files.

KUIELAB-MDX-Net: the object ids of the Git LFS pointers in the authors' repository, and the md5 and size that Zenodo
states for the Mixer. LightSAFT and LaSAFT: the object ids of the pointers in theirs. Demucs v2: the authors put the
first eight digits of the sha256 into the file's own name and publish no more of it. Hybrid Demucs: torchaudio's own
file of its pipeline HDEMUCS_HIGH_MUSDB_PLUS. Public MDX-Net graphs: hashes that other programs state. LASAFT-Net-v2:
the ids that git gives the files in the authors' repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PUBLISHED_SHA256: Mapping[str, str] = MappingProxyType(
    {
        "kuielab-a/bass": "0c3e77b9963185b1ea6bb46a4b8924137d9370fc1ccdefec7b1b416ef550dcaa",
        "kuielab-a/drums": "40f586b7091934dd6f5563f0cba8f14bad57ce88440da1098bf388ea716c2901",
        "kuielab-a/other": "7b67a1dcb5f232153528c59960b4c7bf8dc736b8114de360af0e719633f53358",
        "kuielab-a/vocals": "daba83c2ee1afee9139766ad64c9b6808d6b6f092fff04bed3338be50baac721",
        "kuielab-a/mixer": "ea781bd52c6a523b825fa6cdbb6189f52e318edd8b17e6fe404f76f7af8caa9c",
        "kuielab-b/bass": "b4b7080fe501d0bece62076c5d4eda4d6590c5207ed78ec84a57bac0740a061d",
        "kuielab-b/drums": "a6fecee758059b33ed99f6dabba297439b3e7cacfac4b1097bd324aff8052208",
        "kuielab-b/other": "b0d0b63950ac332333fea2d58f68c92fd3ab0aae071398c2a8beeae1ad15b655",
        "kuielab-b/vocals": "9b7dcb9d878acb0f3e64ff3fd27750faae96577013f6d50f5996875bf4250713",
        "lightsaft/network": "abaccde358dc06daa2faf2c0e6086731634a5260c0019e8eaecb50114aebc5bf",
        "lasaft-v1/large-2019": "f9022f2c7c513a826932deb2e91f63858ee5b7d6cd5afcdfdac1cd012231ac0f",
        "lasaft-v1/large-2021": "8a5320702a3315088f455dbb4c541b6b9aaa3f16296358fe026c501de65973d9",
        "lasaft-v1/large": "d14d2dd27ed568f552be88e9ed4d8bb8ca2722e03c936ea16e8e260ab49da9f1",
        "demucs/demucs": "e07c671f",
        "demucs/demucs-extra": "3646af93",
        "mdx-net/voc-ft": "534b2070fcc7df514b13ef660dc8cbb328679c2374d04354a5c42bb14ecce111",
        "mdx-net/kim-vocal-2": "ce74ef3b6a6024ce44211a07be9cf8bc6d87728cc852a68ab34eb8e58cde9c8b",
        "demucs/demucs48-hq": "28a1282c",
        "hdemucs/musdb-plus": "a004b2790d73ffeaa535db458a1a79b539dfdbafbccc31f275d07e632ebd7816",
    }
)
"""Name of an artefact → sha256 of its file in hexadecimal, or as many leading digits as its authors published."""

PUBLISHED_GIT_BLOBS: Mapping[str, str] = MappingProxyType(
    {
        "lasaft-v2/light": "dfe269aa25b378856cef9dc9e93de96792e36941",
        "lasaft-v2/large": "b9fb56e423bb2dd200649c609626d974c291acf7",
        "lightsaft-plus/network": "19d847f9bbcb8803c6a6febe26da94f69fdfbc1d",
    }
)
"""Name of an artefact → id that git gives its file in the authors' repository."""

"""Hash the fp32 stems of every system, to prove that a change of the code changes no sample.

Weights are those in the repository where they are there, else small random networks under the published names.
Usage: python -m benchmarks.output_hashes [--json BEFORE.json] [--compare BEFORE.json] [--published]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import my_submission as mdx
from benchmarks.random_models import GEOMETRIES, write_models
from my_submission.stems import MUSIC_SOURCES, Stems
from tests import published_lasaft
from tests.mechanisms.test_conditioned import net
from tests.model_makers import random_demucs, random_network, write_manifest, write_spectral, write_torch
from tests.networks.test_lasaft import FAMILY
from tests.systems.test_aimless_systems import ARCHITECTURES, TRANSFORM, random_networks

RATE = 44_100
STARTERS = ("starter", "starter-conditioned", "starter-blend", "starter-cinema")
AIMLESS = ("aimless-cdx-a", "aimless-cdx-a-whole", "aimless-mdx-a", "aimless-xumx", "aimless-demucs")
LASAFT = {"lightsaft": "lightsaft/network", "lasaft-v1": "lasaft-v1/network", "lasaft-v2": "lasaft-v2/medium"}
LASAFT_FRAMES = 2048


def song(seconds: float) -> np.ndarray:
    """A chord, bursts of noise and a moving tone, float32 (2, samples), with silence at both ends."""
    time = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(7)
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (55.0, 220.0, 277.2, 1318.5))
    bursts = rng.standard_normal((2, time.size)) * (np.sin(2 * np.pi * 1.7 * time) > 0.8)
    voice = np.sin(2 * np.pi * 300 * time + 3 * np.sin(2 * np.pi * 5 * time)) * (np.sin(2 * np.pi * 0.2 * time) > 0)
    mixed = 0.05 * chord + 0.1 * bursts + 0.1 * np.stack([voice, 0.7 * voice])
    mixed[:, : RATE // 2] = 0
    mixed[:, -RATE:] = 0
    return np.asarray(mixed, np.float32)


def digest(stems: Stems) -> str:
    """SHA-256 over the samples of all stems; a negative zero counts as zero."""
    whole = hashlib.sha256()
    for name in sorted(stems):
        whole.update(name.encode())
        whole.update(np.ascontiguousarray(stems[name] + np.float32(0)).tobytes())
    return whole.hexdigest()[:16]


def write_kuielab_b(folder: Path) -> None:
    """Small networks of leaderboard B."""
    sizes = GEOMETRIES["tiny"]
    entries = []
    for seed, source in enumerate(MUSIC_SOURCES):
        shape = {"n_fft": sizes.n_fft[source], "hop": sizes.hop, "bins": sizes.bins, "frames": sizes.frames}
        entries.append(write_spectral(folder, f"kuielab-b/{source}", random_network(sizes.bins, seed=seed), **shape))
    entries.append(write_torch(folder, "demucs/demucs-extra", random_demucs().state_dict(), "demucs-v2"))
    write_manifest(folder, entries)


def write_aimless(folder: Path) -> None:
    """Small networks of AIMLESS' systems."""
    entries = []
    for name, network in random_networks().items():
        written = write_torch(folder, name, network.state_dict(), ARCHITECTURES[type(network)])
        is_masking = ARCHITECTURES[type(network)] in {"band-split-rnn", "x-umx"}
        entries.append({**written, "geometry": TRANSFORM if is_masking else None})
    write_manifest(folder, entries)


def write_lasaft(folder: Path) -> None:
    """Small networks of the LaSAFT family."""
    entries = []
    architectures = {"lightsaft": "lasaft", "lasaft-v1": "lasaft", "lasaft-v2": "lasaft-v2"}
    for system, artefact in LASAFT.items():
        architecture = architectures[system]
        with torch.random.fork_rng():
            torch.manual_seed(5)
            state = net(FAMILY[system]).state_dict()
        written = write_torch(folder, artefact, state, architecture, suffix="ckpt")
        geometry = {"n_fft": 64, "hop": 16, "frames": LASAFT_FRAMES}
        entries.append({**written, "geometry": geometry, "options": published_lasaft.options()})
    write_manifest(folder, entries)


def hashes(*, is_published: bool) -> Iterator[tuple[str, str]]:
    """Name of a system, with what differs from its defaults, and the hash of its stems."""
    short, long = song(12.3), song(27.1)

    def run(label: str, system: str, models: Path | None, mixture: np.ndarray, **options: bool) -> tuple[str, str]:
        predictor = mdx.load(
            system, models_dir=models, device="cpu", precision="fp32", threads=2, allow_unverified=True
        )
        return label, digest(predictor.separate(mixture, sample_rate=RATE, **options))

    for name in STARTERS:
        yield run(name, name, None, long)
    yield run("starter refined", "starter", None, short, refine=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        makers = {"kuielab-b": write_kuielab_b, "aimless": write_aimless, "lasaft": write_lasaft}
        for name, write in makers.items():
            (folder / name).mkdir()
            write(folder / name)
        (folder / "kuielab-a").mkdir()
        write_models(folder / "kuielab-a", GEOMETRIES["tiny"])
        for name in ("kuielab-a", "kuielab-a-networks"):
            yield run(name, name, folder / "kuielab-a", song(95.0))
        yield run("kuielab-a refined", "kuielab-a", folder / "kuielab-a", short, refine=True)
        yield run("kuielab-b", "kuielab-b", folder / "kuielab-b", long)
        for name in (*AIMLESS, "hdemucs-musdb-plus"):
            yield run(name, name, folder / "aimless", long)
        for name in LASAFT:
            yield run(name, name, folder / "lasaft", short)
        if is_published:
            (folder / "published").mkdir()
            write_models(folder / "published", GEOMETRIES["published"])
            yield run("kuielab-a at published size", "kuielab-a", folder / "published", short)


def main() -> int:
    """Print every hash; exit code 1 where one differs from an earlier run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write the hashes here")
    parser.add_argument("--compare", type=Path, help="hashes of an earlier run")
    parser.add_argument("--published", action="store_true", help="leaderboard A at its published size too")
    options = parser.parse_args()
    before = json.loads(options.compare.read_text(encoding="utf-8")) if options.compare else {}
    found, n_different = {}, 0
    for name, value in hashes(is_published=options.published):
        found[name] = value
        verdict = "" if name not in before else "  same" if before[name] == value else "  DIFFERENT"
        n_different += verdict.endswith("DIFFERENT")
        print(f"{value}  {name}{verdict}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())

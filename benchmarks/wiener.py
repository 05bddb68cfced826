"""Peak memory and time of masks and Wiener filter by length of a film, each in its own process.

The network is a stand-in that costs nothing, so that only the transform, the store of the masks and the filter
are measured. Usage: python -m benchmarks.wiener [--minutes 3 60] [--scratch DIR]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.memory import write_song
from my_submission.audio_io import DiskStore, load_mixture
from my_submission.engines.fake_engine import FakeEngine
from my_submission.geometry import StftGeometry
from my_submission.mechanisms import MaskingMechanism
from my_submission.mechanisms.masked_song import MaskedSong
from my_submission.predictor.peak_memory import peak_memory_bytes
from my_submission.systems.aimless import MASK_STRETCHES, WienerSettings

STFT = StftGeometry(4096, 1024, 2049)
RATE = 44_100


def filter_song(minutes: float, scratch: Path) -> None:
    """Mask and filter a song, and print time and memory."""
    song = scratch / "song.wav"
    write_song(song, minutes)
    engine = FakeEngine(lambda batch: (batch / (1 + batch)).astype(np.float32))
    masking = MaskingMechanism(("music",), engine, stft=STFT, chunking=MASK_STRETCHES, wiener=WienerSettings())
    started, processor = time.monotonic(), time.process_time()
    with load_mixture(song, scratch_dir=scratch) as mixture:
        stores: list[DiskStore] = []

        def new_store(channels: int = 2, samples: int = mixture.samples) -> DiskStore:
            stores.append(stack.enter_context(DiskStore(channels, samples, directory=scratch)))
            return stores[-1]

        with ExitStack() as stack:
            known, music = MaskedSong(masking, mixture, new_store), new_store()
            n_values = stores[0].channels * stores[0].samples
            while not known.is_masked:
                known.put(known.estimate())
            masked = time.process_time() - processor
            known.learn_all()
            for start, stop in known.blocks():
                music.write(start, known.stems(start, stop)["music"])
        seconds = mixture.samples / RATE
    total = time.process_time() - processor
    print(
        f"{minutes:g} min: peak {peak_memory_bytes() / 1e6:.0f} MB; {1000 * masked / seconds:.0f} ms of processor time "
        f"per second to transform, store and accumulate, {1000 * (total - masked) / seconds:.0f} ms to filter; "
        f"{time.monotonic() - started:.0f} s in all; {n_values * 4 / 1e6:.0f} MB of masks on the disk",
        flush=True,
    )


def main() -> int:
    """Measure every length in its own process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", nargs="+", type=float, default=[3, 60])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    if len(options.minutes) == 1:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            filter_song(options.minutes[0], Path(folder))
        return 0
    for minutes in options.minutes:
        command = [sys.executable, "-m", "benchmarks.wiener", "--minutes", str(minutes), "--scratch"]
        subprocess.run([*command, str(options.scratch)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The runner of 2023, written from its contract; runs my_submission.user_config.MySeparationModel as a script.

The limit per song is REHEARSAL_FACTOR times its duration, or REHEARSAL_SECONDS. SIGALRM enforces it; the first failure
ends the run. REHEARSAL_INSTRUMENTS are the stems. With dialog among them the song is cinema: input is ``mix.wav`` or
one file per channel, output ``<song>_<instrument>.wav``.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

INSTRUMENTS = os.environ.get("REHEARSAL_INSTRUMENTS", "bass,drums,other,vocals").split(",")
IS_CINEMA = "dialog" in INSTRUMENTS


class SongTimeoutError(Exception):
    """The grader's time limit was exceeded."""


def record(**entry: Any) -> None:
    """Append one line to the record of the rehearsal."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with Path(os.environ["REHEARSAL_RECORD"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**entry, "peak_bytes": peak}) + "\n")


def read(folder: Path) -> tuple[Any, int]:
    """Return the mixture, float64 (samples, 2) or (samples,) for mono music, and its sample rate."""
    if not IS_CINEMA:
        sound, rate = soundfile.read(str(folder / "mixture.wav"))
        return sound, rate
    halves = [folder / f"{folder.name}_mixture_{side}.wav" for side in ("Lt", "Rt")]
    if all(path.is_file() for path in halves):
        (left, rate), (right, _) = (soundfile.read(str(path)) for path in halves)
        return np.stack([left, right], axis=1), rate
    sound, rate = soundfile.read(str(folder / "mix.wav"))
    return (np.stack([sound, sound], axis=1) if sound.ndim == 1 else sound), rate


def separate(model: Any, folder: Path, predictions: Path) -> None:
    """Separate one song as the starter kit's wrapper does."""
    sound, rate = read(folder)
    stems, rates = model.separate_music_file(sound, rate)
    if set(stems) != set(INSTRUMENTS):
        raise AssertionError(f"the model gave {sorted(stems)}, the track asks for {sorted(INSTRUMENTS)}")
    out = predictions / folder.name
    out.mkdir(exist_ok=True)
    for name in INSTRUMENTS:
        soundfile.write(
            str(out / (f"{folder.name}_{name}.wav" if IS_CINEMA else f"{name}.wav")), stems[name], rates[name]
        )


def song_limit(folder: Path) -> float:
    """Return the time limit of a song in seconds."""
    if seconds := os.environ.get("REHEARSAL_SECONDS"):
        return float(seconds)
    mixture = next(path for path in sorted(folder.iterdir()) if "mix" in path.name)
    return float(os.environ["REHEARSAL_FACTOR"]) * float(soundfile.info(str(mixture)).duration)


def main() -> int:
    """Separate all songs in order."""
    dataset, predictions = Path(os.environ["AICROWD_DATASET_DIR"]), Path(os.environ["AICROWD_PUBLIC_SHARED_DIR"])
    predictions = predictions / "predictions"
    started = time.monotonic()
    model = importlib.import_module("my_submission.user_config").MySeparationModel()
    record(setup_seconds=time.monotonic() - started, setup_limit=None)
    for folder in sorted(path for path in dataset.iterdir() if path.is_dir()):
        limit = song_limit(folder)

        def stop(*_: object, limit: float = limit) -> None:
            raise SongTimeoutError(f"timed out after {limit:g} s")

        signal.signal(signal.SIGALRM, stop)
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            separate(model, folder, predictions)
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            is_timeout = isinstance(error, SongTimeoutError)
            record(song=folder.name, seconds=time.monotonic() - begun, limit=limit, error=reason, timed_out=is_timeout)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        record(song=folder.name, seconds=time.monotonic() - begun, limit=limit, error=None, timed_out=False)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.exit(main())

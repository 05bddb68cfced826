"""Local evaluation of the 2023 kits: separates a folder of songs as the grader does, and scores songs with references.

``python evaluate_locally.py [--data DIR] [--output DIR]``: songs of ``./public_dataset/MUSDB18-7-WAV/test/`` (music)
or ``./public_dataset/`` (cinema) are separated by the wrapper, each within the track's time limit, to
``./evaluator_outputs``. Scores are the challenge's global SDR, for every song with true stems beside its mixture.
"""

from __future__ import annotations

from terminal import early

if __name__ == "__main__":
    early.listen()  # an interruption is one line from here on, even during imports

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import soundfile

from evaluator.errors import EvaluationError, TimeLimitError
from evaluator.metrics import global_sdr
from evaluator.time_limit import time_limit
from my_submission.aicrowd_wrapper import AIcrowdWrapper
from my_submission.challenge.building import TREE
from my_submission.challenge.configuration import active_configuration
from my_submission.challenge.kit_folders import is_cinema, mixture_files, song_folders, stem_path
from my_submission.challenge.tracks import Track
from my_submission.errors import MdxError
from my_submission.stems import canonical_source
from terminal import process
from terminal.lines import CommandParser, complain, log_to_stderr, say
from terminal.names import system_name
from terminal.paths import explained_paths

MUSIC_DATA = "./public_dataset/MUSDB18-7-WAV/test/"
CINEMA_DATA = "./public_dataset/"


def main(arguments: Sequence[str] | None = None) -> int:
    """Separate and score; return 1 when a song failed."""
    parser = CommandParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", metavar="DIR", help=f"folder of songs (default: {MUSIC_DATA}, cinema: {CINEMA_DATA})")
    parser.add_argument("--output", default="./evaluator_outputs/", metavar="DIR", help="default: %(default)s")
    options = parser.parse_args(arguments)
    log_to_stderr(logging.WARNING)
    try:
        with explained_paths(MdxError):
            return _evaluate(options.data, Path(options.output))
    except (MdxError, EvaluationError, NameError) as error:
        complain(f"error: {error}")
        return 1
    except KeyboardInterrupt as stop:
        complain(f"{process.stop_message(stop)}; completed songs are kept")
        return process.exit_code(stop)


def _evaluate(data: str | None, output: Path) -> int:
    output.mkdir(parents=True, exist_ok=True)
    wrapper = AIcrowdWrapper(dataset_dir=data or _default_data(), predictions_dir=str(output))
    songs = song_folders(wrapper.dataset_dir, wrapper.track)
    scores: list[dict[str, float]] = []
    n_failed = 0
    for song in songs:
        try:
            seconds, allowed = _separate(wrapper, song)
        except (TimeLimitError, NameError) as error:
            n_failed += 1
            complain(f"error: {song}: {error}")
            continue
        say(f"{song}: {seconds:.1f} of {allowed:.1f} s")
        if song_scores := _score(wrapper.dataset_dir / song, wrapper.predictions_dir, wrapper.track):
            scores.append(song_scores)
            say("  " + "  ".join(f"{name} {value:.3f}" for name, value in song_scores.items()))
    _print_means(scores)
    if n_failed:
        complain(f"error: {n_failed} of {len(songs)} songs failed")
    return 1 if n_failed else 0


def _default_data() -> str:
    """Return the kit's folder of the configured track."""
    return CINEMA_DATA if is_cinema(active_configuration(TREE).challenge_track) else MUSIC_DATA


def _separate(wrapper: AIcrowdWrapper, song: str) -> tuple[float, float]:
    """Separate one song; return seconds used and seconds allowed."""
    info = soundfile.info(system_name(mixture_files(wrapper.dataset_dir / song, wrapper.track)[0]))
    allowed = wrapper.model.configuration.limit.seconds_for(info.frames / info.samplerate)
    started = time.monotonic()
    with time_limit(allowed, what=song):
        wrapper.separate_music_file(song)
    return time.monotonic() - started, allowed


def _score(folder: Path, predictions: Path, track: Track) -> dict[str, float]:
    """Return instrument to global SDR in dB, and their mean; empty where a true stem is missing."""
    true_stems = {canonical_source(path.stem.removeprefix(f"{folder.name}_")): path for path in folder.glob("*.wav")}
    if not set(track.sources) <= set(true_stems):
        return {}
    scores = {
        name: _file_sdr(true_stems[name], stem_path(predictions, folder.name, name, track)) for name in track.sources
    }
    return {**scores, "mean": sum(scores.values()) / len(scores)}


def _file_sdr(reference_path: Path, estimate_path: Path) -> float:
    reference, rate = soundfile.read(system_name(reference_path), dtype="float32", always_2d=True)
    estimate, estimate_rate = soundfile.read(system_name(estimate_path), dtype="float32", always_2d=True)
    if rate != estimate_rate or len(reference) != len(estimate):
        found = f"{len(estimate)} samples at {estimate_rate} Hz, the reference has {len(reference)} at {rate} Hz"
        raise MdxError(f"has {found}", where=estimate_path, hint="check that the references belong to the mixture")
    return global_sdr(reference, estimate[:, : reference.shape[1]])


def _print_means(scores: list[dict[str, float]]) -> None:
    if not scores:
        say("no song has all its true stems beside the mixture: nothing is scored")
        return
    say(f"mean of {len(scores)} songs (global SDR, dB)")
    for name in scores[0]:
        label = "mean_sdr" if name == "mean" else f"sdr_{name}"
        say(f"  {label} {sum(song[name] for song in scores) / len(scores):.3f}")


if __name__ == "__main__":
    process.begin()
    process.end_in_order()
    process.end(main(), at_once=True)

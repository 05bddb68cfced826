"""Subcommands that write collections of dialog, effect and music, and scenes of all three."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.command import SEED, TrainingCommand, add_generated


def _speak(options: argparse.Namespace) -> None:
    from training_material.speaking import sentences_of, voice_of, write_dialogues

    sentences = sentences_of(options.text)
    n_spoken = write_dialogues(
        [voice_of(description, sentences) for description in options.voices],
        options.corpus / options.collection,
        seed=options.seed,
        n_dialogues=options.dialogues,
        seconds=options.seconds,
    )
    print(n_spoken, "dialogues")


def _add_speak(parser: argparse.ArgumentParser) -> None:
    engines = "flite:slt, espeak-ng:en-us+f3, festival:kal_diphone"
    parser.add_argument("voices", nargs="+", help=f"voices, such as {engines}, or folders of a speaker's recordings")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="plain text files to speak")
    parser.add_argument("--dialogues", type=int, default=60, help="number of dialogues")
    add_generated(parser, collection="dialogues", seconds=60.0, option="--seconds")


def _effects(options: argparse.Namespace) -> None:
    from training_material.soundscapes import GENERATORS, write_soundscapes

    n_written = write_soundscapes(
        options.recordings,
        options.corpus / options.collection,
        sounds=[name for name in options.sounds or GENERATORS if name not in options.without],
        seed=options.seed,
        n_scapes=options.soundscapes,
        seconds=options.seconds,
    )
    print(n_written, "soundscapes")


def _add_effects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recordings", type=Path, nargs="*", default=[], help="folders of short sounds")
    parser.add_argument("--sounds", nargs="*", default=[], help="synthesised sounds to use (default: all)")
    parser.add_argument("--without", nargs="*", default=[], help="synthesised sounds to leave out")
    parser.add_argument("--soundscapes", type=int, default=60, help="number of soundscapes")
    add_generated(parser, collection="soundscapes", seconds=60.0, option="--seconds")


def _mix_down(options: argparse.Namespace) -> None:
    from training_material.scenes import mix_down

    print(mix_down(options.songs, options.corpus / options.collection, max_seconds=options.max_seconds), "songs")


def _add_mix_down(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="folders of song folders with the four stems of music")
    parser.add_argument("--collection", default="music", help="name of the output collection")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the output collection")
    parser.add_argument("--max-seconds", type=float, default=600.0, help="maximum length per song in seconds")


def _scenes(options: argparse.Namespace) -> None:
    from training_material.scenes import write_scenes

    n_scenes = write_scenes(
        options.collections, options.out, seed=options.seed, n_scenes=options.scenes, seconds=options.seconds
    )
    print(n_scenes, "scenes")


def _add_scenes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("collections", type=Path, nargs="+", help="collections of dialog, effect and music")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=SEED)


STAGES = (
    TrainingCommand("speak", "dialogues from speech engines and recordings", _add_speak, _speak),
    TrainingCommand("effects", "soundscapes from recordings and synthesis", _add_effects, _effects),
    TrainingCommand("mixdown", "add up songs' stems into music", _add_mix_down, _mix_down),
    TrainingCommand("scenes", "mix dialog, effect and music into scenes to score on", _add_scenes, _scenes),
)

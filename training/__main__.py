"""``python -m training``: from public audio to the starter's files, one subcommand a stage."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

SEED = 2021


def _decode(options: argparse.Namespace) -> None:
    from training.corpus import decode_songs

    decode_songs(options.songs, options.corpus / options.collection)


def _render(options: argparse.Namespace) -> None:
    from training.render import render_folder

    render_folder(
        options.midi,
        options.sound_fonts,
        options.corpus / "midi",
        seed=options.seed,
        max_seconds=options.max_seconds,
        n_processes=options.processes,
    )


def _sing(options: argparse.Namespace) -> None:
    from training.singing import recorded_singer, sing_folder, spoken_singer

    singers = [recorded_singer(folder) for folder in options.syllables]
    singers += [spoken_singer(voice) for voice in options.voices]
    sing_folder(
        singers,
        options.midi,
        options.corpus / options.collection,
        seed=options.seed,
        n_songs=options.songs,
        max_seconds=options.max_seconds,
    )


def _fit(options: argparse.Namespace) -> None:
    from training.experiments import EXPERIMENTS
    from training.fit import fit

    experiment = EXPERIMENTS[options.experiment]
    fit(
        experiment,
        options.corpus,
        options.runs / experiment.name,
        save_every=options.save_every,
        n_threads=options.threads,
    )


def _export(options: argparse.Namespace) -> None:
    from training.starter import export_starter, load_separators

    for written in export_starter(load_separators(options.runs), options.models):
        print(f"{written.path} {written.n_bytes} bytes sha256 {written.sha256} parity {written.parity_db:.1f} dB")


def _mixer(options: argparse.Namespace) -> None:
    from training.mixer import save_mixer
    from training.starter import fit_starter_mixer, load_separators

    matrix = fit_starter_mixer(
        load_separators(options.runs),
        options.songs,
        starts_seconds=options.starts_seconds,
        excerpt_seconds=options.excerpt_seconds,
        ridge=options.ridge,
    )
    save_mixer(matrix, options.models / "mixer.ckpt")


def _score(options: argparse.Namespace) -> None:
    import torch

    from training.mixer import WEIGHT_KEY
    from training.starter import baseline, estimates_of, load_separators, read_song, score

    separators = load_separators(options.runs)
    mixer = None
    if options.mixer is not None:
        mixer = torch.load(options.mixer, weights_only=True)[WEIGHT_KEY].numpy()
    for folder in options.songs:
        song = read_song(folder)
        values = score(song, estimates_of(separators, song), mixer)
        shares = [f"{source} {value:.2f}" for source, value in baseline(song).items()]
        print(song.name, "mixture/4", *shares, sep="  ")
        print(song.name, *(f"{source} {value:.2f}" for source, value in values.items()), sep="  ")


def _add_decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="song folders with <source>.wav, .flac or .ogg")
    parser.add_argument("--collection", required=True, help="name of the collection they go to")
    parser.add_argument("--corpus", type=Path, required=True)


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, help="folder of .mid files")
    parser.add_argument("--sound-fonts", type=Path, nargs="+", required=True, help=".sf2 or .sf3 files")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--max-seconds", type=float, default=150.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=SEED)


def _add_sing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, help="folder of .mid files whose melodies are sung")
    parser.add_argument("--syllables", type=Path, nargs="*", default=[], help="folders of sung syllables, .ogg")
    parser.add_argument("--voices", nargs="*", default=[], help="voices of flite, for instance slt rms awb kal16")
    parser.add_argument("--collection", required=True, help="name of the collection they go to")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--max-seconds", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=SEED)


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="name of an experiment in training/experiments.py")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--save-every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, default=1)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="folder the ONNX files go to")


def _add_mixer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="song folders with the four stems")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="folder mixer.ckpt goes to")
    parser.add_argument("--starts-seconds", type=float, nargs="+", default=[60.0, 120.0, 180.0])
    parser.add_argument("--excerpt-seconds", type=float, default=7.0)
    parser.add_argument("--ridge", type=float, default=0.3)


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="song folders with the four stems")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--mixer", type=Path, help="a Mixer to apply")


_Stage = tuple[str, str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], None]]

STAGES: tuple[_Stage, ...] = (
    ("decode", "decode song folders into the corpus", _add_decode, _decode),
    ("render", "render MIDI songs into the corpus", _add_render, _render),
    ("sing", "sing MIDI melodies with recorded syllables", _add_sing, _sing),
    ("fit", "train one experiment, or go on with it", _add_fit, _fit),
    ("export", "write the starter's ONNX files", _add_export, _export),
    ("mixer", "fit the Mixer in closed form", _add_mixer, _mixer),
    ("score", "global SDR of the runs on songs", _add_score, _score),
)


def parser() -> argparse.ArgumentParser:
    """The command line of all stages."""
    root = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    stages = root.add_subparsers(required=True, metavar="STAGE")
    for name, purpose, add, act in STAGES:
        stage = stages.add_parser(name, help=purpose)
        add(stage)
        stage.set_defaults(act=act)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one stage; errors keep their traceback, since this is a developer's tool."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)
    options.act(options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

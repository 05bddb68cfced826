"""Subcommands that write song folders: decoded, rendered, sung, drummed, played, synthesised and stretched."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.command import TrainingCommand, add_generated

PROCESSES = 2


def _decode(options: argparse.Namespace) -> None:
    from training.data.decoding import decode_songs

    print(decode_songs(options.songs, options.corpus / options.collection), "songs")


def _add_decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "songs", type=Path, nargs="+", help="song folders (.wav .flac .ogg) and MUSDB18's .stem.mp4 files"
    )
    parser.add_argument("--collection", required=True, help="name of the output collection")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the output collection")


def _render(options: argparse.Namespace) -> None:
    from training_material.render import render_folder

    n_rendered = render_folder(
        options.midi,
        options.sound_fonts,
        options.corpus / options.collection,
        seed=options.seed,
        max_seconds=options.max_seconds,
        n_processes=options.processes,
    )
    print(n_rendered, "songs")


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, help="folder of .mid files")
    parser.add_argument("--sound-fonts", type=Path, nargs="+", required=True, help=".sf2 or .sf3 files")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    add_generated(parser, collection="midi", seconds=150.0, option="--max-seconds")


def _sing(options: argparse.Namespace) -> None:
    from training_material.singing import phrase_singer, recorded_singer, sing_folder, spoken_singer

    singers = [recorded_singer(folder) for folder in options.syllables]
    singers += [phrase_singer(folder) for folder in options.phrases]
    singers += [spoken_singer(voice) for voice in options.voices]
    n_sung = sing_folder(
        singers,
        options.midi,
        options.corpus / options.collection,
        seed=options.seed,
        n_songs=options.songs,
        max_seconds=options.max_seconds,
    )
    print(n_sung, "songs")


def _add_sing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, help="folder of .mid files with the melodies")
    parser.add_argument("--syllables", type=Path, nargs="*", default=[], help="folders of sung syllables, .ogg")
    parser.add_argument(
        "--phrases", type=Path, nargs="*", default=[], help="folders of phrases with an index.json of their syllables"
    )
    parser.add_argument("--voices", nargs="*", default=[], help="voices of flite, such as slt rms awb kal16")
    parser.add_argument("--songs", type=int, default=40, help="number of songs")
    add_generated(parser, collection=None, seconds=90.0, option="--max-seconds")


def _drum(options: argparse.Namespace) -> None:
    from training_material.drumming import drum_folder

    n_drummed = drum_folder(
        options.one_shots,
        options.midi,
        options.loops,
        options.corpus / options.collection,
        seed=options.seed,
        max_seconds=options.max_seconds,
    )
    print(n_drummed, "songs")


def _add_drum(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, help="folder of .mid files with drum parts")
    parser.add_argument(
        "--one-shots", type=Path, required=True, help="folder of .flac recordings, named as in Sonic Pi"
    )
    parser.add_argument("--loops", type=Path, nargs="*", default=[], help="recordings of loops, which are repeated")
    add_generated(parser, collection="drums", seconds=60.0, option="--max-seconds")


def _band(options: argparse.Namespace) -> None:
    from training_material.band.kit import read_kit, read_performances
    from training_material.band.songs import BandInstruments, play_songs
    from training_material.band.strings import instruments_named, read_instruments

    samples: Path = options.samples
    performances = read_performances(
        samples / "groove-midi", is_evaluation=options.evaluation_session, shortest_seconds=options.shortest_performance
    )
    band = BandInstruments(
        kit=read_kit(samples / "muldjord-kit", samples / "groove-midi" / "notes.csv"),
        performances=performances,
        basses=instruments_named(read_instruments(samples / "basses"), options.basses),
        guitars=instruments_named(read_instruments(samples / "guitars"), options.guitars),
        sound_fonts=options.sound_fonts,
    )
    n_played = play_songs(
        band,
        options.midi,
        options.corpus / options.collection,
        seed=options.seed,
        songs=_numbers(options),
        max_seconds=options.max_seconds,
    )
    print(n_played, "songs")


def _add_band(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, help="folder of .mid files with the other parts")
    parser.add_argument(
        "--samples", type=Path, required=True, help="folder of groove-midi, muldjord-kit, basses and guitars"
    )
    parser.add_argument(
        "--sound-fonts",
        type=Path,
        nargs="+",
        required=True,
        help="sound fonts for all other parts",
    )
    parser.add_argument("--basses", nargs="+", required=True, help="names of instruments in basses/notes.csv")
    parser.add_argument("--guitars", nargs="+", required=True, help="names of instruments in guitars/notes.csv")
    parser.add_argument(
        "--evaluation-session",
        action="store_true",
        help="use drums of the evaluation session, not of the training split",
    )
    parser.add_argument("--shortest-performance", type=float, default=20.0, help="minimum seconds of drums")
    _add_numbers(parser)
    add_generated(parser, collection="band", seconds=100.0, option="--max-seconds")


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of the songs to make."""
    parser.add_argument("--songs", type=int, default=100, help="number of songs")
    parser.add_argument("--first", type=int, default=0, help="number of the first song")


def _numbers(options: argparse.Namespace) -> range:
    return range(options.first, options.first + options.songs)


def _synthesise(options: argparse.Namespace) -> None:
    from training_material.synthesiser.songs import synthesise_songs

    n_written = synthesise_songs(
        options.midi,
        options.corpus / options.collection,
        seed=options.seed,
        songs=_numbers(options),
        max_seconds=options.max_seconds,
    )
    print(n_written, "songs")


def _add_synthesise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("midi", type=Path, nargs="+", help="folders of .mid files")
    _add_numbers(parser)
    add_generated(parser, collection="synths", seconds=60.0, option="--max-seconds")


def _stretch(options: argparse.Namespace) -> None:
    from training.augment.offline import plan_copies, write_copies
    from training.data.songs import read_collection

    collection = read_collection(options.songs)
    copies = plan_copies(collection, options.out, semitones=options.semitones, tempo_percent=options.tempo_percent)
    n_written = write_copies(copies, n_processes=options.processes)
    print(f"{n_written} stems written, {len(copies) - n_written} existed")


def _add_stretch(parser: argparse.ArgumentParser) -> None:
    from training.augment.offline import SEMITONES, TEMPO_PERCENT

    parser.add_argument("songs", type=Path, help="a folder of song folders")
    parser.add_argument("--out", type=Path, required=True, help="output folder of <name>_p=<semitones>_t=<per cent>")
    parser.add_argument("--semitones", type=int, nargs="+", default=list(SEMITONES))
    parser.add_argument("--tempo-percent", type=int, nargs="+", default=list(TEMPO_PERCENT))
    parser.add_argument("--processes", type=int, default=PROCESSES)


STAGES = (
    TrainingCommand("decode", "decode songs into a corpus of raw stems", _add_decode, _decode),
    TrainingCommand("render", "render MIDI songs into the corpus", _add_render, _render),
    TrainingCommand("sing", "sing MIDI melodies with recorded syllables", _add_sing, _sing),
    TrainingCommand("drum", "play the drums of MIDI songs with recorded one-shots", _add_drum, _drum),
    TrainingCommand("band", "play songs with recorded drums, basses and guitars", _add_band, _band),
    TrainingCommand(
        "synthesise", "play MIDI songs with synthesised basses, drums and pads", _add_synthesise, _synthesise
    ),
    TrainingCommand("stretch", "write copies of songs at other pitches and tempi", _add_stretch, _stretch),
)

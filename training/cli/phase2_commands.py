"""Subcommands for trained networks: the Mixer, blend weights and scores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.cli.command import TrainingCommand, add_models

if TYPE_CHECKING:
    from training.phase2.mixer import MixerSettings
    from training.phase2.separated import SeparatedSong


def _row(name: str, values: dict[str, float], *, digits: int = 2) -> str:
    cells = "  ".join(f"{source} {value:6.{digits}f}" for source, value in values.items())
    return f"{name:<28} {cells}  mean {sum(values.values()) / len(values):6.{digits}f}"


def _difference(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {source: first[source] - second[source] for source in first}


def _mixer(options: argparse.Namespace) -> None:
    from training.data.songs import require_song
    from training.phase2.mixer import MixerSettings, divided
    from training.phase2.separated import network_predictor, separate_songs
    from training.settings.files import load

    settings = load(MixerSettings, "mixer", options.overrides)
    predictor = network_predictor(options.models_dir, options.family)
    songs = [require_song(folder) for folder in options.songs]
    divided(songs, settings, needs_held_out=options.compare)  # fails before hours of separation
    separated = list(separate_songs(predictor, songs, window_samples=settings.window_samples))
    if options.compare:
        _compare(separated, settings)
    else:
        _fit_and_save(separated, settings, options)


def _compare(separated: Sequence[SeparatedSong], settings: MixerSettings) -> None:
    from training.phase2.comparison import compare

    methods = compare(separated, settings)
    print(f"fitted to {', '.join(methods.fitted)}; global SDR in dB over {', '.join(methods.scored)}, then gains in dB")
    without = methods.without
    for method in (without, methods.published, methods.converged, methods.closed_form, methods.ridge):
        values = method.sdr_db if method is without else _difference(method.sdr_db, without.sdr_db)
        print(_row(method.name, values, digits=3), f" error {100.0 * method.excess:7.3f} % above the minimum")
    print(f"converged RMSprop and the closed form differ by {methods.disagreement_db:.4f} dB at most")


def _fit_and_save(separated: Sequence[SeparatedSong], settings: MixerSettings, options: argparse.Namespace) -> None:
    from training.export.manifest import record_mixer
    from training.phase2.mixer import fit, save_mixer

    fitted = fit(separated, settings)
    scored = "held-out songs" if fitted.is_held_out else "the songs it was fitted to"
    ridge = "" if fitted.ridge is None else f", ridge {fitted.ridge:g} by cross-validation"
    print(f"{settings.method}{ridge}; global SDR in dB over {len(fitted.scored)} {scored}")
    print(_row("without Mixer", fitted.without_db))
    print(_row("with Mixer", fitted.with_db))
    print(_row("gain", _difference(fitted.with_db, fitted.without_db)))
    path = options.models_dir / options.family / "mixer.ckpt"
    save_mixer(fitted.matrix, path)
    record_mixer(options.models_dir, options.family, path, licence=settings.licence)
    print(path)


def _add_mixer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="song folders with the four stems")
    parser.add_argument("--family", default="starter", help="networks <family>/<source> of the models folder")
    parser.add_argument(
        "--compare", action="store_true", help="print the gain of every method on held-out songs; write no Mixer"
    )
    add_models(parser)


def _blend(options: argparse.Namespace) -> None:
    from my_submission.stems import MUSIC_SOURCES
    from training.data.songs import require_song
    from training.phase2.blending import BlendStatistics, choose_shares

    statistics: dict[str, list[BlendStatistics]] = {source: [] for source in MUSIC_SOURCES}
    for folder in sorted(path for path in options.references.iterdir() if path.is_dir()):
        reference, first, second = (
            require_song(root / folder.name) for root in (options.references, options.first, options.second)
        )
        for source in MUSIC_SOURCES:
            n_samples = reference.n_samples
            waves = [song.window(source, 0, n_samples) for song in (first, second, reference)]
            statistics[source].append(BlendStatistics.of(*waves))
    for source, choice in choose_shares(statistics).items():
        print(
            f"{source:<8} share of the first {choice.share:.3f}  held-out {choice.held_out_sdr_db:6.2f} dB  "
            f"first alone {choice.first_sdr_db:6.2f} dB  second alone {choice.second_sdr_db:6.2f} dB"
        )


def _add_blend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("references", type=Path, help="folder of the true stems, <song>/<source>.wav")
    parser.add_argument("first", type=Path, help="folder of the same songs separated by the first system")
    parser.add_argument("second", type=Path, help="folder of the same songs separated by the second system")


def _score(options: argparse.Namespace) -> None:
    import numpy as np

    from my_submission.stems import MUSIC_SOURCES
    from my_submission.weights import ModelsFolder, read_state_dict
    from training.data.songs import require_song
    from training.phase2.separated import estimates_of, network_predictor
    from training.phase2.statistics import moments, unchanged

    predictor = network_predictor(options.models_dir, options.family)
    folder = ModelsFolder(options.models_dir)
    mixer_name = f"{options.family}/mixer"
    has_mixer = any(artefact.name == mixer_name for artefact in folder.artefacts)
    matrix = np.asarray(read_state_dict(folder.require(mixer_name))["linear.weight"]) if has_mixer else None
    quarter = np.zeros_like(unchanged())
    quarter[:, -2:] = np.tile(np.eye(2) / len(MUSIC_SOURCES), (len(MUSIC_SOURCES), 1))
    for path in options.songs:
        stems = require_song(path).stacked()
        song = moments(estimates_of(predictor, stems), stems)
        print(_row(f"{path.name}: mixture/4", song.sdr(quarter)))
        print(_row(f"{path.name}: networks", song.sdr(unchanged())))
        if matrix is not None:
            print(_row(f"{path.name}: with Mixer", song.sdr(matrix)))


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="song folders with the four stems")
    parser.add_argument("--family", default="starter", help="networks <family>/<source> of the models folder")
    add_models(parser)


def _accompaniments(options: argparse.Namespace) -> None:
    from training.data.songs import require_song
    from training.phase2.accompaniments import Separator, joint_separator, means, score, third
    from training.phase2.separated import network_predictor

    separators: dict[str, Separator] = {"a third": third}
    for family in options.families:
        separators[family] = network_predictor(options.models_dir, family).separate
    for graph in options.graphs:
        separators[str(graph)] = joint_separator(graph)
    found = [each for path in options.songs for each in score(require_song(path), separators)]
    for each in [*found, *means(found)]:
        cells = "  ".join(f"{source} {value:6.2f}" for source, value in each.sdr_db.items())
        print(f"{each.song}: {each.system:<28} {cells}  mean {each.mean_db:6.2f}")


def _add_accompaniments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", type=Path, nargs="+", help="song folders; vocals are not used")
    parser.add_argument("--graphs", type=Path, nargs="*", default=[], help="graphs of joint networks")
    parser.add_argument("--families", nargs="*", default=[], help="networks <family>/<source> of the models folder")
    add_models(parser)


STAGES = (
    TrainingCommand("mixer", "fit the Mixer of a family of networks", _add_mixer, _mixer, has_settings=True),
    TrainingCommand("blend", "fit the blend weights of two systems", _add_blend, _blend),
    TrainingCommand("score", "global SDR of a family of networks on songs", _add_score, _score),
    TrainingCommand("score-accompaniments", "global SDR on songs without vocals", _add_accompaniments, _accompaniments),
)

"""Published settings of every training configuration, beside ours, as tables.

``python -m tests.training.published_recipes docs/recipes.md`` renews the tables of the page; a test compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from my_submission.geometry import SAMPLE_RATE
from training.data.songs import SongCollection, TrainingSong
from training.data.stems import StemFile
from training.examples.loading import RunData, epoch_steps
from training.experiment import Experiment
from training.modules.registry import load_experiment
from training.optimisation.optimisers import Plateau

SONG_SECONDS = 248
"""Mean length of the songs of MUSDB18-HQ's training set; songs of DnR have 60 s."""

UNKNOWN = "?"
"""Published nowhere."""

NEVER = 1_000_000
"""Patience in epochs from which on a run is not ended."""


@dataclass(frozen=True)
class Row:
    """A setting: how ours reads, its published value for each configuration, and where that is found."""

    name: str
    ours: Callable[[Experiment], object]
    published: Sequence[object]
    source: str

    def values(self, n: int) -> list[str]:
        """Published values; a single one is that of all ``n`` configurations."""
        values = [str(value) for value in self.published]
        return values * n if len(values) == 1 else values


@dataclass(frozen=True)
class Family:
    """Configurations of one publication; ``devices`` and ``n_songs`` are those of the published runs."""

    title: str
    sources: str
    configs: Sequence[str]
    devices: Sequence[int]
    n_songs: Sequence[int]
    rows: Sequence[Row]


def shares(experiment: Experiment) -> str:
    """Windows per device and step, with the number of parts: ``3+3+2`` or ``4x3 + ...``."""
    split = experiment.batch_split
    sizes = [sum(len(part) for part in split.parts(0, rank)) for rank in range(split.world_size)]
    text = "+".join(map(str, sizes)) if len(set(sizes)) > 1 else f"{len(sizes)} × {sizes[0]}"
    return text if split.n_parts == 1 else f"{text} in {split.n_parts} parts"


def songs_of_mean_length(n_songs: int) -> SongCollection:
    """A collection of songs that all have the mean length; their files are never read."""
    stem = StemFile("song", "bass", Path("song.npy"), SONG_SECONDS * SAMPLE_RATE)
    return SongCollection("train", tuple(TrainingSong(str(number), {"bass": stem}) for number in range(n_songs)))


def patience(experiment: Experiment) -> str:
    """Epochs without improvement before the end."""
    epochs = experiment.validation.patience
    return "never ends" if epochs is None or epochs >= NEVER else str(epochs)


def plateau(experiment: Experiment) -> str:
    """Factor and patience of a plateau schedule."""
    schedule = experiment.schedule
    return f"× {schedule.shrink:g} after {schedule.patience}" if isinstance(schedule, Plateau) else "constant"


def effects(experiment: Experiment) -> str:
    """Effects in order, with their probabilities."""
    augment = experiment.augment
    listed = (*augment.effects, *augment.mixture_effects, *augment.final_effects)
    return ", ".join(f"{effect.kind} {effect.probability:g}" for effect in listed) or "none"


KUIELAB = Family(
    "KUIELAB-MDX-Net",
    "kuielab/mdx-net, branches Leaderboard_A and Leaderboard_B",
    [f"kuielab-{board}/{source}" for board in "ab" for source in ("bass", "drums", "other", "vocals")],
    devices=(3, 2, 2, 4, 2, 2, 2, 2),
    n_songs=(86,) * 4 + (95, 145, 145, 145),
    rows=[
        Row("n_fft", lambda e: e.transform.n_fft, (16384, 4096, 8192, 6144) * 2, "configs/model"),
        Row("frames", lambda e: e.transform.frames, (256,) * 5 + (128, 256, 256), "configs/model"),
        Row("blocks", lambda e: getattr(e.network, "depth", ""), (11,) * 5 + (9, 11, 11), "configs/model"),
        Row("loss", lambda e: e.loss, ["mse"], "src/models/mdxnet.py (the paper says L1)"),
        Row("optimiser", lambda e: e.optimiser.kind, ["rmsprop"], "configs/model"),
        Row(
            "rate",
            lambda e: f"{e.optimiser.learning_rate:g}",
            ("0.0001",) * 3 + ("0.0002",) + ("0.0001",) * 4,
            "configs/model",
        ),
        Row("schedule", plateau, ["constant"], "src/models/mdxnet.py"),
        Row("batch", lambda e: e.data.batch, (8, 8, 8, 16, 8, 8, 8, 8), "configs/experiment/multigpu_*"),
        Row(
            "windows per device",
            shares,
            ("3+3+2", "2 × 4", "2 × 4", "4 × 4") + ("2 × 4",) * 4,
            "configs/experiment/multigpu_* (dp)",
        ),
        Row("precision", lambda e: e.run.precision, ["16-mixed"], "configs/trainer"),
        Row("epochs", lambda e: e.run.epochs, (3000,) * 4 + (1_000_000,) * 4, "configs/experiment"),
        Row("seed", lambda e: e.seed, [2021], "configs/experiment"),
        Row("deterministic", lambda e: e.run.deterministic, [True], "configs/trainer"),
        Row("validation every", lambda e: e.validation.every_epochs, [10], "configs/trainer"),
        Row("patience, epochs", patience, ("500",) * 4 + ("never ends",) * 4, "configs/callbacks (50 validations)"),
        Row("min_delta, dB", lambda e: e.validation.min_delta_db, [0.05], "configs/callbacks"),
        Row("kept checkpoints", lambda e: e.validation.keep_best, [5], "configs/callbacks"),
        Row(
            "songs held out",
            lambda e: len(e.data.held_out_songs),
            (14,) * 4 + (5,) * 4,
            "configs/datamodule (README of B: 14)",
        ),
        Row("initial weights", lambda e: "torch's", ["torch's"], "src/models/modules.py"),
    ],
)
CONDITIONED = Family(
    "LaSAFT, LightSAFT, LASAFT-Net-v2",
    "the commands of the READMEs, ws-choi/Conditioned-Source-Separation-LaSAFT, ws-choi/LASAFT-Net-v2 (conf/)",
    [
        f"lasaft/{name}"
        for name in (
            "v1",
            "v1-large",
            "lightsaft",
            "lightsaft4dmx",
            "lightsaft4dmx-medium",
            "v2",
            "v2-light",
            "v2-large",
        )
    ],
    devices=(1, 1, 4, 4, 4, 1, 4, 4),
    n_songs=(86,) * 8,
    rows=[
        Row("n_fft", lambda e: e.transform.n_fft, (2048, 4096, 2048, 2048, 2048, 2048, 2048, 4096), "model"),
        Row("frames", lambda e: e.transform.frames, (128, 128, 256, 128, 256, 128, 128, 128), "model"),
        Row("loss", lambda e: e.loss, ["spectrum-mse"], "train_loss: spec_mse"),
        Row("monitor", lambda e: e.validation.monitor, ["l1"], "val_loss: raw_l1, a mean over chunks"),
        Row("optimiser", lambda e: e.optimiser.kind, ["adam"], "model"),
        Row(
            "rate",
            lambda e: f"{e.optimiser.learning_rate:g}",
            ("0.001", "0.0001", "0.0005", "0.002", "0.001", "0.0005", "0.0005", "0.0002"),
            "pretrained/…/config.yaml (conf/ says 0.0001 for v2-large)",
        ),
        Row("schedule", plateau, ("constant", "× 0.5 after 50") + ("constant",) * 6, "load_pretrained_nets.py"),
        Row("batch", lambda e: e.data.batch, (8, UNKNOWN, 64, 64, 64, 8, 48, 16), "per device × devices (ddp)"),
        Row(
            "windows per device",
            shares,
            ("1 × 8", UNKNOWN) + ("4 × 16",) * 3 + ("1 × 8", "4 × 12", "4 × 4"),
            "exp, README's command",
        ),
        Row(
            "batch norms",
            lambda e: "of all devices" if e.run.sync_batchnorm else "of each",
            ("of each", UNKNOWN) + ("of all devices",) * 3 + ("of each", "of all devices", "of all devices"),
            "trainer, README's command",
        ),
        Row("precision", lambda e: e.run.precision, ["16-mixed"], "trainer, README's command"),
        Row("epochs", lambda e: e.run.epochs, [1000], "Lightning's default"),
        Row("at least", lambda e: e.run.min_epochs or 1, (100, UNKNOWN) + (1,) * 6, "README's command"),
        Row(
            "seed",
            lambda e: e.seed,
            (2020, 2020, 2021, 2021, 2021, UNKNOWN, UNKNOWN, 2021),
            "READMEs' commands, names of the files",
        ),
        Row(
            "deterministic",
            lambda e: e.run.deterministic,
            (False, UNKNOWN, True, True, True, True, False, True),
            "exp, README's command",
        ),
        Row("validation every", lambda e: e.validation.every_epochs, (1,) * 5 + (10,) * 3, "exp, README's command"),
        Row(
            "patience, epochs",
            patience,
            ("50", UNKNOWN) + ("never ends",) * 3 + ("3000",) * 3,
            "callbacks, README's command (300 validations)",
        ),
        Row("min_delta", lambda e: e.validation.min_delta_l1, (0.0,) * 5 + (0.05,) * 3, "callbacks, README's command"),
        Row(
            "kept checkpoints", lambda e: e.validation.keep_best, (3, UNKNOWN) + (5,) * 6, "callbacks, README's command"
        ),
        Row("songs held out", lambda e: len(e.data.held_out_songs), [14], "package musdb"),
        Row(
            "initial weights",
            lambda e: getattr(e.network, "init", ""),
            ("last_activation",) * 5 + ("kaiming",) * 3,
            "weight_initialization.py, abstract_framework.py",
        ),
        Row(
            "linear bias",
            lambda e: getattr(e.network, "tfc_tdf_bias", ""),
            ("True",) + (False,) * 7,
            "README's command; the checkpoints have none",
        ),
    ],
)
GAINS = "gain 1, flip 0.5, swap 0.5"
CHAIN = (
    "parametric-equaliser 0.3, distortion 0.03, delay 0.03, chorus 0.03, phaser 0.03, compressor 0.3, reverb 0.3, "
    "widen 0.3, limiter 0.3, volume-automation 0.3, loudness 0.3, gain 0.3, flip 0.3, swap 0.3, speed-perturb 0.3, "
    "random-pitch 0.3"
)
AIMLESS = Family(
    "AIMLESS",
    "aim-qmul/sdx23-aimless, cfg/",
    [
        f"aimless/{name}"
        for name in (
            "cdx-hdemucs",
            "cdx-bsrnn",
            "mdx-hdemucs",
            "mdx-hdemucs-final",
            "xumx",
            "demucs-split",
            "hdemucs",
            "speech-enhance",
        )
    ],
    devices=(4,) * 8,
    n_songs=(3893, 3893, 44, 44, 100, 100, 100, 0),
    rows=[
        Row("window, s", lambda e: e.data.window_seconds, (6.0, 3.0, 10.0, 10.0, 6.0, 10.0, 10.0, 6.0), "seq_duration"),
        Row(
            "windows per song",
            lambda e: e.data.windows_per_song,
            (144, 144, 144, 144, 64, 150, 500, 64),
            "samples_per_track",
        ),
        Row(
            "loss",
            lambda e: e.loss,
            ("negative-sdr", "masking", "negative-sdr", "negative-sdr", "combination", "l1", "l1", "l1"),
            "criterion",
        ),
        Row("optimiser", lambda e: e.optimiser.kind, ["adam"], "optimizer"),
        Row(
            "rate",
            lambda e: f"{e.optimiser.learning_rate:g}",
            ("0.0003",) * 3 + ("0.0001",) * 2 + ("0.0003",) * 3,
            "optimizer (README of the final phase: 0.001)",
        ),
        Row(
            "weight decay",
            lambda e: f"{getattr(e.optimiser, 'weight_decay', 0.0):g}",
            ("0",) * 4 + ("1e-05", "0", "0", "0"),
            "optimizer",
        ),
        Row(
            "batch",
            lambda e: e.data.batch,
            (48, 64, 48, 768, 16, 16, 16, 32),
            "batch_size × accumulate_grad_batches × 4 devices",
        ),
        Row(
            "windows per device",
            shares,
            (
                "4 × 12 in 4 parts",
                "4 × 16",
                "4 × 12 in 4 parts",
                "4 × 192 in 64 parts",
                "4 × 4",
                "4 × 4",
                "4 × 4",
                "4 × 8",
            ),
            "as above",
        ),
        Row(
            "batch norms",
            lambda e: "of all devices" if e.run.sync_batchnorm else "of each",
            ("of each",) * 4 + ("of all devices",) * 4,
            "sync_batchnorm",
        ),
        Row("precision", lambda e: e.run.precision, ("32-true",) * 5 + ("16-mixed", "32-true", "32-true"), "precision"),
        Row("TF32 products", lambda e: e.run.tf32, [True], "main.py: medium"),
        Row(
            "epochs",
            lambda e: "steps" if e.run.epoch_steps else e.run.epochs,
            ("steps", "steps", 600, 200, 1000, 1000, 1000, 1000),
            "max_epochs; README: 800, the last 200 final",
        ),
        Row(
            "steps", lambda e: (e.run.epoch_steps or 0) * e.run.epochs, (30_000, 99_000, 0, 0, 0, 0, 0, 0), "max_steps"
        ),
        Row("seed", lambda e: e.seed, (2434, 2434, 45, 45) + ("random",) * 4, "seed_everything"),
        Row("deterministic", lambda e: e.run.deterministic, [False], "deterministic"),
        Row(
            "validation every",
            lambda e: e.validation.every_epochs,
            (UNKNOWN, UNKNOWN, 10, 10, 1, 1, 1, 1),
            "check_val_every_n_epoch (cdx: none)",
        ),
        Row(
            "on training songs",
            lambda e: e.validation.on_training_songs,
            (False, False, True, True) + (False,) * 4,
            "data.lightning.LabelNoise",
        ),
        Row("songs held out", lambda e: len(e.data.held_out_songs), [0], "data.lightning"),
        Row(
            "one split per mixture",
            lambda e: e.augment.one_collection,
            (True, True) + (False,) * 6,
            "data.lightning.DnR",
        ),
        Row(
            "weights kept every",
            lambda e: (e.run.epoch_steps or 0) * (e.run.keep_every_epochs or 0),
            (2000, 1000) + (0,) * 6,
            "every_n_train_steps",
        ),
        Row("chance of effects", lambda e: e.augment.probability_scale, (1.0, 1.0, 1.0, 1.666) + (1.0,) * 4, "README"),
        Row(
            "effects",
            effects,
            (
                f"{GAINS}, speed-perturb 0.3, random-pitch 0.3",
                f"{GAINS}, speed-perturb 0.2, random-pitch 0.2",
                CHAIN,
                CHAIN,
                f"{GAINS}, limit-aug 1, speed-perturb 0.2, random-pitch 0.2",
                f"{GAINS}, limit-aug 1",
                "parametric-equaliser 0.7, distortion 0.01, delay 0.02, chorus 0.01, phaser 0.01, compressor 0.5, "
                "reverb 0.2, widen 0.3, limiter 0.1, volume-automation 0.1, loudness 1, speed-perturb 0.2, "
                "random-pitch 0.2",
                "signal-to-noise 1, speed-perturb 0.2, random-pitch 0.2",
            ),
            "transforms",
        ),
    ],
)
FAMILIES = (KUIELAB, CONDITIONED, AIMLESS)

DEPARTURES = {
    ("lasaft/v1", "linear bias"): "the published checkpoints have none",
    **{(f"aimless/{name}", "seed"): "any" for name in ("xumx", "demucs-split", "hdemucs", "speech-enhance")},
}
"""Settings that differ from the published ones, each with the reason."""

BEGIN, END = "<!-- tables: python -m tests.training.published_recipes docs/recipes.md -->\n", "<!-- end of tables -->\n"
MAX_CELL = 80
"""Longer values are listed below their table."""


@cache
def experiment_on(name: str, devices: int) -> Experiment:
    """A configuration on a number of devices."""
    return load_experiment(name, [f"run.devices={devices}"])


def experiments(family: Family) -> list[Experiment]:
    """Configurations on the devices of the published runs."""
    return [experiment_on(name, devices) for name, devices in zip(family.configs, family.devices, strict=True)]


def compared(family: Family, row: Row) -> list[tuple[str, str, str]]:
    """A setting of every configuration of a family: configuration, our value, published value."""
    ours = [str(row.ours(experiment)) for experiment in experiments(family)]
    return list(zip(family.configs, ours, row.values(len(ours)), strict=True))


def tables() -> str:
    """All settings as Markdown tables, one per family."""
    parts = []
    for family in FAMILIES:
        names = [
            name.partition("/")[2] if family is not KUIELAB else name[len("kuielab-") :] for name in family.configs
        ]
        steps = [
            epoch_steps(experiment, RunData([songs_of_mean_length(n)], [])) if n else "–"
            for experiment, n in zip(experiments(family), family.n_songs, strict=True)
        ]
        lines = [
            f"## {family.title}\n",
            f"Sources: {family.sources}.\n",
            f"| setting | {' | '.join(names)} | source |",
            f"|---|{'---|' * len(names)}---|",
        ]
        long = []
        for row in family.rows:
            cells = [_cell(row.name, *entry) for entry in compared(family, row)]
            if max(map(len, cells)) > MAX_CELL:
                long += [f"* **{row.name}** of {name}: {cell}." for name, cell in zip(names, cells, strict=True)]
            else:
                lines.append(f"| {row.name} | {' | '.join(cells)} | {row.source} |")
        lines.append(f"| songs trained on | {' | '.join(str(n or '–') for n in family.n_songs)} | data |")
        lines.append(f"| steps per epoch | {' | '.join(map(str, steps))} | of songs of {SONG_SECONDS} s |")
        parts.append("\n".join([*lines, "", *long]).rstrip() + "\n")
    return "\n".join(parts)


def _cell(setting: str, config: str, ours: str, published: str) -> str:
    if published == UNKNOWN:
        return f"{ours} (not published)"
    if ours == published:
        return ours
    reason = DEPARTURES.get((config, setting), "")
    return f"{ours} (published: {published}; {reason})" if reason else f"{ours} (published: {published})"


def page_with_tables(page: str) -> str:
    """Return the page with new tables between its marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + tables() + END + rest.partition(END)[2]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page_with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")

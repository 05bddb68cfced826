"""Dialogue spoken by speech synthesisers or put together from recorded utterances, with pauses as people make them."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from my_submission.errors import InputError, MdxError
from my_submission.geometry import SAMPLE_RATE
from training.data.stems import SPOOL_SUFFIX, write_stem
from training.programs import run
from training_material.recordings import Mono, at_speed, read_mono, recordings_in

logger = logging.getLogger(__name__)

COMMANDS = {
    "flite": ("flite", "-voice", "{voice}", "-t", "{text}", "-o", "{wav}"),
    "espeak-ng": ("espeak-ng", "-v", "{voice}", "-s", "{words_a_minute}", "-w", "{wav}", "{text}"),
    "festival": ("text2wave", "-eval", "(voice_{voice})", "-o", "{wav}", "{text_file}"),
}
"""What speaks a sentence into a WAV file, by the engine's name."""

WORDS_A_MINUTE = (130, 210)
SPEED_DEVIATION = 0.06
"""Standard deviation of a speaker's pitch, and tract with it, as a share."""

PAUSE_SECONDS = 0.7
"""Mean of the pauses between sentences; they are drawn from an exponential distribution."""

LONG_PAUSE_CHANCE = 0.12
LONG_PAUSE_SECONDS = 5.0
TURN_CHANCE = 0.35
"""How often the other one of two speakers goes on."""

SPEAKER_RMS = 0.08
LEVEL_DEVIATION_DB = 2.0
PEAK = 0.95
SENTENCE_LENGTHS = range(12, 240)

Voice = Callable[[np.random.Generator], Mono]
"""A new utterance every time it is called, mono at 44.1 kHz."""


@dataclass(frozen=True)
class SynthesisedVoice:
    """A voice of an engine; it speaks a random sentence."""

    engine: str
    name: str
    sentences: Sequence[str]

    def __call__(self, rng: np.random.Generator) -> Mono:
        """The next utterance.

        Raises:
            MdxError: the engine fails.
        """
        text = self.sentences[int(rng.integers(len(self.sentences)))]
        with tempfile.TemporaryDirectory() as scratch:
            wav, text_file = Path(scratch) / "spoken.wav", Path(scratch) / "text"
            text_file.write_text(text, encoding="utf-8")
            pace = str(int(rng.integers(*WORDS_A_MINUTE)))
            words = {"voice": self.name, "text": text, "text_file": text_file, "wav": wav, "words_a_minute": pace}
            command = [part.format(**words) for part in COMMANDS[self.engine]]
            run(command, where=f"{self.engine}:{self.name}")
            if not wav.is_file():
                raise MdxError(f"{self.engine} wrote nothing", where=f"{self.engine}:{self.name}")
            return read_mono(wav)


@dataclass(frozen=True)
class RecordedVoice:
    """The recordings of one speaker, in random order."""

    recordings: Sequence[Path]

    def __call__(self, rng: np.random.Generator) -> Mono:
        """The next utterance."""
        return read_mono(self.recordings[int(rng.integers(len(self.recordings)))])


def voice_of(description: str, sentences: Sequence[str]) -> Voice:
    """A voice by ``engine:name``, or from a folder of recordings.

    Raises:
        InputError: there is no such folder or engine, or the engine is not installed.
    """
    engine, colon, name = description.partition(":")
    if not colon:
        return RecordedVoice(recordings_in(Path(description)))
    if engine not in COMMANDS:
        raise InputError(
            f"{engine!r} is no speech engine", hint=f"use {', '.join(COMMANDS)}, or a folder of recordings"
        )
    if shutil.which(COMMANDS[engine][0]) is None:
        raise InputError(f"the program {COMMANDS[engine][0]} is not installed", hint=f"install it ({engine})")
    if not sentences:
        raise InputError(f"there is no text for {description} to speak", hint="name a text file with --text")
    return SynthesisedVoice(engine, name, sentences)


def sentences_of(texts: Sequence[Path]) -> list[str]:
    """Sentences of a speakable length in plain text files, stripped of what is no word.

    Raises:
        InputError: a file is no text.
    """
    found = []
    for path in texts:
        try:
            text = " ".join(path.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"is no readable text ({error})", where=path, hint="name a UTF-8 text file") from error
        for sentence in re.split(r"(?<=[.!?;:])\s+", text):
            spoken = re.sub(r"[^\w,.;:!?' -]|_", "", sentence).strip()
            if len(spoken) in SENTENCE_LENGTHS:
                found.append(spoken)
    return found


def dialogue(rng: np.random.Generator, n_samples: int, voices: Sequence[Voice]) -> Mono:
    """One or two speakers taking turns; mono, because dialogue is in the middle."""
    chosen = rng.permutation(len(voices))[: int(rng.integers(1, 3))]
    speakers = [
        (voices[index], 1.0 + rng.normal(0.0, SPEED_DEVIATION), 10.0 ** (rng.normal(0.0, LEVEL_DEVIATION_DB) / 20.0))
        for index in chosen
    ]
    spoken = np.zeros(n_samples)
    at, turn = int(rng.exponential(PAUSE_SECONDS) * SAMPLE_RATE), 0
    while at < n_samples:
        voice, speed, gain = speakers[turn % len(speakers)]
        utterance = at_speed(voice(rng), speed)
        level = float(np.sqrt(np.mean(utterance**2))) if len(utterance) else 0.0
        if level > 0.0:
            utterance = utterance[: n_samples - at] * (SPEAKER_RMS * gain / level)
            spoken[at : at + len(utterance)] = utterance
        mean = LONG_PAUSE_SECONDS if rng.random() < LONG_PAUSE_CHANCE else PAUSE_SECONDS
        at += len(utterance) + max(1, int(rng.exponential(mean) * SAMPLE_RATE))
        turn += rng.random() < TURN_CHANCE
    return spoken


def write_dialogues(voices: Sequence[Voice], collection: Path, *, seed: int, n_dialogues: int, seconds: float) -> int:
    """Writes ``collection/dialogue-<n>/dialog.npy``; number n follows from the seed and n, and what is there is kept.

    Returns:
        Dialogues that are there now.

    Raises:
        InputError: there is no voice.
        MdxError: a speech engine fails.
    """
    if not voices:
        raise InputError("there is no voice", hint="name a voice, such as flite:slt, or a folder of recordings")
    n_there = 0
    for index in range(n_dialogues):
        folder = collection / f"dialogue-{index:03d}"
        is_there = (folder / f"dialog{SPOOL_SUFFIX}").is_file()
        if not is_there:
            spoken = dialogue(np.random.default_rng([seed, index]), int(seconds * SAMPLE_RATE), voices)
            spoken *= min(1.0, PEAK / max(1e-9, float(np.abs(spoken).max())))
            pcm = np.rint(spoken * 32_767).astype(np.int16)
            is_there = write_stem(folder, "dialog", np.stack((pcm, pcm), axis=1))
            logger.info("%s", folder.name)
        n_there += is_there
    return n_there

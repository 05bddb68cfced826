"""Synthetic dialogue: sentences of speech synthesisers or recorded utterances, with random pauses and turns."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from my_submission.errors import InputError, MdxError
from my_submission.geometry import SAMPLE_RATE
from training.data.stems import Pcm
from training.programs import require_program, run
from training_material.recordings import Mono, at_speed, read_mono, recordings_in
from training_material.stem_writer import write_missing

COMMANDS = {
    "flite": ("flite", "-voice", "{voice}", "-t", "{text}", "-o", "{wav}"),
    "espeak-ng": ("espeak-ng", "-v", "{voice}", "-s", "{words_per_minute}", "-w", "{wav}", "{text}"),
    "festival": ("text2wave", "-eval", "(voice_{voice})", "-o", "{wav}", "{text_file}"),
}
"""Command that speaks a sentence into a WAV file, per speech engine."""

WORDS_PER_MINUTE = (130, 210)
SPEED_DEVIATION = 0.06
"""Relative standard deviation of a speaker's speed, which shifts pitch and formants as well."""

PAUSE_SECONDS = 0.7
"""Mean of the exponentially distributed pauses between sentences."""

LONG_PAUSE_PROBABILITY = 0.12
LONG_PAUSE_SECONDS = 5.0
TURN_PROBABILITY = 0.35
"""Probability that the other of two speakers continues."""

SPEAKER_RMS = 0.08
LEVEL_DEVIATION_DB = 2.0
PEAK = 0.95
SENTENCE_LENGTHS = range(12, 240)

Voice = Callable[[np.random.Generator], Mono]
"""Returns a random utterance at every call, mono at 44.1 kHz."""


@dataclass(frozen=True)
class SynthesisedVoice:
    """A voice of a speech engine, which speaks random sentences."""

    engine: str
    name: str
    sentences: Sequence[str]

    def __call__(self, rng: np.random.Generator) -> Mono:
        """Return the next utterance.

        Raises:
            MdxError: the engine fails.
        """
        text = self.sentences[int(rng.integers(len(self.sentences)))]
        with tempfile.TemporaryDirectory() as scratch:
            wav, text_file = Path(scratch) / "spoken.wav", Path(scratch) / "text"
            text_file.write_text(text, encoding="utf-8")
            rate = str(int(rng.integers(*WORDS_PER_MINUTE)))
            values = {"voice": self.name, "text": text, "text_file": text_file, "wav": wav, "words_per_minute": rate}
            command = [part.format(**values) for part in COMMANDS[self.engine]]
            run(command, where=f"{self.engine}:{self.name}")
            if not wav.is_file():
                raise MdxError(f"{self.engine} wrote nothing", where=f"{self.engine}:{self.name}")
            return read_mono(wav)


@dataclass(frozen=True)
class RecordedVoice:
    """Recordings of one speaker, in random order."""

    recordings: Sequence[Path]

    def __call__(self, rng: np.random.Generator) -> Mono:
        """Return the next utterance."""
        return read_mono(self.recordings[int(rng.integers(len(self.recordings)))])


def voice_of(description: str, sentences: Sequence[str]) -> Voice:
    """Return the voice ``engine:name``, or the voice of a folder of recordings.

    Raises:
        InputError: the folder or engine does not exist, or the engine is not installed.
    """
    engine, colon, name = description.partition(":")
    if not colon:
        return RecordedVoice(recordings_in(Path(description)))
    if engine not in COMMANDS:
        raise InputError(
            f"{engine!r} is not a speech engine", hint=f"use {', '.join(COMMANDS)}, or a folder of recordings"
        )
    require_program(COMMANDS[engine][0], package=engine)
    if not sentences:
        raise InputError(f"there is no text for {description} to speak", hint="name a text file with --text")
    return SynthesisedVoice(engine, name, sentences)


def sentences_of(texts: Sequence[Path]) -> list[str]:
    """Return the sentences of plain text files, without symbols; very short and very long ones are left out.

    Raises:
        InputError: a file is not UTF-8 text.
    """
    found = []
    for path in texts:
        try:
            text = " ".join(path.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"is not readable text ({error})", where=path, hint="name a UTF-8 text file") from error
        for sentence in re.split(r"(?<=[.!?;:])\s+", text):
            spoken = re.sub(r"[^\w,.;:!?' -]|_", "", sentence).strip()
            if len(spoken) in SENTENCE_LENGTHS:
                found.append(spoken)
    return found


def dialogue(rng: np.random.Generator, n_samples: int, voices: Sequence[Voice]) -> Mono:
    """Return one or two speakers taking turns, ``(n_samples,)``; mono, because film dialogue is in the centre."""
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
        mean = LONG_PAUSE_SECONDS if rng.random() < LONG_PAUSE_PROBABILITY else PAUSE_SECONDS
        at += len(utterance) + max(1, int(rng.exponential(mean) * SAMPLE_RATE))
        turn += rng.random() < TURN_PROBABILITY
    return spoken


def write_dialogues(voices: Sequence[Voice], collection: Path, *, seed: int, n_dialogues: int, seconds: float) -> int:
    """Write ``collection/dialogue-<n>/dialog.npy``; number n depends only on the seed and n; existing ones are kept.

    Returns:
        Number of dialogues that exist now.

    Raises:
        InputError: there is no voice.
        MdxError: a speech engine fails.
    """
    if not voices:
        raise InputError("there is no voice", hint="name a voice, such as flite:slt, or a folder of recordings")

    def make(index: int) -> Pcm:
        spoken = dialogue(np.random.default_rng([seed, index]), int(seconds * SAMPLE_RATE), voices)
        spoken *= min(1.0, PEAK / max(1e-9, float(np.abs(spoken).max())))
        pcm = np.rint(spoken * 32_767).astype(np.int16)
        return np.stack((pcm, pcm), axis=1)

    return sum(
        write_missing(collection / f"dialogue-{index:03d}", "dialog", partial(make, index))
        for index in range(n_dialogues)
    )

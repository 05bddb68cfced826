"""Changes of windows: pure functions of a waveform and a generator of random numbers, with their probabilities."""

from training.augment import levels, limiting, pedals, room, timing, tone, vocoder  # noqa: F401  every kind of effect registers itself

"""Random effects on training windows: pure functions of a waveform and a random number generator."""

from training.augment import equaliser, levels, limiting, pedals, room, timing, tone, vocoder  # noqa: F401  every kind of effect registers itself

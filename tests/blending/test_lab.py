"""The Mixer and the filter over a blend: found where they are known, written where they gain, applied as written."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from my_submission.audio_io import MemoryStore, mixture_from_array
from my_submission.blending import BlendedBuffer, StemBlender
from my_submission.blending.lab import BlendFit, Block, fit_afterwards, fit_shares, products_of
from my_submission.documents import convert
from my_submission.mechanisms import MixerRecipe
from my_submission.planning import ChunkBuffer
from my_submission.systems.blend_entry import blend_entry

SOURCES = ["bass", "vocals"]
SAMPLES = 6_000
LEAK = np.array([[1.1, 0.2, -0.3, 0.0], [0.1, 0.9, 0.0, 0.2], [0.3, 0.0, 1.2, 0.1], [0.0, 0.3, -0.2, 0.8]])
"""Left and right of bass and vocals in the estimates, from those of the true stems."""


def block(seed: int, *, extra: float = 0.0, noise: float = 0.0, silent: int | None = None) -> Block:
    """A song of one block, whose estimates by two systems are equal and hold a known leak."""
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((2, 2, SAMPLES)).astype(np.float32)
    if silent is not None:
        true[silent] = 0
    made = (LEAK @ true.reshape(4, -1)).reshape(true.shape) + noise * rng.standard_normal(true.shape)
    estimates = dict(zip(SOURCES, made.astype(np.float32), strict=True))
    mixture = true.sum(axis=0) + extra * rng.standard_normal((2, SAMPLES))
    return Block(true, mixture.astype(np.float32), [estimates, estimates])


def fitted(songs: list[Block]) -> BlendFit:
    systems = {"one": SOURCES, "two": SOURCES}
    fits = fit_shares([products_of([song], SOURCES) for song in songs], systems)
    return BlendFit(fits, fit_afterwards([[song] for song in songs], fits, SOURCES), len(songs))


def test_a_known_mixer_is_found_and_written() -> None:
    """Of estimates with a known leak it is the inverse, to the strength of the ridge; the entry holds its numbers."""
    fit = fitted([block(seed, extra=1.0) for seed in range(4)])
    assert fit.afterwards.uses_mixer
    assert fit.afterwards.mixer_gain.low > 10
    made = fit.afterwards.mixer
    assert not fit.afterwards.uses_filter  # the songs are shorter than its transform
    np.testing.assert_allclose(made[:, :4], np.linalg.inv(LEAK), atol=0.02)
    np.testing.assert_allclose(made[:, 4:], 0, atol=0.02)  # the mixture holds more than the stems, and is no help
    (entry,) = tomllib.loads(blend_entry("mine", fit))["systems"]
    written = convert(MixerRecipe, entry["mixer"])
    assert written.sources == ("bass", "vocals")
    np.testing.assert_allclose(written.matrix, made, atol=5e-5)


def test_a_mixer_without_gain_is_not_written() -> None:
    """Estimates that miss by noise alone, from two short songs: nothing to undo."""
    rng = np.random.default_rng(9)
    songs = []
    for seed in range(3):
        song = block(seed, extra=3.0)
        exact = dict(zip(SOURCES, song.references, strict=True))
        noisy = {name: stem + rng.standard_normal(stem.shape).astype(np.float32) * 1e-3 for name, stem in exact.items()}
        songs.append(song._replace(estimates=[noisy, exact]))
    fit = fitted(songs)
    assert not fit.afterwards.uses_mixer
    assert "mixer" not in blend_entry("mine", fit)


def test_a_song_without_a_source_does_not_count_for_it() -> None:
    """Its error would be relative to nothing, and decide alone."""
    songs = [block(0), block(1), block(2, silent=0)]
    for song in songs[:2]:
        song.estimates[1] = {name: 0.1 * stem for name, stem in song.estimates[1].items()}
    songs[2].estimates[0] = {name: 10 * stem for name, stem in song.estimates[0].items()}
    fit = fitted(songs)
    assert [fit.sources[source].n_songs for source in SOURCES] == [2, 3]
    assert fit.sources["bass"].shares[0] > 0.85
    assert min(fit.sources["bass"].alone) > -5
    assert np.isfinite(fit.afterwards.mixer).all()


def test_the_mixer_of_a_blend_is_applied_where_all_of_it_is_there() -> None:
    """Whole where all estimates are, not at all where one is missing, and without a step between."""
    recipe = MixerRecipe(("bass", "vocals"), tuple(map(tuple, np.linalg.inv(LEAK) @ np.eye(4, 6))))
    samples = 20_000
    true = np.random.default_rng(0).standard_normal((2, 2, samples)).astype(np.float32)
    made = (LEAK @ true.reshape(4, -1)).reshape(true.shape).astype(np.float32)
    with mixture_from_array(true.sum(axis=0), 44_100) as mixture:
        buffers = []
        for stop in (samples, 12_000):
            stores = {source: MemoryStore(channels=2, samples=samples) for source in SOURCES}
            buffer = ChunkBuffer(stores, samples, fade_samples=1_000)
            for source, stem in zip(SOURCES, made, strict=True):
                buffer.write(source, 0, stem[:, :stop])
            buffers.append(BlendedBuffer(buffer, dict.fromkeys(SOURCES, 0.5)))
        blender = StemBlender(SOURCES, mixture, buffers, mixer=recipe.open())
        stems = blender.compose(0, samples)
    for source, exact, leaking in zip(SOURCES, true, made, strict=True):
        np.testing.assert_allclose(stems[source][:, :11_000], exact[:, :11_000], atol=1e-4)
        np.testing.assert_array_equal(stems[source][:, 12_000:], leaking[:, 12_000:])
        weight = np.arange(1_000, 0, -1) / 1_001
        faded = weight * exact[:, 11_000:12_000] + (1 - weight) * leaking[:, 11_000:12_000]
        np.testing.assert_allclose(stems[source][:, 11_000:12_000], faded, atol=1e-4)


@pytest.mark.parametrize(
    ("sources", "matrix", "message"),
    [
        (("bass", "bass"), ((1.0,) * 6,) * 4, "must be different names"),
        (("bass",), ((1.0,) * 4, (1.0,) * 3), "rows have 3 and 4 numbers"),
        (("bass",), ((1.0,) * 4,), r"the matrix is \(1, 4\), \(2, 4\) is expected"),
        (("bass",), ((1.0,) * 4, (float("nan"),) * 4), "NaN or infinity"),
    ],
)
def test_numbers_that_are_no_mixer_are_refused(
    sources: tuple[str, ...], matrix: tuple[tuple[float, ...], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MixerRecipe(sources, matrix)

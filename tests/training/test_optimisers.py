"""Optimisers: two steps of each beside its formula in numpy, and the values that they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.optimiser_formulas import STEPS, stepped
from training.optimisation.optimisers import Adagrad, Adam, AdamW, Optimiser, RmsProp, Sgd
from training.settings.published import in_our_words
from training.settings.strict import SettingsError, from_table

pytestmark = pytest.mark.needs("torch", "lightning")

CASES = (
    Sgd(learning_rate=0.1),
    Adagrad(learning_rate=0.1),
    RmsProp(learning_rate=0.1),
    Adam(learning_rate=0.1),
    Adam(learning_rate=0.1, betas=(0.5, 0.8), weight_decay=0.3),
    AdamW(learning_rate=0.1),
    AdamW(learning_rate=0.1, betas=(0.0, 0.95), weight_decay=0.3),
)


def test_every_optimiser_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(Optimiser.kinds) == set(STEPS)


@pytest.mark.parametrize("optimiser", CASES, ids=str)
def test_two_steps_are_those_of_the_formula(optimiser: Optimiser) -> None:
    """On ``f(w) = Σ c·w⁴`` in double precision, to 1e-12; the second gradient is that of the first step's weights."""
    start, scale = np.array([0.5, -1.5, 2.0, 1e-3]), np.array([1.0, 0.1, 3.0, 1e3])
    weight = torch.nn.Parameter(torch.from_numpy(start.copy()))
    built = optimiser.build([weight])
    expected, gradients = start, []
    for _ in range(2):
        built.zero_grad()
        (torch.from_numpy(scale) * weight**4).sum().backward()
        built.step()
        gradients.append(4 * scale * expected**3)
        expected = stepped(start, gradients, optimiser)
    assert not np.allclose(expected, start, rtol=1e-3)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "adam", "betas": [1.0, 0.5]}, r"betas=\[1.0, 0.5\] must be at least 0 and below 1"),
        ({"kind": "adamw", "betas": [0.9, -0.1]}, "must be at least 0 and below 1"),
        ({"kind": "adam", "betas": [0.9]}, "expected a list of 2 values, got 1"),
        ({"kind": "adam", "betas": [0.9, 0.9, 0.9]}, "expected a list of 2 values, got 3"),
        ({"kind": "adam", "betas": [0.9, "high"]}, r"betas\[1\]: expected a number"),
        ({"kind": "sgd", "betas": [0.9, 0.999]}, "there is no key 'betas'"),
        ({"kind": "adam", "weight_decay": -0.1}, "must not be negative"),
    ],
)
def test_nonsense_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_table(Optimiser, {"learning_rate": 0.1, **table})


def test_another_optimiser_in_the_authors_spelling_keeps_its_own_options_in_any_order() -> None:
    table = {"network": {"kind": "x-umx"}, "optimiser": {"kind": "adam", "learning_rate": 0.1, "weight_decay": 0.2}}
    options = ["betas=(0.8, 0.9)", "lr=0.5", "optimizer.class_path=torch.optim.AdamW", "optimiser.weight_decay=0.3"]
    for given in (options, options[::-1]):
        first, *others = in_our_words(table, given, frozenset({"optimiser"}))
        assert first == 'optimiser={kind="adamw", learning_rate=0.5}'
        assert sorted(others) == [
            "optimiser.betas=[0.8, 0.9]",
            "optimiser.learning_rate=0.5",
            "optimiser.weight_decay=0.3",
        ]

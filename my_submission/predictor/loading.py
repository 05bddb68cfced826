"""From a system's name to a predictor."""

from __future__ import annotations

from pathlib import Path

from my_submission.engines import resolve_device
from my_submission.errors import UnknownNameError
from my_submission.predictor.core import Predictor
from my_submission.systems import assemble, find_system
from my_submission.systems.assembly import Precision
from my_submission.weights import ModelsFolder

DEFAULT_MODELS_DIR = Path(__file__).resolve().parents[2] / "models"
"""The models folder of this checkout."""

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def load(
    system: str = "starter",
    *,
    models_dir: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    batch_chunks: int | None = None,
    allow_unverified: bool = False,
) -> Predictor:
    """Build a predictor: check every artefact of the system, open it, keep it.

    Args:
        system: a name that ``python -m my_submission systems`` lists.
        models_dir: a folder with a ``manifest.json``; this checkout's ``models`` when not given.
        device: "auto", "cpu", "cuda" or "cuda:N"; a GPU asked for by name is used or refused.
        precision: "auto", "fp32", "bf16" or "fp16", for networks that run in torch.
        threads: processors for one run on the CPU; all that the process may use when not given.
        batch_chunks: spectral chunks in one run.
        allow_unverified: accept artefacts whose hash is not the published one.

    Raises:
        UnknownNameError: there is no such system, device or precision.
        WeightsError: an artefact is missing or damaged; the message says how to get it.
        DeviceError: the device is not there.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError(f"there is no precision {precision!r}", cure=f"use {', '.join(PRECISIONS)}")
    checked: Precision = precision  # type: ignore[assignment]  # one of PRECISIONS
    recipe = find_system(system)
    chosen = resolve_device(device)
    assembly = assemble(
        recipe,
        ModelsFolder(Path(models_dir) if models_dir is not None else DEFAULT_MODELS_DIR),
        device=chosen,
        precision=checked,
        threads=threads,
        batch_chunks=batch_chunks,
        allow_unverified=allow_unverified,
    )
    return Predictor(assembly, notes=(chosen.note,) if chosen.note else ())

"""Joint networks as graphs: stereo spectra in, the spectra of several sources out."""

from __future__ import annotations

from collections.abc import Sequence

from my_submission.dsp.stft import from_channels, to_channels
from my_submission.engines.base import Batch
from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry

ARCHITECTURE = "joint-tfc-tdf"

_HINT = "export it with python -m training export"


class JointGraph(OnnxEngine):
    """A graph from spectra float32 (batch, 4, bins, frames) to (batch, sources, 4, bins, frames).

    The metadata names the sources in the order of the output.
    """

    def _check_signature(self) -> None:
        super()._check_signature()
        given, made = (list(value.shape) for value in (*self._session.get_inputs(), *self._session.get_outputs()))
        is_fixed = all(isinstance(size, int) for size in (*given[1:], *made[1:]))
        fits = len(given) == 4 and given[1] == 4 and len(made) == 5 and made[2:] == given[1:]
        if not (is_fixed and fits and made[1] == len(self.sources)):
            problem = f"the graph maps {given} to {made} and names the sources {', '.join(self.sources) or 'none'}"
            problem += "; expected (batch, 4, bins, frames) to one of them per source"
            raise WeightsError(problem, where=self.path, hint=_HINT)
        self.bins, self.frames = given[2:]

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources in the order of the output."""
        named = self._session.get_modelmeta().custom_metadata_map.get("sources", "")
        return tuple(named.split(",")) if named else ()


class JointEngine:
    """Transforms on the CPU around a joint graph.

    Args:
        graph: the network.
        stft: its transform.
        sources: the sources to return, in this order.
    """

    def __init__(self, graph: JointGraph, stft: StftGeometry, sources: Sequence[str]) -> None:
        self.network = graph
        self._stft = stft
        self._rows = [graph.sources.index(source) for source in sources]

    @property
    def runs_on(self) -> str:
        """Library and device."""
        return self.network.runs_on

    def run(self, batch: Batch, *, is_last: bool = False) -> Batch:
        """Map chunks float32 (batch, 2, samples) to (batch, sources, 2, samples)."""
        spectra = self.network.run(to_channels(batch, self._stft), is_last=is_last)[:, self._rows]
        waves = from_channels(spectra.reshape(-1, *spectra.shape[2:]), self._stft)
        return waves.reshape(*spectra.shape[:2], *waves.shape[1:])

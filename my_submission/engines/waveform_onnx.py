"""Waveform networks as graphs: mixtures of any length in, as long stems of several sources out."""

from __future__ import annotations

from my_submission.engines.onnx_engine import OnnxEngine
from my_submission.errors import WeightsError

ARCHITECTURE = "demucs-split"
INPUT, OUTPUT = "input", "output"

_HINT = "export it with python -m training convert"


class WaveformGraph(OnnxEngine):
    """A graph from float32 (1, channels, n) to (1, sources, channels, n), for every n that is long enough."""

    def _check_signature(self) -> None:
        super()._check_signature()
        given, made = (list(value.shape) for value in (*self._session.get_inputs(), *self._session.get_outputs()))
        is_one = len(given) == 3 and len(made) == 4 and made[2] == given[1]
        if not is_one or not all(isinstance(size, int) for size in (*given[:2], *made[:3])):
            problem = f"the graph maps {given} to {made}; expected (1, channels, n) to (1, sources, channels, n)"
            raise WeightsError(problem, where=self.path, hint=_HINT)
        self.n_channels, self.n_sources = given[1], made[1]
        try:
            stated = dict(self._metadata())
            self._lost, self._shortest = int(stated["lost_samples"]), int(stated["min_samples"])
        except (KeyError, ValueError) as error:
            problem = f"its metadata states no number of samples that it loses ({error})"
            raise WeightsError(problem, where=self.path, hint=_HINT) from error

    def valid_length(self, samples: int) -> int:
        """Return the length to feed so that the output covers the middle ``samples`` of it."""
        return max(samples + 2 * self._lost, self._shortest)

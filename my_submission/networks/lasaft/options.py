"""Options of conditioned networks that the weights do not show: they are read from the checkpoint and files beside it.

The authors' programs give the same weights another meaning by options such as activations. Their first program stores
all options in the checkpoint (``hyper_parameters``), the second one in a ``config.yaml`` beside it. An option that is
not stated anywhere is an error that asks for it; it is never assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, get_args

from my_submission.errors import WeightsError
from my_submission.networks.lasaft.config import (
    Activation,
    ConditionedUNetConfig,
    ConditionTo,
    LasaftV1Options,
    LasaftV2Options,
)
from my_submission.networks.settings_files import parsed_yaml
from my_submission.networks.strict_loading import Where
from my_submission.weights import read_settings
from my_submission.weights.option_files import option_files, options_file
from terminal.documents import DocumentError, read_toml
from terminal.names import listed

Options: TypeAlias = Mapping[str, Any]
"""Options under the names of the authors' first program."""

_ACTIVATIONS = get_args(Activation)
_MODES = ("mapping", "masking")

ANSWERS: Mapping[str, Sequence[str]] = {
    "spec_est_mode": _MODES,
    "first_conv_activation": _ACTIVATIONS,
    "last_activation": _ACTIVATIONS,
    "tfc_activation": _ACTIVATIONS,
    "tfc_tdf_activation": _ACTIVATIONS,
    "downsampling_activation": _ACTIVATIONS,
    "upsampling_activation": _ACTIVATIONS,
    "gamma_activation": _ACTIVATIONS,
    "beta_activation": _ACTIVATIONS,
    "pocm_type": ("matmul", "naive"),
    "condition_to": get_args(ConditionTo),
}
"""Options that weights do not show, or not always, with the possible values."""

_TRANSFORM = ("hop_length", "num_frame")

_MORE = ("spec_type", "film_type", *_TRANSFORM)

KNOWN = frozenset(
    field.name for kind in (LasaftV1Options, LasaftV2Options, ConditionedUNetConfig) for field in fields(kind)
) | {*ANSWERS, *_MORE}
"""Options that networks and transforms have; training has others, which are ignored."""

_BLOCKS = {
    "kt": "kernel_size_t",
    "kf": "kernel_size_f",
    "bias": "tfc_tdf_bias",
    "activation": "tfc_tdf_activation",
    "num_layers": "n_internal_layers",
    "gr": "internal_channels",
    "condition_dim": "embedding_dim",
}
"""Names of the second program's blocks to names of the first one's options."""

_BLOCK_CLASS = "MkTFCLightSAFTGPoCM"

_INTERPOLATION = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class StatedOptions:
    """Options as files state them.

    Attributes:
        values: name to value.
        origins: name to what states it, such as "its hyper_parameters" or "the manifest".
        where: the checkpoint, for error messages.
    """

    values: Options
    origins: Mapping[str, str]
    where: Where = None

    @classmethod
    def of(cls, values: Options, *, origin: str = "the call", where: Where = None) -> StatedOptions:
        """Return options that one place states."""
        known = {name: _plain(value) for name, value in values.items() if name in KNOWN}
        return cls(known, dict.fromkeys(known, origin), where)

    def with_more(self, more: Options, origin: str) -> StatedOptions:
        """Return these options and those that another place states.

        Raises:
            WeightsError: the two places differ.
        """
        values, origins = dict(self.values), dict(self.origins)
        for name, given in more.items():
            value = _plain(given)
            if name not in KNOWN:
                continue
            if name in values and values[name] != value:
                problem = f"{origins[name]} states {name}={values[name]!r}, and {origin} states {value!r}"
                raise WeightsError(problem, where=self.where, hint="correct the wrong one")
            values.setdefault(name, value)
            origins.setdefault(name, origin)
        return StatedOptions(values, origins, self.where)

    def get(self, name: str) -> Any:
        """Return an option, or None if it is not stated."""
        return self.values.get(name)

    def require(self, names: Sequence[str]) -> dict[str, Any]:
        """Return options that must be known.

        Raises:
            WeightsError: one is not stated; the message asks for all that are missing.
        """
        missing = [name for name in names if self.values.get(name) is None]
        if missing:
            file = "options.toml" if self.where is None else options_file(Path(self.where)).name
            problem = f"neither the weights nor a file state {listed(missing)}, but the result depends on it"
            hint = f"write the options of its training into {file} beside it: {_question(missing)}"
            raise WeightsError(problem, where=self.where, hint=hint)
        for name in names:
            if self.values[name] not in ANSWERS[name]:
                problem = f"{self.origins[name]} states {name}={self.values[name]!r}, which is none of"
                raise WeightsError(f"{problem} {', '.join(ANSWERS[name])}", where=self.where)
        return {name: self.values[name] for name in names}

    def check(self, actual: Mapping[str, Any]) -> None:
        """Compare the options with those that weights show.

        Raises:
            WeightsError: one differs.
        """
        for name, value in actual.items():
            if name in self.values and self.values[name] != value:
                problem = f"{self.origins[name]} states {name}={self.values[name]!r}, and the weights show {value!r}"
                raise WeightsError(problem, where=self.where, hint="use the options of its own training")


def _question(missing: Sequence[str]) -> str:
    """Return the lines of a file that would answer, with the possible values once each."""
    choices: dict[tuple[str, ...], list[str]] = {}
    for name in missing:
        choices.setdefault(tuple(ANSWERS[name]), []).append(name)
    parts = [
        f"{', '.join(f'{name} = …' for name in names)} ({' or '.join(map(repr, values))})"
        for values, names in choices.items()
    ]
    return "; ".join(parts)


def read_options(path: Path, *, manifest: Options | None = None) -> StatedOptions:
    """Return the options that a checkpoint, its manifest entry and the files beside it state.

    Files beside it are ``<checkpoint>.toml``, and ``config.yaml`` and ``hparams.yaml`` in its folder or the one above.

    Raises:
        WeightsError: a file cannot be read, or two places differ.
    """
    own = flattened(read_settings(path), where=path)
    stated = StatedOptions.of(own, origin="its hyper_parameters", where=path)
    stated = stated.with_more(manifest or {}, "the manifest")
    for origin, options in _beside(path):
        stated = stated.with_more(options, origin)
    return stated


def flattened(settings: Mapping[str, Any], *, where: Where = None) -> dict[str, Any]:
    """Return the options of either program under the names of the first one.

    Raises:
        WeightsError: the settings are those of an unknown class of blocks.
    """
    model = settings.get("model")
    if isinstance(model, dict) and "spec2spec" in model:
        return _of_second_program(_resolved(model), where)
    if isinstance(settings.get("spec2spec"), dict):
        return _of_second_program(_resolved(dict(settings)), where)
    return dict(settings)


def _of_second_program(model: Mapping[str, Any], where: Where) -> dict[str, Any]:
    network = {name: value for name, value in model["spec2spec"].items() if not isinstance(value, dict)}
    blocks, down, up = (model["spec2spec"].get(f"mk_{part}_f") or {} for part in ("block", "ds", "us"))
    kind = str(blocks.get("_target_", _BLOCK_CLASS)).rpartition(".")[2]
    if kind != _BLOCK_CLASS:
        raise WeightsError(f"its blocks are of the class {kind}, and only {_BLOCK_CLASS} is known", where=where)
    options = {name: value for name, value in model.items() if not isinstance(value, dict)} | network
    options |= {_BLOCKS.get(name, name): value for name, value in blocks.items()}
    options |= {"downsampling_activation": down.get("activation"), "upsampling_activation": up.get("activation")}
    return {name: value for name, value in options.items() if value is not None}


def _resolved(model: dict[str, Any]) -> dict[str, Any]:
    """Return settings in which references such as ``${model.n_fft}`` are replaced by the values."""

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: resolved(each) for name, each in value.items()}
        match = _INTERPOLATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        found: Any = model
        for name in match[1].removeprefix("model.").split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    plain: dict[str, Any] = resolved(model)
    return plain


def _beside(path: Path) -> Iterator[tuple[str, Options]]:
    """Yield name and options of the files beside a checkpoint."""
    for file in option_files(path):
        if file == options_file(path):
            yield file.name, _own_options(file)
        elif isinstance(settings := parsed_yaml(file), dict):
            yield file.name, flattened(settings, where=file)


def _own_options(file: Path) -> Options:
    try:
        options = read_toml(file)
    except (OSError, DocumentError) as error:
        raise WeightsError(f"cannot be read as options ({error})", where=file, hint="write name = value") from error
    if unknown := [name for name in options if name not in KNOWN]:
        hint = f"known are {', '.join(sorted(KNOWN))}"
        raise WeightsError(f"there is no option {unknown[0]!r}", where=file, hint=hint)
    return options


def _plain(value: Any) -> Any:
    """Return an option's value in one form, as the programs' command lines accept several."""
    if value is None:
        return "none"
    if isinstance(value, str):
        words = {"None": "none", "True": True, "False": False}
        numbers = re.findall(r"\d+", value)
        return tuple(map(int, numbers)) if value.strip()[:1] in {"[", "("} else words.get(value, value)
    return tuple(value) if isinstance(value, list) else value

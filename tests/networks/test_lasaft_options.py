"""Conditioned networks with options beyond the published ones: against the originals, and what is asked when unknown.

Tolerance: 100 dB from the originals' separated waves, alone and as one of four sources, from checkpoints and graphs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from my_submission.engines import Device
from my_submission.engines.conditioned_engine import conditioned_onnx_engine
from my_submission.errors import WeightsError
from my_submission.geometry import StftGeometry
from my_submission.networks.lasaft import ConditionedNet, FrameworkConfig
from my_submission.networks.lasaft.framework import LasaftConfig
from my_submission.networks.lasaft.waveforms import FixedSourcesOfWaves
from my_submission.networks.lasaft.weights import from_checkpoint, from_state_dict
from tests import published_lasaft as published
from tests.lasaft_checkpoints import FRAMES, HOP, VECTORS, state_of, vector, write_checkpoint
from tests.networks.test_lasaft import V1, V2, disturbed, numbers
from training.export.conditioned import export_conditioned

STFT = StftGeometry(256, HOP, 129)


def snr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    error = np.sum((expected.astype(np.float64) - actual) ** 2)
    return float(10 * np.log10(np.sum(expected.astype(np.float64) ** 2) / max(error, 1e-300)))


def made(config: LasaftConfig) -> ConditionedNet:
    """A network with random weights and statistics."""
    net = ConditionedNet(FrameworkConfig(network=config))
    disturbed(net.spec2spec)
    return net.eval()


def asked(rows: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """The row of each item's own source, (items, samples, channels) as the originals have it."""
    return np.stack([row[source].T for row, source in zip(rows, sources, strict=True)])


@pytest.mark.parametrize("name", VECTORS)
def test_the_originals_options(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Read from the checkpoint as its program wrote it."""
    arrays, path = vector(name), write_checkpoint(name, tmp_path)
    waves, sources = np.swapaxes(arrays["input/wave"], 1, 2), arrays["input/source_index"]
    separator = from_checkpoint(path)
    assert (separator.config.hop, separator.config.frames) == (HOP, FRAMES)
    with torch.inference_mode():
        rows = FixedSourcesOfWaves(separator, range(4), STFT)(torch.from_numpy(waves)).numpy()
    export_conditioned(separator, tmp_path / "graph.onnx", hop=HOP, frames=FRAMES, architecture="lasaft")
    graph = conditioned_onnx_engine(tmp_path / "graph.onnx", range(4), stft=STFT, device=Device("cpu"), threads=1)
    found = [snr_db(arrays["output/separated"], asked(each, sources)) for each in (rows, graph.run(waves))]
    with capsys.disabled():
        print(f"\n{name}: {found[0]:.1f} dB from the original, its graph {found[1]:.1f} dB")
    assert min(found) >= 100


@pytest.mark.parametrize("name", ["v1_gpocm_tfc", "v2_key_listen"])
def test_missing_options_are_asked_for(tmp_path: Path, name: str) -> None:
    """The message names the options, their values and the file that answers; the answer is then used."""
    arrays = vector(name)
    path = tmp_path / "network.ckpt"
    torch.save({"state_dict": state_of(arrays)}, path)
    with pytest.raises(WeightsError) as caught:
        from_checkpoint(path)
    message = str(caught.value)
    for text in (
        "spec_est_mode = …",
        "last_activation = …",
        "'mapping' or 'masking'",
        "'leaky_relu'",
        "network.ckpt.toml",
    ):
        assert text in message
    lines = ['spec_est_mode = "mapping"', 'last_activation = "identity"', 'first_conv_activation = "relu"']
    lines += [f'{place}_activation = "relu"' for place in ("tfc", "tfc_tdf", "downsampling", "upsampling")]
    lines += ['pocm_type = "matmul"', 'condition_to = "decoder"']
    (tmp_path / "network.ckpt.toml").write_text("\n".join(lines), encoding="utf-8")
    waves, sources = np.swapaxes(arrays["input/wave"], 1, 2), arrays["input/source_index"]
    with torch.inference_mode():
        rows = FixedSourcesOfWaves(from_checkpoint(path), range(4), STFT)(torch.from_numpy(waves)).numpy()
    assert snr_db(arrays["output/separated"], asked(rows, sources)) >= 100


def test_only_what_a_network_needs_is_asked_for() -> None:
    """Generators for all blocks show their place; FiLM has no kind of PoCM, PoCM no activations of FiLM."""
    complete = published.options(gamma_activation="tanh", beta_activation="sigmoid")
    cases = {
        ("gpocm", "full"): {"condition_to", "gamma_activation", "beta_activation"},
        ("gpocm", "decoder"): {"gamma_activation", "beta_activation"},
        ("film", "encoder"): {"pocm_type"},
    }
    for (modulation, place), unneeded in cases.items():
        config = replace(V1, modulation=modulation, condition_to=place)
        if modulation == "film":
            config = replace(config, gamma_activation="tanh", beta_activation="sigmoid")
        net = made(config)
        options = {**complete, "condition_to": place}
        given = {name: value for name, value in options.items() if name not in unneeded}
        x, source = numbers(1, 4, 8, 33), torch.tensor([2])
        with torch.inference_mode():
            torch.testing.assert_close(from_state_dict(net.state_dict(), given)(x, source), net(x, source))
        for name in sorted({"condition_to", "pocm_type", "gamma_activation"} - unneeded):
            with pytest.raises(WeightsError, match=f"state {name}"):
                from_state_dict(net.state_dict(), {key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize(
    "config",
    [
        replace(V1, t_down_layers=(0,)),
        replace(V1, block="tfc_tdf", condition_to="full", tfc_tdf_bias=True),
        replace(V1, block="tfc_lightsaft", kernel_size_t=5, kernel_size_f=5, control_n_layer=2, pocm_norm="none"),
        replace(V2, norm="in", condition_to="encoder"),
        replace(V2, norm="gn", query_listen=False, key_listen=False, internal_channels=6),
        replace(V2, downsampling_activation="tanh", upsampling_activation="elu", condition_to="full"),
    ],
    ids=["t-down", "tdf", "light", "instance", "group", "activations"],
)
def test_every_shape_is_read_from_the_weights(config: LasaftConfig) -> None:
    """Several sources at once give what one source gives; 1e-4, for group norms round differently."""
    net = made(config)
    stated = {name: value for name, value in vars(config).items() if name.endswith("_activation") and value}
    places = ("downsampling_activation", "upsampling_activation")
    options = {**published.options(), **dict.fromkeys(places, "relu"), **stated, "condition_to": config.condition_to}
    loaded = from_state_dict(net.state_dict(), options)
    x = numbers(2, 4, 8, 33)
    with torch.inference_mode():
        expected = net(x, torch.tensor([3, 3]))
        torch.testing.assert_close(loaded(x, torch.tensor([3, 3])), expected, rtol=0, atol=0)
        together = loaded.separate(x, torch.tensor([0, 3]))
    torch.testing.assert_close(together[:, 1], expected, rtol=1e-4, atol=1e-4)
    assert (together[:, 0] - expected).abs().max() > 1e-3


def test_places_that_differ_are_refused(tmp_path: Path) -> None:
    """A wrong option is never preferred silently, whoever states it."""
    path = write_checkpoint("v1_gpocm_tfc", tmp_path)
    with pytest.raises(WeightsError, match="its hyper_parameters states last_activation='identity', and the manifest"):
        from_checkpoint(path, manifest={"last_activation": "tanh"})
    (tmp_path / "network.ckpt.toml").write_text("n_blocks = 5", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"states n_blocks=3, and network\.ckpt\.toml states 5"):
        from_checkpoint(path)
    (tmp_path / "network.ckpt.toml").write_text('last_activashun = "tanh"', encoding="utf-8")
    with pytest.raises(WeightsError, match="there is no option 'last_activashun'"):
        from_checkpoint(path)
    path = write_checkpoint("v2_gn", tmp_path / "v2")
    with pytest.raises(WeightsError, match=r"the manifest states norm='bn', and config\.yaml states 'gn'"):
        from_checkpoint(path, manifest={"norm": "bn"})
    settings = path.with_name("config.yaml")
    settings.write_text(
        settings.read_text(encoding="utf-8").replace('"n_blocks": 3', '"n_blocks": 5'), encoding="utf-8"
    )
    with pytest.raises(WeightsError, match=r"config\.yaml states n_blocks=5, and the weights show 3"):
        from_checkpoint(path)
    settings.write_text(settings.read_text(encoding="utf-8").replace("LightSAFTGPoCM", "LaSAFTGPoCM"), encoding="utf-8")
    with pytest.raises(WeightsError, match="class MkTFCLaSAFTGPoCM"):
        from_checkpoint(path)


@pytest.mark.parametrize("kind", ["half", "bfloat16"])
def test_half_precision_states_load(kind: str) -> None:
    """The network computes in float32 with the rounded weights; another window is refused as before."""
    net = made(V2)
    state = {
        name: getattr(value, kind)() if value.is_floating_point() else value for name, value in net.state_dict().items()
    }
    loaded = from_state_dict(state, published.options())
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    with torch.inference_mode():
        x, source = numbers(1, 4, 8, 33), torch.tensor([1])
        error = (loaded(x, source) - net(x, source)).norm() / net(x, source).norm()
    assert 0 < error < 0.1
    state["stft.stft.window"] = getattr(torch.hamming_window(64), kind)()
    with pytest.raises(WeightsError, match="not a periodic Hann window"):
        from_state_dict(state, published.options())


def test_legacy_archives_and_older_prefixes_load(tmp_path: Path) -> None:
    """Files of torch before 1.6, as the first program wrote them, with its older name of the network."""
    arrays = vector("v1_gpocm_tfc")
    new = write_checkpoint("v1_gpocm_tfc", tmp_path / "new")
    old = write_checkpoint("v1_gpocm_tfc", tmp_path / "old", _use_new_zipfile_serialization=False)
    renamed = {name.replace("spec2spec.", "conditional_spec2spec."): value for name, value in state_of(arrays).items()}
    torch.save(
        {"state_dict": renamed, "hyper_parameters": torch.load(new, weights_only=False)["hyper_parameters"]}, new
    )
    x, source = numbers(1, 4, FRAMES, 129), torch.tensor([3])
    with torch.inference_mode():
        torch.testing.assert_close(from_checkpoint(old)(x, source), from_checkpoint(new)(x, source), rtol=0, atol=0)

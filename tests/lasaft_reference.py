"""The conditioned U-Nets once more, in plain numpy and float64, block by block, from their state alone.

Written from the definitions, not from the project's networks: arrays are ``[N, C, T, f]``, parameters come by their
published key names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Array = np.ndarray
State = Mapping[str, Array]

NORM_EPS = 1e-5


class Scope:
    """Parameters below a prefix."""

    def __init__(self, state: State, prefix: str = "") -> None:
        self.state, self.prefix = state, prefix

    def __getitem__(self, key: str) -> Array:
        return np.asarray(self.state[self.prefix + key], dtype=np.float64)

    def __contains__(self, key: str) -> bool:
        return self.prefix + key in self.state

    def at(self, key: str) -> Scope:
        return Scope(self.state, f"{self.prefix}{key}.")

    def count(self, key: str) -> int:
        start = f"{self.prefix}{key}."
        return len({name[len(start) :].split(".")[0] for name in self.state if name.startswith(start)})


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.01 * x)


def identity(x: Array) -> Array:
    return x


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def convolve(x: Array, p: Scope, padding: tuple[int, int] = (0, 0), stride: tuple[int, int] = (1, 1)) -> Array:
    weight = p["weight"]
    (kt, kf), (pt, pf), (st, sf) = weight.shape[2:], padding, stride
    x = np.pad(x, ((0, 0), (0, 0), (pt, pt), (pf, pf)))
    frames, rows = (x.shape[2] - kt) // st + 1, (x.shape[3] - kf) // sf + 1
    y = np.zeros((x.shape[0], weight.shape[0], frames, rows))
    for i, j in np.ndindex(kt, kf):
        part = x[:, :, i : i + st * frames : st, j : j + sf * rows : sf]
        y += np.einsum("nctf,oc->notf", part, weight[:, :, i, j])
    return y + p["bias"][:, None, None]


def transposed(x: Array, p: Scope) -> Array:
    """Kernel and stride are the same, so that nothing overlaps."""
    weight = p["weight"]
    n, _, frames, rows = x.shape
    kt, kf = weight.shape[2:]
    y = np.einsum("nctf,coij->notifj", x, weight).reshape(n, weight.shape[1], frames * kt, rows * kf)
    return y + p["bias"][:, None, None]


def norm(x: Array, p: Scope) -> Array:
    """Batch norm as it is in evaluation; channels are the second axis."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    y = (x - p["running_mean"].reshape(shape)) / np.sqrt(p["running_var"].reshape(shape) + NORM_EPS)
    return y * p["weight"].reshape(shape) + p["bias"].reshape(shape) if "weight" in p else y


def linear(x: Array, p: Scope) -> Array:
    y = x @ p["weight"].T
    return y + p["bias"] if "bias" in p else y


def normed_linear(x: Array, p: Scope) -> Array:
    v = p["weight_v"]
    weight = np.array([g * row / np.sqrt(np.sum(row * row)) for g, row in zip(p["weight_g"], v, strict=True)])
    return x @ weight.T + p["bias"]


def generated(e: Array, p: Scope) -> Array:
    return normed_linear(relu(normed_linear(e, p.at("0"))), p.at("2"))


def tfc(x: Array, p: Scope, act) -> Array:
    h = x
    for layer in range(p.count("H")):
        if layer:
            x = np.concatenate([h, x], axis=1)
        q = p.at(f"H.{layer}")
        kernel = q["0.weight"].shape[2:]
        h = act(norm(convolve(x, q.at("0"), (kernel[0] // 2, kernel[1] // 2)), q.at("1")))
    return h


def tdf(x: Array, p: Scope, act) -> Array:
    q = p.at("tdf")
    narrow = act(norm(linear(x, q.at("0")), q.at("1")))
    return act(norm(linear(narrow, q.at("3")), q.at("4")))


def pocm(h: Array, gamma: Array, beta: Array) -> Array:
    """Row vectors of channels times gamma (N, C, D), plus beta (N, D)."""
    out = np.empty((h.shape[0], gamma.shape[2], *h.shape[2:]))
    for n in range(h.shape[0]):
        for t in range(h.shape[2]):
            out[n, :, t] = (h[n, :, t].T @ gamma[n] + beta[n]).T
    return out


def attention_v1(e: Array, p: Scope) -> Array:
    keys = p["keys"]
    return softmax(linear(e, p.at("linear_query")) @ keys / np.sqrt(keys.shape[0]), axis=-1)


def lasaft(h: Array, e: Array, p: Scope) -> Array:
    weights = attention_v1(e, p)
    values = tdf(h, p.at("tdfs"), relu).reshape(*h.shape, weights.shape[1])
    return np.einsum("nctfl,nl->nctf", values, weights)


def lightsaft_v1(h: Array, e: Array, p: Scope) -> Array:
    weights = attention_v1(e, p)
    z = relu(norm(linear(h, p.at("LaSAFT_bn_layer.0")), p.at("LaSAFT_bn_layer.1")))
    values = z.reshape(*h.shape[:3], weights.shape[1], -1)
    mixed = np.einsum("nctlb,nl->nctb", values, weights)
    return relu(norm(linear(mixed, p.at("LaSIFT.0")), p.at("LaSIFT.1")))


def lightsaft_v2(h: Array, e: Array, p: Scope, act) -> Array:
    channels = h.shape[1]
    coefficients = generated(e, p.at("query_pocm_generator"))
    query = pocm(h, coefficients[:, :channels, None], coefficients[:, channels:])[:, 0]  # (N, T, f)
    q = p.at("linear_query")
    centred = query - query.mean(-1, keepdims=True)
    query = centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + NORM_EPS) * q["0.weight"] + q["0.bias"]
    query = linear(relu(query), q.at("2"))  # (N, T, dk)
    k = p.at("keys")
    keys = linear(relu(norm(convolve(h, k.at("0")), k.at("1"))), k.at("3"))  # (N, L, T, dk)
    weights = softmax(np.einsum("nltd,ntd->ntl", keys, query) / np.sqrt(query.shape[-1]), axis=-1)
    z = act(norm(linear(h, p.at("LaSAFT_bn_layer.0")), p.at("LaSAFT_bn_layer.1")))
    values = z.reshape(*h.shape[:3], -1, weights.shape[-1])
    mixed = np.einsum("nctbl,ntl->nctb", values, weights)
    return act(linear(norm(mixed, p.at("LaSIFT.0")), p.at("LaSIFT.1")))


def modulations_v1(e: Array, p: Scope, channels: int) -> list[tuple[Array, Array]]:
    """Gamma (N, C, C) and beta (N, C) of every decoder."""
    control = p.at("dense_control_block.linear")
    h = relu(linear(e, control.at("0")))
    place = 2
    while f"{place}.weight" in control:
        h = norm(relu(linear(h, control.at(str(place)))), control.at(str(place + 3)))
        place += 4
    gamma = norm(linear(h, p.at("linear_gamma.0")), p.at("linear_gamma.2")).reshape(len(e), -1, channels, channels)
    beta = norm(linear(h, p.at("linear_beta.0")), p.at("linear_beta.2")).reshape(len(e), -1, channels)
    return [(gamma[:, block], beta[:, block]) for block in range(gamma.shape[1])]


def gated(h: Array, gamma: Array, beta: Array) -> Array:
    return h * sigmoid(pocm(h, gamma, beta))


def network_v1(x: Array, sources: Array, state: State) -> Array:
    p = Scope(state)
    e = p["embedding.weight"][sources]
    saft = lasaft if "encoders.0.tdfs.tdf.0.weight" in state else lightsaft_v1
    h = relu(norm(convolve(x, p.at("first_conv.0")), p.at("first_conv.1")))
    channels, skips = h.shape[1], []
    modulations = modulations_v1(e, p.at("condition_generator"), channels)
    for level in range(p.count("encoders")):
        block = p.at(f"encoders.{level}")
        h = tfc(h, block.at("tfc"), relu)
        h = h + saft(h, e, block)
        skips.append(h)
        down = p.at(f"downsamplings.{level}")
        h = norm(convolve(h, down.at("0"), stride=(2, 2)), down.at("1"))
    block = p.at("mid_block")
    h = tfc(h, block.at("tfc"), relu)
    h = h + saft(h, e, block)
    for level in range(p.count("decoders")):
        up, block = p.at(f"upsamplings.{level}"), p.at(f"decoders.{level}")
        h = np.concatenate([norm(transposed(h, up.at("0")), up.at("1")), skips.pop()], axis=1)
        h = gated(tfc(h, block.at("tfc"), relu), *modulations[level])
        h = h + saft(h, e, block)
    return convolve(h, p.at("last_conv.0"), (0, 1))


def network_v2(x: Array, sources: Array, state: State, act) -> Array:
    p = Scope(state)
    e = p["embedding.weight"][sources]
    h = act(norm(convolve(x, p.at("first_conv.0")), p.at("first_conv.1")))
    channels, skips = h.shape[1], []
    for level in range(p.count("encoders")):
        block = p.at(f"encoders.{level}")
        h = tfc(h, block.at("tfc"), act)
        h = h + tdf(h, block.at("tdf"), act)
        skips.append(h)
        down = p.at(f"downsamplings.{level}")
        h = act(norm(convolve(h, down.at("0"), stride=(2, 2)), down.at("1")))
    h = tfc(h, p.at("mid_block.tfc"), act)
    h = h + tdf(h, p.at("mid_block.tdf"), act)
    for level in range(p.count("decoders")):
        up, block = p.at(f"upsamplings.{level}"), p.at(f"decoders.{level}")
        h = np.concatenate([act(norm(transposed(h, up.at("0")), up.at("1"))), skips.pop()], axis=1)
        h = tfc(h, block.at("tfc_lightsaft.tfc"), act)
        coefficients = generated(e, block.at("pocm_generator"))
        gamma = coefficients[:, : channels**2].reshape(len(e), channels, channels)
        h = gated(h, gamma, coefficients[:, channels**2 :])
        h = h + lightsaft_v2(h, e, block.at("tfc_lightsaft"), act)
    return convolve(h, p.at("last_conv.0"), (0, 1))

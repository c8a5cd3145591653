"""Layers against slow twins."""

from __future__ import annotations

import math

import numpy as np
import torch

from talkcli.engines.splat_portrait.layers import Attention, Film, Residual, sinusoids


def test_film_is_a_scale_and_a_shift_per_channel() -> None:
    torch.manual_seed(0)
    film = Film(4, 3)
    torch.nn.init.normal_(film.project.weight)
    torch.nn.init.normal_(film.project.bias)
    features, condition = torch.randn(2, 4, 3, 5), torch.randn(2, 3)
    given = film(features, condition).detach().numpy()
    weight, bias = film.project.weight.detach().numpy(), film.project.bias.detach().numpy()
    for b in range(2):
        numbers = weight @ condition[b].numpy() + bias
        for c in range(4):
            wanted = (1 + numbers[c]) * features[b, c].numpy() + numbers[4 + c]
            # Single precision, a few products.
            np.testing.assert_allclose(given[b, c], wanted, atol=1e-5)


def test_attention_pixel_by_pixel() -> None:
    torch.manual_seed(1)
    layer = Attention(8)
    torch.nn.init.normal_(layer.out.weight)
    features = torch.randn(1, 8, 3, 2)
    given = layer(features).detach()[0].reshape(8, 6).numpy()
    mixed = layer.project(layer.norm(features)).detach().reshape(3, layer.heads, 2, 6).numpy()
    query, key, value = mixed
    heard = np.zeros((layer.heads, 2, 6))
    for head in range(layer.heads):
        for pixel in range(6):
            match = [query[head, :, pixel] @ key[head, :, o] / math.sqrt(2) for o in range(6)]
            share = np.exp(match) / np.exp(match).sum()
            heard[head, :, pixel] = sum(share[o] * value[head, :, o] for o in range(6))
    out = layer.out.weight.detach().numpy()[..., 0, 0] @ heard.reshape(8, 6)
    out += layer.out.bias.detach().numpy()[:, None] + features[0].reshape(8, 6).numpy()
    np.testing.assert_allclose(given, out, atol=1e-5)


def test_blocks_begin_as_the_straight_way() -> None:
    features = torch.randn(2, 16, 4, 4)
    same = Residual(16, 16, 5)
    bias = same.conv2.bias
    assert bias is not None
    given = same(features, torch.randn(2, 5))
    np.testing.assert_allclose(
        given.detach().numpy(), (features + bias[:, None, None]).detach().numpy(), atol=1e-6
    )


def test_sinusoids() -> None:
    coded = sinusoids(torch.tensor([[0.5, -1.0]]), 9)[0].numpy()
    assert len(coded) == 2 * (1 + 2 * 9)
    wave = math.sin(0.5 * math.pi / 8 * 2**3)
    assert coded[0] == 0.5 and coded[2 + 3] == np.float32(wave)

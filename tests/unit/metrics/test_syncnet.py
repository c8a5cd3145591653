"""SyncNet: layout of the public weights, and scores exact against a slow reference."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from talkcli.errors import InputError
from talkcli.metrics.syncnet import REACH, VECTOR, LseMeter, MfccStream, load_syncnet, windows

#: Shapes of all weights of syncnet_v2 that have more than one dimension, as published.
SHAPES = {
    "netcnnaud.0": (64, 1, 3, 3), "netcnnaud.4": (192, 64, 3, 3), "netcnnaud.8": (384, 192, 3, 3),
    "netcnnaud.11": (256, 384, 3, 3), "netcnnaud.14": (256, 256, 3, 3),
    "netcnnaud.18": (512, 256, 5, 4), "netfcaud.0": (512, 512), "netfcaud.3": (1024, 512),
    "netfclip.0": (512, 512), "netfclip.3": (1024, 512), "netcnnlip.0": (96, 3, 5, 7, 7),
    "netcnnlip.4": (256, 96, 1, 5, 5), "netcnnlip.8": (256, 256, 1, 3, 3),
    "netcnnlip.11": (256, 256, 1, 3, 3), "netcnnlip.14": (256, 256, 1, 3, 3),
    "netcnnlip.18": (512, 256, 1, 6, 6),
}  # fmt: skip
NORMS = {
    "netcnnaud": (1, 5, 9, 12, 15, 19), "netcnnlip": (1, 5, 9, 12, 15, 19),
    "netfcaud": (1,), "netfclip": (1,),
}  # fmt: skip


def made_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights in the layout of the public file."""
    maker = torch.Generator().manual_seed(seed)
    found: dict[str, torch.Tensor] = {}
    for name, shape in SHAPES.items():
        spread = 1.0 / math.sqrt(math.prod(shape[1:]))
        found[f"{name}.weight"] = torch.randn(shape, generator=maker) * spread
        found[f"{name}.bias"] = torch.randn(shape[0], generator=maker) * 0.1
    for part, numbers in NORMS.items():
        for number in numbers:
            size = SHAPES[f"{part}.{number - 1}"][0]
            found[f"{part}.{number}.weight"] = torch.rand(size, generator=maker) + 0.5
            found[f"{part}.{number}.bias"] = torch.randn(size, generator=maker) * 0.1
            found[f"{part}.{number}.running_mean"] = torch.randn(size, generator=maker) * 0.1
            found[f"{part}.{number}.running_var"] = torch.rand(size, generator=maker) + 0.5
            found[f"{part}.{number}.num_batches_tracked"] = torch.tensor(1)
    return found


def slow_lse(lips: np.ndarray, sound: np.ndarray) -> tuple[float, float, int]:
    """Straight from the definition, with all vectors in memory."""
    padded = np.pad(sound, ((REACH, REACH), (0, 0)))
    distances = [
        [float(np.sqrt(((lip - padded[i + k] + 1e-6) ** 2).sum())) for k in range(2 * REACH + 1)]
        for i, lip in enumerate(lips)
    ]
    means = np.mean(distances, axis=0)
    best = int(np.argmin(means))
    return float(means[best]), float(np.median(means) - means[best]), REACH - best


def test_weights_in_the_public_layout_are_loaded_and_used(tmp_path: Path) -> None:
    torch.save(made_weights(), tmp_path / "syncnet_v2.model")
    network = load_syncnet(tmp_path / "syncnet_v2.model")
    rng = np.random.default_rng(0)
    heard = network.hear(rng.normal(size=(3, 13, 20)).astype(np.float32))
    seen = network.look(rng.uniform(0, 255, (2, 3, 5, 224, 224)).astype(np.float32))
    assert heard.shape == (3, VECTOR) and seen.shape == (2, VECTOR)
    assert np.isfinite(heard).all() and np.isfinite(seen).all() and heard.std() > 0
    # In a batch as alone: normalisation uses the stored statistics.
    alone = network.hear(rng.normal(size=(1, 13, 20)).astype(np.float32))
    assert alone.shape == (1, VECTOR)
    other = tmp_path / "other.model"
    torch.save(made_weights(1), other)
    assert not np.allclose(load_syncnet(other).hear(np.ones((1, 13, 20), np.float32)),
                           network.hear(np.ones((1, 13, 20), np.float32)))  # fmt: skip


def test_other_files_are_refused(tmp_path: Path) -> None:
    weights = made_weights()
    weights.pop("netfclip.3.bias")
    path = tmp_path / "syncnet_v2.model"
    torch.save(weights, path)
    with pytest.raises(InputError, match=r"does not hold the weights.*models verify syncnet"):
        load_syncnet(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="does not hold"):
        load_syncnet(path)

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path(tmp_path / "ran").touch, ())

    torch.save(Evil(), path)
    with pytest.raises(InputError, match="does not hold"):
        load_syncnet(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("frames", [1, 7, 31, 80])
@pytest.mark.parametrize("shift", [-3, 0, 5])
def test_scores_are_those_of_the_slow_reference(frames: int, shift: int) -> None:
    rng = np.random.default_rng(100 * frames + shift + 10)
    lips = rng.normal(size=(frames, VECTOR))
    sound = np.roll(lips, shift, axis=0) + 0.3 * rng.normal(size=lips.shape)
    meter = LseMeter()
    for start in range(0, frames, 8):
        meter.push(lips[start : start + 8], sound[start : start + 8])
    found = meter.finish()
    assert found is not None
    assert tuple(found) == pytest.approx(slow_lse(lips, sound), rel=1e-12)
    if frames == 80:
        # Sound that is later by so many frames.
        assert found.offset == -shift and found.confidence > 5.0
    assert LseMeter().finish() is None


def slow_mfcc(signal: np.ndarray) -> np.ndarray:
    """One window after the other, by the definition of each step."""
    flat = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    count = 1 if len(flat) <= 400 else 1 + math.ceil((len(flat) - 400) / 160)
    flat = np.append(flat, np.zeros((count - 1) * 160 + 400 - len(flat)))
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    edge = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / 16000)
    rows = []
    for k in range(count):
        power = np.abs(np.fft.rfft(flat[k * 160 : k * 160 + 400], 512)) ** 2 / 512
        bands = []
        for j in range(26):
            total = 0.0
            for i in range(257):
                if edge[j] <= i < edge[j + 1]:
                    total += power[i] * (i - edge[j]) / (edge[j + 1] - edge[j])
                elif edge[j + 1] <= i < edge[j + 2]:
                    total += power[i] * (edge[j + 2] - i) / (edge[j + 2] - edge[j + 1])
            bands.append(np.log(total or np.finfo(float).eps))
        row = []
        for n in range(13):
            turn = np.cos(np.pi * n * (2 * np.arange(26) + 1) / 52)
            scale = math.sqrt((1 if n == 0 else 2) / 26)
            row.append(scale * float(turn @ bands) * (1 + 11 * math.sin(math.pi * n / 22)))
        row[0] = np.log(power.sum() or np.finfo(float).eps)
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("samples", [400, 401, 3210, 5000])
def test_coefficients_are_those_of_the_definition_in_any_blocks(samples: int) -> None:
    signal = np.random.default_rng(samples).normal(size=samples) * 3000
    signal[: samples // 4] = 0.0
    wanted = slow_mfcc(signal)
    for block in (samples, 160, 97):
        stream = MfccStream()
        parts = [stream.push(signal[i : i + block]) for i in range(0, samples, block)]
        found = np.concatenate([*parts, stream.finish()])
        assert found.shape == wanted.shape
        # Rounding of the transform in numpy; coefficients reach 100.
        np.testing.assert_allclose(found, wanted, atol=1e-8)
    assert len(MfccStream().finish()) == 0


def test_every_frame_gets_its_fifth_of_a_second() -> None:
    rows = np.arange(100.0)[:, None] + np.zeros(13)
    found = list(windows([rows[:33], rows[33:34], rows[34:]]))
    assert len(found) == 21  # (100 - 20) / 4 + 1
    assert [piece[0, 0] for piece in found] == [4.0 * k for k in range(21)]
    assert all(piece.shape == (13, 20) and piece[5, -1] == piece[5, 0] + 19 for piece in found)

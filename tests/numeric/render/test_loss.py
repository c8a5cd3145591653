"""The fused L1 + SSIM loss against torch's convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from talkcli.render.cpu.loss import l1_ssim


def reference_loss(image: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    """The definition, with separable convolutions in the images' own precision."""
    taps = torch.exp(-((torch.arange(11, dtype=image.dtype) - 5) ** 2) / (2 * 1.5**2))
    taps = (taps / taps.sum()).view(1, 1, 1, 11)

    def blur(planes: torch.Tensor) -> torch.Tensor:
        rows = F.conv2d(planes, taps, padding=(0, 5))
        return F.conv2d(rows, taps.transpose(2, 3), padding=(5, 0))

    x, y = (i.permute(2, 0, 1)[:, None] for i in (image, target))
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    cov = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    ssim = ssim / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return (1 - weight) * (image - target).abs().mean() + weight * (1 - ssim.mean())


def pictures(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(height, width, 3, generator=generator)
    target = 0.7 * image + 0.3 * torch.rand(height, width, 3, generator=generator)
    # Equal pixels have no sign.
    target[: height // 3, : width // 3] = image[: height // 3, : width // 3]
    return image, target


@pytest.mark.parametrize(
    "size", [(64, 64), (33, 70), (5, 9), (1, 1), (97, 16), (40, 129), (128, 200)]
)
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_loss_and_gradient_match_torch(size: tuple[int, int], weight: float) -> None:
    image, target = pictures(*size)
    exact = image.double().requires_grad_()
    expected = reference_loss(exact, target.double(), weight)
    expected.backward()
    image.requires_grad_()
    loss = l1_ssim(image, target, weight)
    (3 * loss).backward()
    assert exact.grad is not None and image.grad is not None
    # Single precision: variances are differences of numbers near 0.3; 1e-6 was the worst seen.
    assert abs(loss.item() - expected.item()) <= 5e-6
    error = (image.grad / 3 - exact.grad).norm() / exact.grad.norm().clamp_min(1e-12)
    assert error <= 2e-5


def test_loss_is_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    image, target = pictures(150, 90)
    results = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        leaf = image.clone().requires_grad_()
        loss = l1_ssim(leaf, target)
        loss.backward()
        assert leaf.grad is not None
        results.append((loss.detach(), leaf.grad))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        l1_ssim(torch.zeros(4, 4, 3), torch.zeros(4, 5, 3))

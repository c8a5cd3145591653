"""The loss of a fit: the CPU's kernel against the twin for other devices."""

from __future__ import annotations

import pytest
import torch

from talkcli.optim.losses import l1_ssim_by_torch, photometric


def pictures(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(height, width, 3, generator=generator)
    return image, 0.7 * image + 0.3 * torch.rand(height, width, 3, generator=generator)


@pytest.mark.parametrize("size", [(48, 40), (5, 9), (1, 1), (33, 70)])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_kernel_and_twin_agree(size: tuple[int, int], share: float) -> None:
    image, target = pictures(*size)
    exact = image.double().requires_grad_()
    expected = l1_ssim_by_torch(exact, target.double(), share)
    expected.backward()
    image.requires_grad_()
    loss = photometric(image, target, share)
    loss.backward()
    assert exact.grad is not None and image.grad is not None
    # Single precision: variances are differences of numbers near 0.3, see test_loss.py.
    assert abs(loss.item() - expected.item()) <= 5e-6
    error = (image.grad - exact.grad).norm() / exact.grad.norm().clamp_min(1e-12)
    assert error <= 2e-5


def test_the_twins_gradient_is_that_of_finite_differences() -> None:
    image, target = (picture.double() for picture in pictures(4, 5))
    image.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: l1_ssim_by_torch(x, target, 0.2), image, eps=1e-6, atol=1e-7
    )


def test_equal_pictures_lose_nothing_and_others_something() -> None:
    image, target = pictures(40, 30)
    assert abs(photometric(image, image).item()) < 1e-6
    grey = torch.full_like(image, 0.5)
    # Constant pictures have no structure to compare but their mean: SSIM is
    # (2 · .5 · .6 + c1) / (.5² + .6² + c1) within, and .1 of L1.
    expected = 0.8 * 0.1 + 0.2 * (1 - (0.6 + 1e-4) / (0.61 + 1e-4))
    inner = photometric(grey, grey + 0.1).item()
    # At the rim, the window reaches beyond the picture, where both are black.
    assert abs(inner - expected) < 0.002
    assert photometric(image, target).item() > 0.02

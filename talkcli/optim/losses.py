"""Photometric losses, on the CPU with the fused kernel, elsewhere with torch."""

from __future__ import annotations

import torch
from torch import Tensor

from talkcli.shapes import Float

#: SSIM's share of the loss, as in 3D Gaussian Splatting (Kerbl et al. 2023, eq. 7).
SSIM_SHARE = 0.2
_SIGMA, _REACH = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2


def photometric(
    image: Float[Tensor, "H W 3"], target: Float[Tensor, "H W 3"], ssim_share: float = SSIM_SHARE
) -> Float[Tensor, ""]:
    """(1 - share) · L1 + share · (1 - SSIM), the loss of 3D Gaussian Splatting.

    Args:
        image: ``[H, W, 3]``, 0–1; differentiable.
        target: ``[H, W, 3]``, 0–1.
        ssim_share: weight of the structural part.
    """
    if image.device.type == "cpu":
        from talkcli.render.cpu.loss import l1_ssim

        return l1_ssim(image, target, ssim_share)
    return l1_ssim_by_torch(image, target, ssim_share)


def l1_ssim_by_torch(
    image: Float[Tensor, "H W 3"], target: Float[Tensor, "H W 3"], ssim_share: float
) -> Float[Tensor, ""]:
    """The readable twin of :func:`talkcli.render.cpu.loss.l1_ssim`, for any device."""
    away = torch.arange(-_REACH, _REACH + 1, device=image.device, dtype=image.dtype)
    window = torch.exp(-(away**2) / (2 * _SIGMA**2))
    window = (window / window.sum()).repeat(3, 1)

    def blur(planes: Tensor) -> Tensor:
        across = torch.nn.functional.conv2d(
            planes, window[:, None, None], padding=(0, _REACH), groups=3
        )
        return torch.nn.functional.conv2d(
            across, window[:, None, :, None], padding=(_REACH, 0), groups=3
        )

    x, y = (picture.permute(2, 0, 1)[None] for picture in (image, target))
    mean_x, mean_y = blur(x), blur(y)
    squares = blur(x * x + y * y) - mean_x**2 - mean_y**2
    products = blur(x * y) - mean_x * mean_y
    ssim = ((2 * mean_x * mean_y + _C1) * (2 * products + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (squares + _C2)
    )
    return (1 - ssim_share) * (x - y).abs().mean() + ssim_share * (1 - ssim.mean())


def edge_difference(
    image: Float[Tensor, "H W 3"], target: Float[Tensor, "H W 3"], scales: int = 2
) -> Float[Tensor, ""]:
    """Mean absolute difference of the gradients of two pictures, at several scales.

    L1 and SSIM forgive soft edges that are a little out of place; this does not, so that what is
    fitted to frames that never fit exactly stays sharp.

    Args:
        image: ``[H, W, 3]``; differentiable.
        target: ``[H, W, 3]``.
        scales: each halves the pictures once more.
    """
    apart = (image - target).permute(2, 0, 1)[None]
    total = image.new_zeros(())
    for scale in range(scales):
        if scale:
            apart = torch.nn.functional.avg_pool2d(apart, 2)
        total = total + (apart[..., 1:, :] - apart[..., :-1, :]).abs().mean()
        total = total + (apart[..., :, 1:] - apart[..., :, :-1]).abs().mean()
    return total / (2 * scales)

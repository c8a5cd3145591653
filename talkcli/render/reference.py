"""The renderer exactly as defined: plain torch, any float dtype, differentiable, slow.

Every other back-end is tested against this one. It draws the splats one by one, front to back,
over whole images, so it is meant for hundreds of splats and thumbnails.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from talkcli.shapes import Bool, Float
from talkcli.types import Cameras, Gaussians, Rendered

ALPHA_MAX = 0.999
ALPHA_MIN = 1 / 255
TRANSMITTANCE_MIN = 1e-4
#: Points are linearised at most this fraction of the image beyond its border (as in gsplat).
FRUSTUM_MARGIN = 0.15


@dataclass
class Projected:
    """N splats on one image plane.

    Attributes:
        centers: ``[N, 2]`` px.
        conics: ``[N, 3]`` xx, xy, yy of the inverse 2D covariance, px⁻².
        depths: ``[N]`` camera z.
        visible: ``[N]`` bool.
        compensations: ``[N]`` factor on opacities when antialiasing: the area of a splat before
            ``eps2d`` widened it, relative to that after.
    """

    centers: Float[Tensor, "N 2"]
    conics: Float[Tensor, "N 3"]
    depths: Float[Tensor, " N"]
    visible: Bool[Tensor, " N"]
    compensations: Float[Tensor, " N"]


def render_reference(
    gaussians: Gaussians,
    cameras: Cameras,
    background: Tensor | None,
    features: Tensor | None,
    eps2d: float,
    rasterize_mode: str = "classic",
    depth: bool = True,
) -> Rendered:
    """Render with torch operations only.

    Arguments are those of :func:`talkcli.render.api.render`, but ``background`` is ``[C, 3]`` or
    None.
    """
    covars = world_covariances(gaussians)
    images = []
    for camera in range(len(cameras.viewmats)):
        view, K = cameras.viewmats[camera], cameras.Ks[camera]
        splats = project(gaussians.means, covars, view, K, (cameras.width, cameras.height), eps2d)
        values = [gaussians.colors, splats.depths[:, None]]
        values += [features] if features is not None else []
        size = (cameras.width, cameras.height)
        opacities = gaussians.opacities
        if rasterize_mode == "antialiased":
            opacities = opacities * splats.compensations
        image, left = blend(splats, opacities, torch.cat(values, -1), size)
        if background is not None:
            rgb = image[..., :3] + left[..., None] * background[camera]
            image = torch.cat([rgb, image[..., 3:]], -1)
        images.append(torch.cat([image, 1 - left[..., None]], -1))
    stacked = torch.stack(images)
    return Rendered(
        rgb=stacked[..., :3],
        alpha=stacked[..., -1:],
        depth=stacked[..., 3:4] if depth else None,
        features=None if features is None else stacked[..., 4:-1],
    )


def world_covariances(gaussians: Gaussians) -> Float[Tensor, "N 3 3"]:
    """``[N, 3, 3]`` world covariances, from ``covars`` or from ``quats`` and ``scales``."""
    if gaussians.covars is not None:
        upper = gaussians.covars
        return upper[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    assert gaussians.quats is not None and gaussians.scales is not None
    axes = rotation_matrices(gaussians.quats) * gaussians.scales[:, None, :]
    return axes @ axes.transpose(1, 2)


def rotation_matrices(quats: Float[Tensor, "N 4"]) -> Float[Tensor, "N 3 3"]:
    """``[N, 3, 3]`` rotations of wxyz quaternions ``[N, 4]`` of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def project(
    means: Float[Tensor, "N 3"],
    covars: Float[Tensor, "N 3 3"],
    viewmat: Float[Tensor, "4 4"],
    K: Float[Tensor, "3 3"],
    size: tuple[int, int],
    eps2d: float,
    near: float = 0.01,
) -> Projected:
    """EWA projection of ``means [N, 3]`` and ``covars [N, 3, 3]`` into one camera.

    Args:
        means: world centres.
        covars: world covariances.
        viewmat: ``[4, 4]`` world to camera.
        K: ``[3, 3]`` px.
        size: image width and height, px.
        eps2d: px² added to the projected covariance.
        near: smallest camera z that is drawn.
    """
    rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
    x, y, z = (means @ rotation.T + translation).unbind(-1)
    visible = z >= near
    # A safe substitute keeps hidden splats from putting NaN into the gradients of visible ones.
    z = torch.where(visible, z, torch.ones_like(z))
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    width, height = size
    margin_x, margin_y = FRUSTUM_MARGIN * width / fx, FRUSTUM_MARGIN * height / fy
    tx = z * torch.clamp(x / z, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    ty = z * torch.clamp(y / z, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2], -1
    ).reshape(-1, 2, 3)
    to_image = jacobian @ rotation
    cov = to_image @ covars @ to_image.transpose(1, 2)
    xx, xy, yy = cov[:, 0, 0] + eps2d, cov[:, 0, 1], cov[:, 1, 1] + eps2d
    det = xx * yy - xy * xy
    visible = visible & (det > 0)
    det = torch.where(visible, det, torch.ones_like(det))
    undilated = cov[:, 0, 0] * cov[:, 1, 1] - xy * xy
    # The square root has no derivative at zero; such splats have no area and are not drawn anyway.
    solid = visible & (undilated > 0)
    share = torch.where(solid, undilated, torch.ones_like(det)) / det
    return Projected(
        centers=torch.stack([fx * x / z + cx, fy * y / z + cy], -1),
        conics=torch.stack([yy, -xy, xx], -1) / det[:, None],
        depths=z,
        visible=visible & torch.isfinite(det),
        compensations=torch.where(solid, share, torch.ones_like(det)).sqrt() * solid,
    )


def blend(
    splats: Projected,
    opacities: Float[Tensor, " N"],
    values: Float[Tensor, "N D"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "H W D"], Float[Tensor, "H W"]]:
    """Front-to-back blending of ``values [N, D]``.

    Returns:
        ``[H, W, D]`` blended values and ``[H, W]`` the remaining transmittance.
    """
    width, height = size
    dtype, device = values.dtype, values.device
    ys = torch.arange(height, dtype=dtype, device=device)[:, None] + 0.5
    xs = torch.arange(width, dtype=dtype, device=device)[None, :] + 0.5
    image = torch.zeros(height, width, values.shape[1], dtype=dtype, device=device)
    left = torch.ones(height, width, dtype=dtype, device=device)
    done = torch.zeros(height, width, dtype=torch.bool, device=device)
    # Sorted as float32, ties by index, as the fast back-ends sort.
    order = torch.argsort(splats.depths.detach().float(), stable=True)
    for i in order[splats.visible[order]].tolist():
        dx, dy = xs - splats.centers[i, 0], ys - splats.centers[i, 1]
        a, b, c = splats.conics[i]
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = torch.clamp(opacities[i] * torch.exp(-sigma), max=ALPHA_MAX)
        drawn = (alpha >= ALPHA_MIN) & (sigma >= 0) & ~done
        after = left * (1 - alpha)
        done = done | (drawn & (after <= TRANSMITTANCE_MIN))
        drawn = drawn & (after > TRANSMITTANCE_MIN)
        weight = torch.where(drawn, alpha * left, torch.zeros_like(left))
        image = image + weight[..., None] * values[i]
        left = torch.where(drawn, after, left)
    return image, left

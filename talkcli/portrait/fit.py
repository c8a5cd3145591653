"""Colour fit: the source view shall show the source picture, pixel for pixel.

Splats overlap, so each pixel shows a mixture of neighbours. SIRT undoes the mixing: every splat
collects the residual of the pixels in which it is seen, in proportion to its share there. Using
only the splat's own pixel (Van Cittert) diverges where splats hide each other.
"""

from __future__ import annotations

import numpy as np

from talkcli.avatar.portrait import PortraitAvatar
from talkcli.portrait.images import smoothstep
from talkcli.portrait.splats import Layer
from talkcli.render.cpu import Workspace, backproject, rasterize

#: Colours of the rim may move by this much only: there the matte, not the colour, is in doubt.
_RIM_LIMIT = 0.06
#: Completed surfaces show through at the source's contours only; strong corrections there would
#: be speckles when the head turns.
_LIMITS = {Layer.COMPLETION: 0.03, Layer.SHELL: 0.03}
_OTHER_LIMIT = 0.15


def fit_colors(
    avatar: PortraitAvatar, picture: np.ndarray, alpha: np.ndarray, iterations: int
) -> list[float]:
    """Adjust colours (and the rim's opacities) in place so that the source view is reproduced.

    Args:
        avatar: the avatar, source expression.
        picture: ``[S, S, 3]`` float32 crop.
        alpha: ``[S, S]`` matte.
        iterations: SIRT steps; 3 reach 38 dB, 8 are near the end.

    Returns:
        PSNR of the head before each step and after the last.
    """
    splats = avatar.splats
    rows, columns = splats.pixels.T
    from_pixel = rows >= 0
    start = splats.colors.copy()
    limit = np.full(len(splats), _OTHER_LIMIT, np.float32)
    for layer, value in _LIMITS.items():
        limit[splats.layers == layer] = value
    limit[from_pixel] = 2.0
    rim = from_pixel & (splats.layers == Layer.SKIN) & (alpha[rows, columns] < 0.97)
    rim &= splats.head_weight > 0.02
    limit[rim] = _RIM_LIMIT
    workspace = Workspace()
    solid = alpha > 0.5
    history: list[float] = []
    best = (-np.inf, splats.colors, splats.opacities)
    for step in range(iterations + 1):
        avatar.refresh()
        scene = avatar.posed_splats()
        shape = (scene.means, scene.covars, scene.opacities)
        camera = (avatar.viewmat, avatar.K)
        side = avatar.frame.crop_pixels
        rgb, seen = rasterize(*shape, scene.colors, *camera, side, side, workspace)
        residual = picture - (rgb + (1 - seen[..., None]) * avatar.plate)
        history.append(float(-10 * np.log10(max((residual[solid] ** 2).mean(), 1e-12))))
        if history[-1] > best[0]:
            best = (history[-1], splats.colors.copy(), splats.opacities.copy())
        if step == iterations:
            break
        stacked = np.concatenate([residual, (alpha - seen)[..., None]], -1).astype(np.float32)
        collected, share = backproject(*shape, stacked, *camera, workspace)
        mean = collected / np.maximum(share, 1e-3)[:, None]
        trust = np.clip((share - 0.05) / 0.3, 0, 1)[:, None]
        change = trust * mean[:, :3]
        own = residual[rows, columns] * (from_pixel & (share > 0.25))[:, None]
        change += 0.5 * trust * own
        colors = np.clip(splats.colors + change, start - limit[:, None], start + limit[:, None])
        splats.colors[:] = np.clip(colors, -0.15, 1.15)
        shift = 0.5 * mean[:, 3] * smoothstep(share / 0.04)
        splats.opacities[rim] = np.clip((splats.opacities + shift)[rim], 0, 0.99)
    splats.colors[:], splats.opacities[:] = best[1:]
    avatar.refresh()
    return history

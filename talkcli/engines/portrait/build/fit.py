"""Colour fit: the source view shall show the source picture, pixel for pixel.

Splats overlap, so each pixel shows a mixture of neighbours. A few SIRT steps bring colours and
the rim's opacities near: every splat collects the residual of the pixels in which it is seen, in
proportion to its share there. Then, with opacities fixed, the picture is linear in the colours,
and conjugate gradients on the normal equations (CGLS) recover the fine detail that SIRT returns
at a few per cent a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import Assembly
from talkcli.engines.portrait.build.images import highest, highest_color, lowest
from talkcli.engines.portrait.mouth_light import find_contact_shade
from talkcli.engines.portrait.splats import Layer
from talkcli.face.topology import INNER_LOWER, INNER_UPPER
from talkcli.imaging import smoothstep
from talkcli.render.cpu import Workspace, backproject, rasterize
from talkcli.render.solid import solidify
from talkcli.shapes import Float

#: Of all steps, this share is SIRT; the rest is conjugate gradients in rounds of this many.
_SIRT_SHARE, _ROUND = 0.25, 3
#: Damping of the conjugate gradients, in units of a fully seen splat's squared weight: without
#: it, detail that no splat can show is chased with ever stronger colours.
_DAMPING = 0.02
#: A splat whose weights in the source view add up to less is hardly seen there; what shows of it
#: when the head turns must not be what made up for its neighbours.
_WELL_SEEN = 0.3
#: Colours of the rim may move by this much only: there the matte, not the colour, is in doubt.
_RIM_LIMIT = 0.06
#: Completed surfaces show through at the source's contours only; strong corrections there would
#: be speckles when the head turns.
_LIMITS = {Layer.COMPLETION: 0.03, Layer.SHELL: 0.03}
_OTHER_LIMIT, _FLAT_LIMIT, _PIXEL_LIMIT = 0.15, 0.06, 0.5
_TRUSTED_COSINE = 0.35
#: Splats that move by this much with the inner lip lines lie at them.
_SEAM, _SEAM_SHARE = (*INNER_UPPER, *INNER_LOWER), 0.4
_DARKEST, _BRIGHTEST = -0.15, 1.15


@dataclass
class _View:
    """The avatar's source view as a linear operator on colours."""

    avatar: PortraitAvatar
    workspace: Workspace

    def __post_init__(self) -> None:
        self.splats, self.camera = self.avatar.pose(), self.avatar.camera()
        # Dense coverage counts as full in the video; coverage does not depend on colours, so that
        # stays a factor per pixel.
        side = self.avatar.frame.crop_pixels
        gain, self.alpha = np.ones((side, side, 3), np.float32), self._raster(self.splats.colors)[1]
        solidify(gain, self.alpha)
        self.gain = gain

    def _raster(self, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rgb, alpha = rasterize(replace(self.splats, colors=colors), self.camera, self.workspace)
        return rgb.copy(), alpha.copy()

    def draw(self, colors: np.ndarray) -> np.ndarray:
        """Premultiplied picture ``[S, S, 3]``; its coverage is ``alpha [S, S]``."""
        return self._raster(colors)[0] * self.gain

    def collect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of ``draw``: ``[N, C]`` sums over pixels, and ``[N]`` sums of the weights."""
        weighted = image.copy()
        weighted[..., :3] *= self.gain
        return backproject(self.splats, weighted, self.camera, self.workspace)


def fit_colors(
    assembly: Assembly,
    picture: Float[np.ndarray, "S S 3"],
    alpha: Float[np.ndarray, "S S"],
    iterations: int,
) -> None:
    """Adjust colours (and the rim's opacities) in place so that the source view is reproduced.

    Args:
        assembly: the avatar, source expression, and where its splats came from.
        picture: ``[S, S, 3]`` float32 crop.
        alpha: ``[S, S]`` matte.
        iterations: steps; 3 reach 36 dB, 10 are near the end.
    """
    avatar = assembly.avatar
    start = avatar.splats.colors.copy()
    limit, rim = _limits(assembly, picture, alpha)
    workspace = Workspace()
    sirt = round(_SIRT_SHARE * iterations)
    for _ in range(sirt):
        _sirt_step(assembly, picture, alpha, workspace, rim)
        _clamp(avatar, start, limit)
    free = np.ones_like(start)
    for done in range(sirt, iterations, _ROUND):
        steps = min(_ROUND, iterations - done)
        _conjugate_gradients(avatar, picture, alpha, workspace, limit[:, None] * free, steps)
        # What has reached its limit stays there; the others make up for it in the next round.
        free[_clamp(avatar, start, limit)] = 0
    avatar.contact = find_contact_shade(avatar.splats, avatar.viewmat, avatar.K)
    avatar.refresh()


def _limits(
    assembly: Assembly, picture: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far each splat's colour may move, and which splats form the half-transparent rim."""
    splats = assembly.avatar.splats
    rows, columns = assembly.pixels.T
    from_pixel = rows >= 0
    limit = np.full(len(splats), _OTHER_LIMIT, np.float32)
    for layer, value in _LIMITS.items():
        limit[splats.layers == layer] = value
    # Detail is sharpened in proportion to itself; in flat skin beside the nose's contour, strong
    # corrections would be sparks when the head turns.
    contrast = highest_color(highest(picture, 1) - lowest(picture, 1))
    allowed = np.clip(_FLAT_LIMIT + 1.5 * contrast, 0, _PIXEL_LIMIT)
    # Nor may what will soon give way carry much.
    allowed = allowed[rows, columns] * np.where(
        splats.source_cosine > 0, smoothstep(splats.source_cosine / _TRUSTED_COSINE), 1
    )
    limit[from_pixel] = np.maximum(allowed, _FLAT_LIMIT)[from_pixel]
    # Lips that part uncover what made up for the dark line between them: it would be bright spots.
    at_seam = (np.isin(splats.vertices, _SEAM) * splats.weights).sum(1) > _SEAM_SHARE
    limit[from_pixel & at_seam] = _FLAT_LIMIT
    rim = from_pixel & (splats.layers == Layer.SKIN) & (alpha[rows, columns] < 0.97)
    rim &= splats.head_weight > 0.02
    limit[rim] = _RIM_LIMIT
    return limit, rim


def _clamp(avatar: PortraitAvatar, start: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Bring colours back within their limits; returns where they were outside."""
    near = np.clip(avatar.splats.colors, start - limit[:, None], start + limit[:, None])
    near = np.clip(near, _DARKEST, _BRIGHTEST)
    outside = near != avatar.splats.colors
    avatar.splats.colors[:] = near
    avatar.refresh()
    return np.asarray(outside)


def _sirt_step(
    assembly: Assembly,
    picture: np.ndarray,
    alpha: np.ndarray,
    workspace: Workspace,
    rim: np.ndarray,
) -> None:
    avatar = assembly.avatar
    splats = avatar.splats
    view = _View(avatar, workspace)
    seen = view.alpha
    residual = picture - (view.draw(splats.colors) + (1 - seen[..., None]) * avatar.plate)
    stacked = np.concatenate([residual, (alpha - seen)[..., None]], -1).astype(np.float32)
    collected, share = view.collect(stacked)
    mean = collected / np.maximum(share, 1e-3)[:, None]
    trust = np.clip((share - 0.05) / 0.3, 0, 1)[:, None]
    rows, columns = assembly.pixels.T
    own = residual[rows, columns] * ((rows >= 0) & (share > 0.25))[:, None]
    splats.colors += trust * (mean[:, :3] + 0.5 * own)
    shift = 0.5 * mean[:, 3] * smoothstep(share / 0.04)
    splats.opacities[rim] = np.clip((splats.opacities + shift)[rim], 0, 0.99)


def _conjugate_gradients(
    avatar: PortraitAvatar,
    picture: np.ndarray,
    alpha: np.ndarray,
    workspace: Workspace,
    limit: np.ndarray,
    steps: int,
) -> None:
    """CGLS for the colours (Björck, "Numerical Methods for Least Squares Problems", 1996, 7.4).

    Preconditioned by each splat's share of the picture and by how far it may move, so that what
    is limited or hardly seen hardly enters the solution. Pixels beyond the matte show the plate
    and do not count.
    """
    if steps < 1:
        return
    splats = avatar.splats
    view = _View(avatar, workspace)
    inside = (alpha > 0.05).astype(np.float32)[..., None]
    shown = view.draw(splats.colors) + (1 - view.alpha[..., None]) * avatar.plate
    residual = inside * (picture - shown)
    collected, share = view.collect(residual)
    trust = smoothstep(share / _WELL_SEEN) / np.sqrt(np.maximum(share, 0.05))
    scale = np.minimum(limit / _PIXEL_LIMIT, 1) * trust[:, None]
    solution = np.zeros_like(splats.colors)
    gradient = scale * collected
    direction = gradient.copy()
    power = (gradient**2).sum(0)
    for _ in range(steps):
        shown = inside * view.draw((scale * direction).astype(np.float32))
        curvature = (shown**2).sum((0, 1)) + _DAMPING * (direction**2).sum(0)
        length = power / np.maximum(curvature, 1e-20)
        solution += length * direction
        residual -= (length * shown).astype(np.float32)
        gradient = scale * view.collect(residual)[0] - _DAMPING * solution
        before, power = power, (gradient**2).sum(0)
        direction = gradient + power / np.maximum(before, 1e-20) * direction
    splats.colors += scale * solution

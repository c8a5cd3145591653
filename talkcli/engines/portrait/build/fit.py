"""Colour fit: the source view shall show the source picture, pixel for pixel.

Splats overlap, so each pixel shows a mixture of neighbours. A few SIRT steps bring colours and
the rim's opacities near: every splat collects the residual of the pixels in which it is seen, in
proportion to its share there. Then, with opacities fixed, the picture is linear in the colours,
and conjugate gradients on the normal equations (CGLS) recover the fine detail that SIRT returns
at a few per cent a step.

Three of five splats hardly show in the source view. They are left out: what little they
contribute is taken as given, and a step costs half. So is whatever the head does not reach.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from talkcli.avatar import Camera
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import Assembly
from talkcli.engines.portrait.build.images import highest, highest_color, lowest, window
from talkcli.engines.portrait.mouth_light import find_contact_shade
from talkcli.engines.portrait.splats import Layer
from talkcli.face.topology import INNER_LOWER, INNER_UPPER
from talkcli.imaging import smoothstep
from talkcli.render.cpu import Workspace, backproject, rasterize
from talkcli.render.solid import solidify
from talkcli.shapes import Float
from talkcli.types import SplatArrays

#: Of all steps, this share is SIRT; the rest is conjugate gradients in rounds of this many.
_SIRT_SHARE, _ROUND = 0.25, 3
#: Damping of the conjugate gradients, in units of a fully seen splat's squared weight: without
#: it, detail that no splat can show is chased with ever stronger colours.
_DAMPING = 0.02
#: Splats whose weights in the source view add up to less are behind others: together, what they
#: contribute to 80,000 visible ones is that of 30.
_HIDDEN = 0.01
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
    """Some splats in the avatar's source view, as a linear operator on their colours.

    Attributes:
        splats: n splats, posed.
        camera: of the source view.
        workspace: buffers of the renderer.
        gain: ``[S, S, 1]`` factor on what is drawn. Dense coverage counts as full in the video;
            coverage does not depend on colours, so that this stays a factor per pixel.
    """

    splats: SplatArrays
    camera: Camera
    workspace: Workspace
    gain: np.ndarray

    def draw(self, colors: np.ndarray) -> np.ndarray:
        """Premultiplied picture ``[S, S, 3]`` of the splats in these colours ``[n, 3]``."""
        shown, _ = rasterize(replace(self.splats, colors=colors), self.camera, self.workspace)
        return shown * self.gain

    def collect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of ``draw``: ``[n, C]`` sums over pixels, and ``[n]`` sums of the weights."""
        weighted = image.copy()
        weighted[..., :3] *= self.gain
        return backproject(self.splats, weighted, self.camera, self.workspace)


@dataclass(frozen=True)
class _Wanted:
    """What the source view shall show, in the part of the crop that the head reaches.

    Attributes:
        picture: ``[H, W, 3]``.
        alpha: ``[H, W]`` matte.
        plate: ``[H, W, 3]``.
        camera: of this part.
        place: ``[N, 2]`` int32 row and column in it of the pixel that each splat came from.
        from_pixel: ``[N]`` bool, splats that came from one.
        workspace: buffers of the renderer.
    """

    picture: np.ndarray
    alpha: np.ndarray
    plate: np.ndarray
    camera: Camera
    place: np.ndarray
    from_pixel: np.ndarray
    workspace: Workspace


def _reached(
    assembly: Assembly, picture: np.ndarray, alpha: np.ndarray
) -> tuple[_Wanted, np.ndarray]:
    """The part of the crop that any splat reaches, and which splats show there."""
    avatar, workspace = assembly.avatar, Workspace()
    posed, camera = avatar.pose(), avatar.camera()
    _, covered = rasterize(posed, camera, workspace)
    box = window(covered > 0, 0)
    intrinsics = np.array(camera.K)
    intrinsics[:2, 2] -= box[1].start, box[0].start
    height, width = covered[box].shape
    corner = np.array([box[0].start, box[1].start], np.int32)
    wanted = _Wanted(
        picture[box],
        alpha[box],
        avatar.plate[box],
        Camera(camera.viewmat, intrinsics, width, height),
        np.clip(assembly.pixels - corner, 0, (height - 1, width - 1)),
        assembly.pixels[:, 0] >= 0,
        workspace,
    )
    _, share = backproject(posed, wanted.alpha[..., None], wanted.camera, workspace)
    return wanted, np.flatnonzero(share > _HIDDEN)


def _photographed(
    avatar: PortraitAvatar, chosen: np.ndarray | slice, wanted: _Wanted
) -> tuple[_View, np.ndarray, np.ndarray]:
    """The source view of some splats, the picture ``[H, W, 3]`` and coverage ``[H, W]`` there."""
    posed, camera, workspace = avatar.pose(), wanted.camera, wanted.workspace
    splats = SplatArrays(**{f.name: getattr(posed, f.name)[chosen] for f in fields(posed)})
    rgb, alpha = rasterize(splats, camera, workspace)
    shown, covered = rgb.copy(), alpha.copy()
    solidify(shown, covered)
    gain = np.where(alpha > 0, covered / np.maximum(alpha, 1e-6), 1)[..., None]
    return _View(splats, camera, workspace, gain), shown, covered


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
    wanted, chosen = _reached(assembly, picture, alpha)
    sirt = round(_SIRT_SHARE * iterations)
    for _ in range(sirt):
        _sirt_step(avatar, wanted, chosen, rim)
        _clamp(avatar, start, limit)
    _refine(avatar, wanted, chosen, (start, limit), iterations - sirt)
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
    # So does an iris that turns: around it, a bright outline would be left on the white.
    limit[splats.layers == Layer.EYE] = _FLAT_LIMIT
    rim = from_pixel & (splats.layers == Layer.SKIN) & (alpha[rows, columns] < 0.97)
    rim &= splats.head_weight > 0.02
    limit[rim] = _RIM_LIMIT
    return limit, rim


def _clamp(avatar: PortraitAvatar, start: np.ndarray, limit: np.ndarray) -> None:
    """Bring colours back within their limits."""
    avatar.splats.colors[:] = _within(avatar.splats.colors, start, limit)
    avatar.refresh()


def _within(colors: np.ndarray, start: np.ndarray, limit: np.ndarray) -> np.ndarray:
    near = np.clip(colors, start - limit[:, None], start + limit[:, None])
    return np.clip(near, _DARKEST, _BRIGHTEST)


def _sirt_step(
    avatar: PortraitAvatar, wanted: _Wanted, chosen: np.ndarray, rim: np.ndarray
) -> None:
    splats = avatar.splats
    view, shown, seen = _photographed(avatar, chosen, wanted)
    residual = wanted.picture - (shown + (1 - seen[..., None]) * wanted.plate)
    stacked = np.concatenate([residual, (wanted.alpha - seen)[..., None]], -1)
    collected, share = view.collect(stacked)
    mean = collected / np.maximum(share, 1e-3)[:, None]
    trust = np.clip((share - 0.05) / 0.3, 0, 1)[:, None]
    rows, columns = wanted.place[chosen].T
    own = residual[rows, columns] * (wanted.from_pixel[chosen] & (share > 0.25))[:, None]
    splats.colors[chosen] += trust * (mean[:, :3] + np.float32(0.5) * own)
    shift = np.float32(0.5) * mean[:, 3] * smoothstep(share / 0.04)
    soft = rim[chosen]
    moved = np.clip(splats.opacities[chosen[soft]] + shift[soft], 0, 0.99)
    splats.opacities[chosen[soft]] = moved


def _refine(
    avatar: PortraitAvatar,
    wanted: _Wanted,
    chosen: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    steps: int,
) -> None:
    """Conjugate gradients in rounds, after each of which colours are brought within limits.

    What has reached its limit stays there; the others make up for it in the next round.

    Args:
        avatar: changed in place.
        wanted: pixels beyond its matte show the plate and do not count.
        chosen: ``[n]`` the visible splats.
        bounds: ``[N, 3]`` first colours, and ``[N]`` how far each may move from them.
        steps: of conjugate gradients.
    """
    if steps < 1:
        return
    view, shown, covered = _photographed(avatar, slice(None), wanted)
    visible = {f.name: getattr(view.splats, f.name)[chosen] for f in fields(view.splats)}
    inside = (wanted.alpha > 0.05).astype(np.float32)[..., None]
    view = replace(view, splats=SplatArrays(**visible), gain=view.gain * inside)
    start, limit = (values[chosen] for values in bounds)
    colors = avatar.splats.colors[chosen]
    residual = inside * (wanted.picture - shown - (1 - covered[..., None]) * wanted.plate)
    free = np.ones_like(colors)
    for done in range(0, steps, _ROUND):
        count = min(_ROUND, steps - done)
        moved = colors + _conjugate_gradients(view, residual, limit[:, None] * free, count)
        within = _within(moved, start, limit)
        free[within != moved] = 0
        if done + count < steps:
            residual -= view.draw(within - colors)
        colors = within
    avatar.splats.colors[chosen] = colors
    avatar.refresh()


def _conjugate_gradients(
    view: _View, residual: np.ndarray, limit: np.ndarray, steps: int
) -> np.ndarray:
    """CGLS for the colours (Björck, "Numerical Methods for Least Squares Problems", 1996, 7.4).

    Preconditioned by each splat's share of the picture and by how far it may move, so that what
    is limited or hardly seen hardly enters the solution.

    Args:
        view: of n splats.
        residual: ``[S, S, 3]`` what is missing.
        limit: ``[n, 3]`` how far each colour may move.
        steps: at least 1.

    Returns:
        ``[n, 3]`` change of the colours.
    """
    collected, share = view.collect(residual)
    trust = smoothstep(share / _WELL_SEEN) / np.sqrt(np.maximum(share, 0.05))
    scale = np.minimum(limit / _PIXEL_LIMIT, 1) * trust[:, None]
    solution = np.zeros_like(collected)
    gradient = scale * collected
    direction = gradient.copy()
    power = _squares(gradient)
    for step in range(steps):
        shown = view.draw(scale * direction)
        curvature = _squares(shown) + _DAMPING * _squares(direction)
        length = (power / np.maximum(curvature, 1e-20)).astype(np.float32)
        solution += length * direction
        if step + 1 == steps:
            break
        residual = residual - length * shown
        gradient = scale * view.collect(residual)[0] - np.float32(_DAMPING) * solution
        before, power = power, _squares(gradient)
        direction = gradient + (power / np.maximum(before, 1e-20)).astype(np.float32) * direction
    return scale * solution


def _squares(values: np.ndarray) -> np.ndarray:
    """``[3]`` sums of squares of ``[..., 3]``, by channel."""
    flat = values.reshape(-1, 3)
    return np.diagonal(flat.T @ flat).astype(float)

"""The one entry point to every renderer, differentiable, with gsplat's semantics.

Splats are projected by EWA with ``eps2d`` added to the 2D covariance, cut at the near plane, and
blended front to back: alpha is clamped to 0.999, splats under 1/255 are skipped, and a pixel stops
before the splat that would bring its transmittance to 1e-4 or less.
"""

from __future__ import annotations

import torch

from talkcli.render.backend import choose_backend
from talkcli.shapes import Float
from talkcli.types import Cameras, Gaussians, Rendered

#: gsplat's names: when the projection widens splats, they keep their opacity, or their light.
RASTERIZE_MODES = ("classic", "antialiased")
#: Largest number of extra channels in one call, besides colour, alpha and depth.
MAX_FEATURES = 32


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    background: Float[torch.Tensor, "*C 3"] | None = None,
    features: Float[torch.Tensor, "N F"] | None = None,
    backend: str = "auto",
    eps2d: float = 0.3,
    rasterize_mode: str = "classic",
    depth: bool = True,
) -> Rendered:
    """Render N Gaussians in C cameras.

    Differentiable in means, quats, scales or covars, opacities, colors, features, background and
    viewmats. Numbers should be finite; the CPU leaves out splats with others.

    Args:
        gaussians: the splats; shape given by ``quats`` and ``scales`` or by ``covars``.
        cameras: C pinhole cameras of one size.
        background: ``[3]`` or ``[C, 3]`` colour behind everything; None leaves colour
            premultiplied.
        features: ``[N, F]`` extra channels (F up to 32), blended like the colours.
        backend: ``auto``, ``cpu``, ``cuda`` or ``reference``.
        eps2d: px², added to both diagonal elements of the projected covariance.
        rasterize_mode: ``classic``, or ``antialiased``, which multiplies opacities by
            sqrt(det(cov2d) / det(cov2d + eps2d)): splats smaller than a pixel then fade instead of
            growing (Mip-Splatting, Yu et al. 2024, the 2D filter).
        depth: whether depth is wanted; without it, a fit's step takes some 3 % less.

    Returns:
        ``rgb [C, H, W, 3]``, ``alpha`` and, if wanted, ``depth [C, H, W, 1]``,
        ``features [C, H, W, F]``, on the device of ``gaussians.means``.

    Raises:
        ValueError: shapes do not match, or there is no such ``rasterize_mode``.
        UsageError, MissingDependencyError: as for :func:`talkcli.render.backend.choose_backend`.
    """
    check_shapes(gaussians, cameras, background, features)
    if rasterize_mode not in RASTERIZE_MODES:
        raise ValueError(f"rasterize_mode is {' or '.join(RASTERIZE_MODES)}, not {rasterize_mode}")
    choice = choose_backend(backend)
    if background is not None:
        background = background.expand(len(cameras.viewmats), 3)
    if choice.name == "cuda":
        from talkcli.render.cuda import render_cuda as draw
    elif choice.name == "cpu":
        from talkcli.render.cpu.autograd import render_cpu as draw
    else:
        from talkcli.render.reference import render_reference as draw
    return draw(gaussians, cameras, background, features, eps2d, rasterize_mode, depth)


def check_shapes(
    gaussians: Gaussians,
    cameras: Cameras,
    background: torch.Tensor | None,
    features: torch.Tensor | None,
) -> None:
    """Raise ValueError with the offending shape unless the arguments of ``render`` match."""
    n, c = len(gaussians.means), len(cameras.viewmats)
    if (gaussians.covars is None) == (gaussians.quats is None or gaussians.scales is None):
        raise ValueError("give either covars, or quats and scales")
    wanted: list[tuple[str, torch.Tensor | None, tuple[int, ...]]] = [
        ("means", gaussians.means, (n, 3)),
        ("opacities", gaussians.opacities, (n,)),
        ("colors", gaussians.colors, (n, 3)),
        ("quats", gaussians.quats, (n, 4)),
        ("scales", gaussians.scales, (n, 3)),
        ("covars", gaussians.covars, (n, 6)),
        ("viewmats", cameras.viewmats, (c, 4, 4)),
        ("Ks", cameras.Ks, (c, 3, 3)),
    ]
    if features is not None:
        width = features.shape[-1] if features.ndim == 2 else 0
        wanted.append(("features", features, (n, width)))
        if not 1 <= width <= MAX_FEATURES:
            raise ValueError(f"features have 1 to {MAX_FEATURES} channels, not {width}")
    if background is not None and background.shape not in ((3,), (c, 3)):
        raise ValueError(f"background has shape {tuple(background.shape)}, not [3] or [{c}, 3]")
    for name, value, shape in wanted:
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, not {list(shape)}")
    if cameras.width < 1 or cameras.height < 1:
        raise ValueError(f"cannot render {cameras.width}x{cameras.height} pixels")

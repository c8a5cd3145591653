"""The CPU renderer: numba kernels on explicit SIMD values, as fast as C++ with intrinsics."""

from __future__ import annotations

from talkcli.render.cpu.gather import backproject
from talkcli.render.cpu.raster import Workspace, rasterize

__all__ = ["Workspace", "backproject", "rasterize"]

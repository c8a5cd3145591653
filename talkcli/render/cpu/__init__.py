"""The CPU renderer: numba kernels on explicit SIMD values, as fast as C++ with intrinsics.

A frame goes through five kernels, each called from every thread of :mod:`~.pool`:

1. ``project`` turns splats into *records* of 16 floats, one cache line each: centre, the quadratic
   form of alpha's logarithm, extents, colour, depth. Vectors take sixteen splats at a time; the
   entries per 32 px tile are counted on the way.
2. ``plan`` lays out the tiles' lists and hands tiles out fullest first.
3. ``fill`` writes the lists' entries, (depth, index) in one int64, in the order of memory.
4. ``blend`` sorts a tile's list and walks it front to back over a buffer in the first-level cache,
   four columns of four rows per vector.
5. For gradients, ``blend_backward`` walks again and leaves sums in one slot per entry, and
   ``project_backward`` collects a splat's slots and carries them back to parameters and camera.

Nothing is added atomically: the images and gradients are the same bits for any number of threads.

What pays, in factors of the time measured on two Zen 5 cores (``benchmarks/render.py`` repeats what
it can): vectors of pixels instead of one pixel at a time, 60 and more; explicit vectors instead of
a loop over lanes that numba's compiler is left to vectorise, 8; fetching records 20 entries ahead,
1.5 to 2.5; sorting each tile in the cache by the bits that differ instead of all splats by whole
depths, no serial step and about 2 for sorting and binning; gradient slots in the order of splats
instead of that of tiles, 2 for ``project_backward``; waiting threads that sleep instead of
spinning, 2 to 4 beside a busy neighbour.

:func:`rasterize` and :func:`backproject` work on numpy arrays and never load torch;
:mod:`~.autograd` is the back-end behind :func:`talkcli.render.render`; :mod:`~.loss` the loss to
fit with. Bad numbers (NaN, infinities) hide their splat and reach no other one.
"""

from __future__ import annotations

from talkcli.render.cpu.gather import backproject
from talkcli.render.cpu.raster import RasterSettings, Workspace, rasterize

__all__ = ["RasterSettings", "Workspace", "backproject", "rasterize"]

"""Sizes and positions that the kernels agree on. See :mod:`talkcli.render.cpu` for the whole."""

from __future__ import annotations

import numpy as np

#: Side of a tile, px. 16/32/64 gave 7.9/7.1/6.3 ms per frame, but 64 leaves only 16 tiles at
#: 256 px, too few to balance two threads.
TILE = 32
#: Side of a window of pixels: one vector is four columns of four rows.
BLOCK = 4
#: Floats of one plane's row, and rows, of a tile's buffer: a window may start at the last one.
ROW = TILE + BLOCK
ROWS = TILE + BLOCK - 1

#: One projected splat is one cache line of 16 floats.
RECORD = 16
U, V = 0, 1  # centre, px
A, B, C, LEVEL = 2, 3, 4, 5  # -ln(alpha) / 8 = A dx² + B dx dy + C dy² + LEVEL
X, Y = 6, 7  # first and last pixel where alpha ≥ 1/255: 16 bits each of an int32, first low
SPAN, SLANT, SQUEEZE = 8, 9, 10  # inside: (dy + SLANT dx)² ≤ SPAN − SQUEEZE dx²
RED, GREEN, BLUE = 11, 12, 13
DEPTH = 14  # camera z
SLOT = 15  # first gradient slot, int32 bits

#: One list entry's gradients are a cache line too: sums of s = -dL/d(sigma) times 1, dx, dy, dx²,
#: dx·dy, dy², then gradients of red, green, blue and depth, then nothing.
GRADIENTS = 16

#: Splats whose share of the camera's gradient is summed in one go; a fixed number, so that the
#: order of additions does not depend on the threads.
CHUNK = 1024

#: Camera parameters as the kernels take them, float32 ``[CAMERA]``: rotation rows with their
#: translation (12), fx, fy, cx, cy, clamps of x/z and y/z (4), eps2d, near, tiles in x and y,
#: 1 where opacities make up for eps2d (antialiasing), else 0, and the last column and row.
CAMERA = 27
ANTIALIASED = 24
LAST_COLUMN, LAST_ROW = 25, 26

#: How far ahead the next splat's record is fetched; without it, 120k splats take 2.5 times longer.
AHEAD = 20

F0, F1, HALF = np.float32(0), np.float32(1), np.float32(0.5)
ALPHA_MAX = np.float32(0.999)
ALPHA_MIN = np.float32(1 / 255)
TRANSMITTANCE_MIN = np.float32(1e-4)

"""Standard 3DGS ``.ply``: the format that SuperSplat and most viewers open.

Viewers of trained scenes expect the axes of a photogrammetry scene, y down; SuperSplat turns
every ``.ply`` by 180° about z on import. Head-frame points are therefore written as
``(-x, -y, z)``: there the head stands upright and faces the first camera. Unit: decimetre.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkcli.files.output import PendingOutput

if TYPE_CHECKING:
    from talkcli.types import Gaussians

#: Zeroth spherical harmonic: colour = 0.5 + _SH0 · f_dc.
_SH0 = 0.28209479177387814
_CM_TO_UNIT = 0.1
_FILE_AXES = np.array([-1.0, -1.0, 1.0])
#: Splats are flat; a disc gets this share of its middle extent as thickness,
#: because the file stores logarithms.
_THICKNESS = 0.1
#: Invisible splats (culled back sides) are left out.
_MIN_OPACITY = 0.005
_PROPERTIES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def write_ply(path: Path, gaussians: Gaussians, *, overwrite: bool = False) -> None:
    """Write Gaussians of the head frame.

    Args:
        path: the output file; it appears only once it is complete.
        gaussians: with ``covars``, centimetres.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the file exists, or its folder cannot be written.
    """
    content = ply_bytes(gaussians)
    with PendingOutput(path, overwrite=overwrite) as pending:
        pending.write(content)
        pending.commit()


def ply_bytes(gaussians: Gaussians) -> bytes:
    """The file's content: little-endian binary PLY with 17 float properties per splat."""
    if gaussians.covars is None:
        raise ValueError("write_ply needs Gaussians with covars")
    opacity = gaussians.opacities.numpy().astype(np.float64)
    shown = opacity > _MIN_OPACITY
    means = gaussians.means.numpy()[shown] * _FILE_AXES * _CM_TO_UNIT
    scales, quats = decompose(gaussians.covars.numpy()[shown].astype(np.float64))
    clipped = np.clip(opacity[shown], None, 0.999)
    columns = [
        means,
        np.zeros_like(means),
        (gaussians.colors.numpy()[shown] - 0.5) / _SH0,
        np.log(clipped / (1 - clipped))[:, None],
        np.log(scales * _CM_TO_UNIT),
        quats,
    ]
    rows = np.hstack(columns).astype("<f4")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {name}" for name in _PROPERTIES] + ["end_header", ""]
    return "\n".join(header).encode("ascii") + rows.tobytes()


def decompose(covars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales and file-frame quaternions of covariances.

    Args:
        covars: ``[n, 6]`` upper triangles xx, xy, xz, yy, yz, zz, head frame, cm².

    Returns:
        ``[n, 3]`` standard deviations in cm and ``[n, 4]`` wxyz rotations of their axes, in the
        file's axes.
    """
    matrices = covars[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    values, axes = np.linalg.eigh(matrices)
    axes = _FILE_AXES[:, None] * axes
    axes[np.linalg.det(axes) < 0, :, 0] *= -1
    scales = np.sqrt(np.maximum(values, 1e-12))
    scales[:, 0] = np.maximum(scales[:, 0], _THICKNESS * scales[:, 1])
    return scales, quaternions(axes)


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """``[n, 4]`` wxyz unit quaternions of rotation matrices ``[n, 3, 3]``, w ≥ 0."""
    from scipy.spatial.transform import Rotation

    xyzw = Rotation.from_matrix(rotations).as_quat(canonical=True)
    return np.asarray(xyzw[:, [3, 0, 1, 2]])

"""Depth of hair, ears and neck from a monocular depth network.

The face keeps the depth of the face model. Around it, the analytic avatar inflates a silhouette;
here, slopes come from the network instead, and are integrated outwards from the face, so that only
the shape of the network's depth counts and not its unknown scale far from the face. Splats move
along their rays: the source's view stays the same.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.normals import Pinhole, Prior, integrate_normals
from talkcli.engines.portrait.splats import Layer
from talkcli.shapes import Float, Float32, UInt8
from talkcli.weights.depth_network import DepthNetwork, fitted_depth

#: Side of the map that is integrated, pixels; more is slow and shows nothing more.
_SIDE = 128
#: Splats bound to the face by less than the first of these move freely, by more than the second not
#: at all.
_FREE, _HELD = 0.05, 0.8
#: Weights of the avatar's own depth in the face and around it; slopes weigh about 1.
_FACE_WEIGHT, _AROUND_WEIGHT = 1e-1, 1e-5
#: Farther than this nothing is moved, centimetres.
_MOST_CM = 3.0
_TURNS = 12


def relieved(
    avatar: PortraitAvatar, crop: UInt8[np.ndarray, "S S 3"], network: DepthNetwork
) -> PortraitAvatar:
    """The avatar with a network's relief around its face.

    Args:
        avatar: the analytic avatar.
        crop: ``[S, S, 3]`` the picture that it was built from, cut to its crop.
        network: the depth network.

    Raises:
        InputError: the network gives no map, or one that does not fit the face.
    """
    splats = avatar.splats
    skin = np.flatnonzero(splats.layers == Layer.SKIN)
    seen = splats.positions[skin] @ avatar.viewmat[:3, :3].T + avatar.viewmat[:3, 3]
    pixels = seen @ avatar.K.T
    scale = _SIDE / avatar.frame.crop_pixels
    place = pixels[:, :2] / pixels[:, 2:] * scale
    cell = np.clip(place.astype(int), 0, _SIDE - 1)
    bound = np.clip(splats.weights[skin].sum(1), 0, 1)
    depth, held, mask = _maps(cell, seen[:, 2], bound)
    small = cv2.resize(network.inverse_depth(crop), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    wanted = fitted_depth(small, np.where(mask, depth, 1), mask & (held > _HELD))
    camera = Pinhole(
        float(avatar.K[0, 0]) * scale,
        (float(avatar.K[0, 2]) * scale, float(avatar.K[1, 2]) * scale),
    )
    weight = np.where(held > _HELD, _FACE_WEIGHT, _AROUND_WEIGHT) * mask
    found = integrate_normals(
        _normals(wanted, camera), mask, camera=camera, prior=Prior(depth, weight), turns=_TURNS
    )
    change = np.where(mask, found - np.where(mask, depth, 0), 0).astype(np.float32)
    shift = np.clip(_sampled(change, mask, place), -_MOST_CM, _MOST_CM)
    free = np.clip((_HELD - bound) / (_HELD - _FREE), 0, 1)
    farther = (free * shift / seen[:, 2]).astype(np.float32)[:, None]
    return _moved(avatar, skin, farther)


def _maps(
    cell: np.ndarray, depth: np.ndarray, bound: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[side, side]`` mean depth, mean binding, and where there is any."""
    number = cell[:, 1] * _SIDE + cell[:, 0]
    count = np.bincount(number, minlength=_SIDE * _SIDE)
    sums = (np.bincount(number, values, _SIDE * _SIDE) for values in (depth, bound))
    means = [(total / np.maximum(count, 1)).reshape(_SIDE, _SIDE) for total in sums]
    return means[0], means[1], count.reshape(_SIDE, _SIDE) > 0


def _normals(depth: Float[np.ndarray, "H W"], camera: Pinhole) -> Float32[np.ndarray, "H W 3"]:
    """``[H, W, 3]`` of a depth map, towards the camera."""
    height, width = depth.shape
    u = (np.arange(width) + 0.5 - camera.centre[0]) / camera.focal
    v = (np.arange(height) + 0.5 - camera.centre[1]) / camera.focal
    points = np.stack([depth * u, depth * v[:, None], depth], 2)
    crossed = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    found = crossed / np.maximum(np.linalg.norm(crossed, axis=2, keepdims=True), 1e-12)
    return found.astype(np.float32)


def _sampled(values: np.ndarray, mask: np.ndarray, place: np.ndarray) -> np.ndarray:
    """``[n]`` values of the map between its cells; what lies outside the mask does not count."""
    weight = mask.astype(np.float32)
    x, y = (np.ascontiguousarray(axis, np.float32) for axis in (place - 0.5).T)
    taken = [
        cv2.remap(image, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for image in (values * weight, weight)
    ]
    return np.asarray(taken[0][:, 0] / np.maximum(taken[1][:, 0], 1e-3))


def _moved(avatar: PortraitAvatar, skin: np.ndarray, farther: np.ndarray) -> PortraitAvatar:
    """The avatar with splats that share farther from the camera, and as large as before there."""
    eye = (-avatar.viewmat[:3, :3].T @ avatar.viewmat[:3, 3]).astype(np.float32)
    rest = avatar.splats
    positions, u, v = (
        np.array(array) for array in (rest.positions, rest.tangent_u, rest.tangent_v)
    )
    positions[skin] += (positions[skin] - eye) * farther
    u[skin] *= 1 + farther
    v[skin] *= 1 + farther
    return replace(avatar, splats=replace(rest, positions=positions, tangent_u=u, tangent_v=v))

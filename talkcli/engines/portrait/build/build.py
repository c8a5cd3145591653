"""Builds a portrait avatar from one picture: the steps in order.

Follows MGGTalk's plan (depth-aware symmetric geometry, then Gaussian prediction) with an analytic
solution at every step; nothing is learned, so nothing has to be downloaded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from talkcli.config import DEFAULT_SIZE, PortraitConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import assemble_avatar
from talkcli.engines.portrait.build.calibrate import calibrate
from talkcli.engines.portrait.build.crop import Crop, cut_crop
from talkcli.engines.portrait.build.fit import fit_colors
from talkcli.engines.portrait.build.geometry import HeadGeometry, head_geometry
from talkcli.engines.portrait.build.lipline import find_lip_line
from talkcli.engines.portrait.checkpoint import as_stored
from talkcli.engines.portrait.playback import seen_from_the_front
from talkcli.engines.portrait.trust import measure_trust
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation
from talkcli.imaging import over_white
from talkcli.layers.matte import person_matte
from talkcli.layers.plate import background_plate
from talkcli.layers.strands import loose_strands
from talkcli.layers.torso import behind_torso, torso_matte
from talkcli.shapes import UInt8
from talkcli.tracking.landmarks import Face

#: Full quality.
DEFAULT_CONFIG = PortraitConfig()


def build_portrait(
    picture: UInt8[np.ndarray, "H W 4"],
    face: Face,
    config: PortraitConfig = DEFAULT_CONFIG,
    output_side: int = DEFAULT_SIZE,
) -> PortraitAvatar:
    """Build the avatar of one face, rounded as in its file.

    Measurements on it therefore hold for the avatar that users load. Arguments and result are those
    of :func:`build_unrounded`.
    """
    return as_stored(build_unrounded(picture, face, config, output_side))


def build_unrounded(
    picture: UInt8[np.ndarray, "H W 4"],
    face: Face,
    config: PortraitConfig = DEFAULT_CONFIG,
    output_side: int = DEFAULT_SIZE,
) -> PortraitAvatar:
    """Build the avatar of one face for saving, which rounds it.

    Args:
        picture: ``[H, W, 4]`` uint8 RGBA, straight alpha.
        face: the face, in pixels of the picture.
        config: size and effort; its choice of face is ignored here.
        output_side: longest side of the video that the avatar is made for, pixels; splats match it.

    Returns:
        The avatar at the source's expression and pose.
    """
    model = FaceModel.load()
    crop = cut_crop(picture, face, output_side, config.max_crop)
    crop = replace(crop, points=find_lip_line(crop.rgb, crop.points))
    matte = person_matte(crop.rgb, crop.points, crop.face_height, crop.alpha, inside=crop.inside)
    calibration = calibrate(crop, matte, model)
    depth_scale = calibration.depth_scale
    geometry = head_geometry(crop.points, matte.alpha, model, depth_scale, crop.rgb)
    # What stays behind and beside the head needs nothing of it, and goes to a second core.
    with ThreadPoolExecutor(1, "talkcli-plate") as second:
        strands = loose_strands(crop.rgb, matte, crop.face_height, crop.inside)
        cover = np.maximum(matte.alpha, strands[..., 3])
        still = second.submit(_still_parts, picture, crop, cover, geometry, face)
        matte = replace(matte, strands=strands)
        # The picture stands in for the plate.
        assembly = assemble_avatar(picture, crop, matte, geometry, crop.rgb, model)
        avatar = assembly.avatar
        avatar.plate, avatar.torso, avatar.behind = still.result()
    yaw, pitch, roll = avatar.source_euler
    avatar.rotation = euler_to_rotation(yaw + calibration.yaw_offset, pitch, roll)
    fit_colors(assembly, crop.rgb, cover, config.fit_iterations)
    avatar.seen = seen_from_the_front(avatar)
    avatar.trusted = measure_trust(avatar, avatar.splats)
    return avatar


def _still_parts(
    picture: np.ndarray, crop: Crop, cover: np.ndarray, geometry: HeadGeometry, face: Face
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The crop without the head; in the whole picture, the torso's matte and what lies behind."""
    weight, frame = geometry.head_weight, crop.frame
    plate = background_plate(crop.rgb, cover, weight, crop.face_height, inside=crop.inside)
    place = (frame.crop_x, frame.crop_y, frame.crop_side)
    torso = torso_matte(picture, face.points, place, cover, weight)
    fh = crop.face_height * frame.crop_side / frame.crop_pixels
    return plate, torso, behind_torso(over_white(picture), torso, plate, place, fh)

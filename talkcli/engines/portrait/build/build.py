"""One picture to a portrait avatar: the steps in their order.

Follows MGGTalk's plan (depth-aware symmetric geometry, then Gaussian prediction) with an analytic
solution at every step; nothing is learned, so nothing has to be downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from talkcli.config import DEFAULT_SIZE, PortraitConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import assemble_avatar
from talkcli.engines.portrait.build.calibrate import calibrate
from talkcli.engines.portrait.build.crop import cut_crop
from talkcli.engines.portrait.build.fit import fit_colors
from talkcli.engines.portrait.build.geometry import head_geometry
from talkcli.engines.portrait.build.lipline import find_lip_line
from talkcli.engines.portrait.checkpoint import as_stored
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation
from talkcli.layers.matte import person_matte
from talkcli.layers.plate import background_plate
from talkcli.layers.torso import torso_matte
from talkcli.tracking.landmarks import Face

#: Full quality.
DEFAULT_CONFIG = PortraitConfig()


def build_portrait(
    picture: UInt8[np.ndarray, "H W 4"],
    face: Face,
    config: PortraitConfig = DEFAULT_CONFIG,
    output_side: int = DEFAULT_SIZE,
    progress: Callable[[str], None] | None = None,
) -> PortraitAvatar:
    """Build the avatar of one face.

    Args:
        picture: ``[H, W, 4]`` uint8 RGBA, straight alpha.
        face: the face, in pixels of the picture.
        config: size and effort; which face was taken does not matter here.
        output_side: longest side of the video the avatar is made for, pixels; splats match it.
        progress: called with the name of each step as it starts.

    Returns:
        The avatar at the source's expression and pose.
    """
    tell = progress or (lambda _: None)
    model = FaceModel.load()
    tell("matte")
    crop = cut_crop(picture, face, output_side, config.max_crop)
    crop = replace(crop, points=find_lip_line(crop.rgb, crop.points))
    matte = person_matte(crop.rgb, crop.points, crop.face_height, crop.alpha, inside=crop.inside)
    tell("depth")
    calibration = calibrate(crop, matte, model)
    geometry = head_geometry(crop.points, matte.alpha, model, calibration.depth_scale)
    tell("background")
    plate = background_plate(
        crop.rgb, matte.alpha, geometry.head_weight, crop.face_height, inside=crop.inside
    )
    place = (crop.frame.crop_x, crop.frame.crop_y, crop.frame.crop_side)
    torso = torso_matte(picture, face.points, place, matte.alpha, geometry.head_weight)
    tell("surface")
    assembly = assemble_avatar(picture, crop, matte, geometry, plate, model)
    avatar = assembly.avatar
    avatar.torso = torso
    yaw, pitch, roll = avatar.source_euler
    avatar.rotation = euler_to_rotation(yaw + calibration.yaw_offset, pitch, roll)
    tell("colours")
    fit_colors(assembly, crop.rgb, matte.alpha, config.fit_iterations)
    # Rounded as its file is: what is measured on a built avatar holds for the one that users load.
    return as_stored(avatar)

"""Makes an avatar in one pass of a network; eyes, lids and the mouth's inside come from the rig."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from talkcli.avatar import PictureSource
from talkcli.config import Recipe
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import assemble_avatar
from talkcli.engines.portrait.build.crop import Crop, cut_crop
from talkcli.engines.portrait.build.fit import fit_colors
from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.splat_portrait.lift import (
    BackOfHead,
    head_of,
    matte_of,
    network_of,
    see_head,
)
from talkcli.engines.splat_portrait.network import ENGINE
from talkcli.face.model import FaceModel
from talkcli.imaging import over_white
from talkcli.layers.matte import Matte, picture_probability
from talkcli.layers.plate import background_plate
from talkcli.layers.torso import behind_torso, torso_matte
from talkcli.tracking.landmarks import Face

#: Steps of the colour fit at most: three reach 36 dB.
_FIT_ITERATIONS = 3


def build_head(source: PictureSource, recipe: Recipe) -> PortraitAvatar:
    """Make the avatar of one face, at the source's expression and pose.

    The landmarks say where the crop lies. As the recipe has it, they also say how the head is
    turned and which pixels show what of the face; how deep these are, the network always says.

    Args:
        source: the picture and its face.
        recipe: ``splat_portrait.weights`` and the ``portrait`` settings of size apply.

    Raises:
        InputError: weights that cannot be used, or a crop in which the network sees no face.
    """
    model = FaceModel.load()
    network = network_of(recipe.splat_portrait.weights)
    face = Face(source.points)
    crop = cut_crop(source.rgba, face, source.output_side, recipe.portrait.max_crop)
    points = crop.points if recipe.splat_portrait.landmarks else None
    seen = see_head(crop.rgb, network, model, points)
    geometry = head_of(seen, len(crop.rgb), model)
    matte = matte_of(crop.rgb, seen.alpha, geometry.face_height)
    if crop.alpha is not None:
        matte = Matte(matte.alpha * crop.alpha, matte.foreground)
    # What stays behind and beside the head goes to a second core: half of the work.
    with ThreadPoolExecutor(1, "talkcli-plate") as second:
        still = second.submit(_still, source, crop, matte, geometry)
        assembly = assemble_avatar(
            source.rgba, crop, matte, geometry, crop.rgb, model, rest=BackOfHead(seen)
        )
        avatar = assembly.avatar
        avatar.engine = ENGINE
        avatar.plate, avatar.torso, avatar.behind = still.result()
    steps = min(_FIT_ITERATIONS, recipe.portrait.fit_iterations)
    fit_colors(assembly, crop.rgb, matte.alpha, steps)
    return avatar


def _still(
    source: PictureSource, crop: Crop, matte: Matte, geometry: HeadGeometry
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The crop without the head; in the whole picture, the torso's matte and what lies behind."""
    frame = crop.frame
    shown = np.ascontiguousarray((crop.rgb * 255).astype(np.uint8))
    person = picture_probability(shown, geometry.landmarks, geometry.face_height)
    alpha = np.maximum(matte.alpha, person * (1 - np.clip(4 * geometry.head_weight, 0, 1)))
    weight = geometry.head_weight
    plate = background_plate(crop.rgb, alpha, weight, geometry.face_height, inside=crop.inside)
    place = (frame.crop_x, frame.crop_y, frame.crop_side)
    torso = torso_matte(source.rgba, source.points, place, alpha, weight)
    height = geometry.face_height * frame.crop_side / frame.crop_pixels
    return plate, torso, behind_torso(over_white(source.rgba), torso, plate, place, height)

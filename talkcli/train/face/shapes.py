"""The expression shapes of the mean face: ICT's, refined on how real faces move.

A shape's meaning, support and depth come from ICT-FaceKit (``train.face.ict``). How exactly skin
and landmarks move with it is measured: on tracked clips, weights are solved with the current
shapes, then shapes with those weights, with a ridge towards ICT's, in a few rounds. Rarely used
shapes hardly change, and no shape learns to move what ICT's leaves at rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.face.measures import EYEBALL_CM, lid_opening, lip_aperture, lip_width
from talkcli.face.pose import euler_to_rotation
from talkcli.face.solve import bounded_ridge, face_rows
from talkcli.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    INNER_LOWER,
    INNER_UPPER,
    LIP_LOWER_ROWS,
    LIP_UPPER_ROWS,
)
from talkcli.files.atomic import staged_file
from talkcli.train.clips import clip_landmarks
from talkcli.train.expression import to_head_frame
from talkcli.types import ARKIT_NAMES

#: Degrees by which eyeLookUp, -Down, -In and -Out rotate the eye at weight 1.
LOOK_DEG = 30.0
#: Frames used per speaker; more would only repeat the same mouth.
FRAMES_PER_SPEAKER = 300
_NEUTRAL_SHARE = 0.2

_RIDGE = 1.0  # cm², on the weights of a frame
_HOLD = 30.0  # on the shapes: with this much squared weight in the data a shape moves half way
_HOLD_DEPTH = 30.0
#: Factors on the depth of ICT's shapes. Its jaw carries lower lip and chin back by 0.6 and 0.9 cm
#: per cm of lip opening; landmarks show 0.25 and 0.34. Its lips roll in to where the avatar has
#: teeth, and its mouth corners slide back around a jaw that a landmark mesh hardly has: they would
#: sink into the cheeks. A mouth moved sideways wraps around the teeth and needs its full depth, or
#: they poke through.
_DEPTH = {
    "mouthPucker": 1.0, "mouthFunnel": 1.0, "mouthShrug": 0.8, "mouthLeft": 1.0, "mouthRight": 1.0,
    "mouthClose": 0.45, "mouth": 0.35, "jawForward": 1.0, "jaw": 0.45, "brow": 0.6,
}  # fmt: skip
#: ICT moves the whole mouth 2 cm sideways; grimaces in the clips reach 1.4 cm.
_SIDEWAYS = 0.7
JAW_SHAPES = ("jawOpen", "mouthClose", "jawForward", "jawLeft", "jawRight")
_CORNER_CM = 1.2
_RIM_CM, _RIM_SHARE = 2.5, 0.25
#: Shapes that part the lips or close them again.
_PARTING = ("jaw", "mouthClose", "mouthFunnel", "mouthUpperUp", "mouthLowerDown", "mouthShrug")
_SEAL_SHARES = (0.1, 0.35, 0.7, 1.0)  # from the outermost row of the lips to the innermost
_SPEAKER_MASS = 100.0  # largest weight of one speaker, frames
_ROUNDS = 4
#: A vertex takes full part if ICT moves it, or a neighbour, by a quarter of the largest motion.
_SUPPORT_CM, _SUPPORT_SHARE = 1.0, 0.25
_LEAST_SUPPORT = 0.02


@dataclass(frozen=True)
class Motion:
    """How the face moved in one clip.

    Attributes:
        name: file name of the clip without suffix.
        speaker: shared by all clips of one person.
        speech: whether the person speaks.
        neutral: ``[478, 3]`` the person's neutral face, head frame, cm.
        shift: ``[T, 478, 3]`` float32 displacement from the neutral face, cm.
    """

    name: str
    speaker: str
    speech: bool
    neutral: np.ndarray
    shift: np.ndarray


def read_motions(
    data: Path,
    cache: Path,
    template: np.ndarray,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Motion]:
    """Landmark motion of the clips in a data folder (``train.clips`` describes it).

    Args:
        data: folder with ``speech_clips.json``; clips without speech count as well.
        cache: folder for landmarks, created if missing.
        template: ``[478, 3]`` mean face.
        progress: called with the name of each clip that has to be measured.
    """
    cache.mkdir(parents=True, exist_ok=True)
    kept: dict[str, list[tuple[dict[str, str], np.ndarray]]] = {}
    for entry in json.loads((data / "speech_clips.json").read_text()):
        parts = kept.setdefault(_person(entry), [])
        if entry["kind"] != "real" or sum(len(p) for _, p in parts) >= FRAMES_PER_SPEAKER:
            continue
        faces = to_head_frame(_landmarks(data, cache, entry["file"], progress), template)
        if faces is not None and faces[1].sum() >= 12:
            parts.append((entry, faces[0][faces[1]]))
    motions = []
    for speaker, parts in kept.items():
        everything = np.concatenate([points for _, points in parts]) if parts else np.zeros(0)
        for entry, points in parts:
            neutral = neutral_of(points if len(points) >= 60 else everything)
            step = 1 + len(points) // FRAMES_PER_SPEAKER
            shift = (points[::step] - neutral).astype(np.float32)
            name = Path(entry["file"]).stem
            motions.append(Motion(name, speaker, bool(entry["usable_speech"]), neutral, shift))
    return motions


def _person(entry: dict[str, str]) -> str:
    """The speaker; the emotional clips of one MEAD actor (…_M030_…) count as one."""
    for part in entry["speaker"].split("_"):
        if len(part) == 4 and part[0] in "MW" and part[1:].isdigit():
            return f"MEAD_{part}"
    return entry["speaker"]


def _landmarks(data: Path, cache: Path, file: str, progress: Callable[[str], None]) -> np.ndarray:
    store = cache / (file.replace("/", "__").rsplit(".", 1)[0] + ".npz")
    if not store.exists():
        progress(file)
        times, points = clip_landmarks(data / file)
        with staged_file(store) as stream:
            np.savez(stream, times=times, points=points)
    with np.load(store) as found:
        return np.asarray(found["points"])


def neutral_of(points: np.ndarray) -> np.ndarray:
    """``[478, 3]`` mean of the frames with the most closed lips and, among those, open eyes."""
    lips = lip_aperture(points) / lip_width(points)
    lids = lid_opening(points).min(-1)
    closed = lips <= np.quantile(lips, _NEUTRAL_SHARE)
    return np.asarray(points[closed & (lids >= np.quantile(lids[closed], 0.4))].mean(0))


def prior_basis(
    expression: dict[str, np.ndarray], mean: np.ndarray, symmetry: np.ndarray
) -> np.ndarray:
    """``[52, 478, 3]`` ARKit shapes from ICT's, which have the same names except for the sides.

    Args:
        expression: ``[468, 3]`` displacements by ICT's names, see ``train.face.ict``.
        mean: ``[478, 3]`` mean face.
        symmetry: ``[478]`` mirror twins of its vertices.
    """
    basis = np.zeros((len(ARKIT_NAMES), 478, 3))
    for k, name in enumerate(ARKIT_NAMES):
        sided = name.replace("Left", "_L").replace("Right", "_R")
        # jawLeft and mouthLeft have no sides; browInnerUp and cheekPuff have them in ICT only.
        own = [n for n in (name, sided) if n in expression][:1]
        for part in own or [n for n in (f"{name}_L", f"{name}_R") if n in expression]:
            basis[k, :468] += expression[part]
        if name in ("mouthLeft", "mouthRight"):
            basis[k] *= _SIDEWAYS
        if name.startswith("eyeLook"):
            basis[k] += _turned_iris(name, mean)
    for k, name in enumerate(ARKIT_NAMES):
        first = (factor for start, factor in _DEPTH.items() if name.startswith(start))
        basis[k, :468, 2] *= next(first, 1.0)
    others = [k for k, name in enumerate(ARKIT_NAMES) if name not in JAW_SHAPES]
    basis[others] *= _inside(mean)
    return symmetric(basis, symmetry)


def _inside(mean: np.ndarray) -> np.ndarray:
    """``[478, 3]`` how far a vertex follows shapes other than the jaw's: less at the face's rim.

    There landmarks slide along any contour in the picture, and depth is not visible: it would only
    push cheeks through hair and collar. The chin moves freely up and down.
    """
    rim = np.linalg.norm(mean[:, None] - mean[list(FACE_OVAL)], axis=-1).min(1)
    inside = np.clip(rim / _RIM_CM, 0, 1)
    chin = (mean[:, 1] < -6) * np.clip(1.5 - np.abs(mean[:, 0]) / 3, 0, 1)
    across = np.maximum(_RIM_SHARE + (1 - _RIM_SHARE) * inside, chin)
    return np.stack([across, across, inside], 1)


def seal(basis: np.ndarray) -> np.ndarray:
    """The basis with lips that stay together where a shape does not part them.

    Upper and lower inner lip move sideways by the same distance; in shapes that leave the mouth
    closed they move as one. Otherwise the seam would fray where lips are drawn as pixels.
    """
    basis = basis.copy()
    for name in ARKIT_NAMES:
        if not name.startswith(("mouth", "jaw")) or name.startswith("mouthRoll"):
            continue
        shape = basis[ARKIT_NAMES.index(name)]
        axes = (1, 0, 0) if name.startswith(_PARTING) else (1, 1, 1)
        upper, lower = shape[list(INNER_UPPER)], shape[list(INNER_LOWER)]
        half = (lower - upper) / 2 * axes
        for rows, way in ((LIP_UPPER_ROWS, half), (LIP_LOWER_ROWS, -half)):
            for row, share in zip(rows, _SEAL_SHARES, strict=True):
                shape[list(row)] += share * way
    return basis


def _away_from_eye_corners(mean: np.ndarray) -> np.ndarray:
    """``[478, 1]`` from 0 at the corners of the eyes, which are fixed, to 1 at 1.2 cm from them."""
    corners = mean[[*EYE_LEFT.corners, *EYE_RIGHT.corners]]
    near = np.linalg.norm(mean[:, None] - corners, axis=-1).min(1)
    return np.asarray(np.clip(near / _CORNER_CM, 0, 1)[:, None])


def _turned_iris(name: str, mean: np.ndarray) -> np.ndarray:
    """``[478, 3]`` displacement of an iris that rotates rigidly about its eyeball's centre."""
    left = name.endswith("Left")
    eye = EYE_LEFT if left else EYE_RIGHT
    outward = LOOK_DEG * (("Out" in name) - ("In" in name))
    pitch = LOOK_DEG * (("Up" in name) - ("Down" in name))
    index = [eye.iris_centre, *eye.iris_rim]
    centre = mean[eye.iris_centre] - (0, 0, EYEBALL_CM)
    turn = euler_to_rotation(outward if left else -outward, pitch, 0)
    shift = np.zeros((478, 3))
    shift[index] = (mean[index] - centre) @ turn.T + centre - mean[index]
    return shift


def symmetric(basis: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """The basis averaged with its mirror image, left shapes with right ones: ``[52, 478, 3]``."""
    twins = [ARKIT_NAMES.index(_other_side(name)) for name in ARKIT_NAMES]
    return np.asarray((basis + mirrored(basis, symmetry)[twins]) / 2)


def mirrored(shift: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Mirror image of displacements ``[..., 478, 3]``."""
    return np.asarray(shift[..., symmetry, :] * np.array([-1, 1, 1], shift.dtype))


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


def refine(
    prior: np.ndarray, motions: Sequence[Motion], mean: np.ndarray, symmetry: np.ndarray
) -> np.ndarray:
    """Shapes fitted to the motions, with a ridge towards ``prior``: ``[52, 478, 3]``.

    Alternates between the weights of the frames (bounded ridge) and the shapes: for each vertex
    ``min Σ |shift − w · B|² + Σ_k h_k |B_k − prior_k|²`` over its K shapes, centred per clip.
    Every clip is used with its mirror image.

    Args:
        prior: ``[52, 478, 3]`` shapes to start from.
        motions: measured motion.
        mean: ``[478, 3]`` mean face.
        symmetry: ``[478]`` mirror twins.
    """
    support = _support(prior, mean)
    hold = _HOLD / np.maximum(support, _LEAST_SUPPORT) ** 2
    hold = np.repeat(hold[..., None], 3, axis=2)
    # Depth is only guessed by the landmark network and is removed at the rim: it hardly changes.
    hold[..., 2] *= _HOLD_DEPTH
    hold[:, 468:] = 1e9  # irises rotate in a known way
    frames: dict[str, int] = {}
    for motion in motions:
        frames[motion.speaker] = frames.get(motion.speaker, 0) + len(motion.shift)
    masses = [min(1.0, _SPEAKER_MASS / frames[motion.speaker]) for motion in motions]
    ends = np.cumsum([len(motion.shift) for motion in motions])[:-1]
    basis = prior
    for _ in range(_ROUNDS):
        rows = face_rows(basis)
        inner = np.zeros((len(basis), len(basis)))
        outer = np.zeros(basis.shape)
        for mirror in (False, True):
            seen = [mirrored(m.shift, symmetry) if mirror else m.shift for m in motions]
            targets = np.concatenate([face_rows(shift) @ rows.T for shift in seen])
            # All frames at once: the solver's loops cost the same for one frame or a million.
            solved = np.split(bounded_ridge(rows @ rows.T, targets, _RIDGE), ends)
            for weights, shift, mass in zip(solved, seen, masses, strict=True):
                centred = weights - weights.mean(0)
                inner += mass * centred.T @ centred
                outer += mass * np.tensordot(centred.T, shift - shift.mean(0), 1)
        basis = symmetric(_solve_shapes(inner, outer, prior, hold), symmetry)
        # The ridge shrinks the weights and so would enlarge the shapes, round by round.
        size = (prior**2).sum((1, 2)) / np.maximum((basis * prior).sum((1, 2)), 1e-9)
        reach = _reach(prior) / np.maximum(_reach(basis), 1e-9)
        basis *= np.minimum(size, reach)[:, None, None]
        basis[:, 468:] = prior[:, 468:]
    others = [k for k, name in enumerate(ARKIT_NAMES) if name not in JAW_SHAPES]
    basis[others] = prior[others] + (basis - prior)[others] * _inside(mean)
    eyes = [k for k, name in enumerate(ARKIT_NAMES) if name.startswith("eye")]
    basis[eyes, :468] *= _away_from_eye_corners(mean)[:468]
    still = np.clip(support / _LEAST_SUPPORT - 1, 0, 1)[..., None]
    return seal(basis * np.where(np.arange(478)[:, None] < 468, still, 1.0))


def _reach(basis: np.ndarray) -> np.ndarray:
    """``[52]`` largest displacement of a surface vertex, cm."""
    return np.asarray(np.linalg.norm(basis[:, :468], axis=-1).max(1))


def _solve_shapes(
    inner: np.ndarray, outer: np.ndarray, prior: np.ndarray, hold: np.ndarray
) -> np.ndarray:
    solved = np.empty_like(prior)
    for axis in range(3):
        pull = hold[..., axis].T
        system = inner + pull[:, :, None] * np.eye(len(prior))
        wanted = (outer[..., axis] + hold[..., axis] * prior[..., axis]).T
        solved[..., axis] = np.linalg.solve(system, wanted[..., None])[..., 0].T
    return solved


def _support(prior: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``[52, 478]`` how freely each shape may move each vertex, 0–1."""
    size = np.linalg.norm(prior, axis=-1)
    largest = size.max(1, keepdims=True)
    near = np.exp(-(np.linalg.norm(mean[:, None] - mean, axis=-1) ** 2) / _SUPPORT_CM**2)
    reached = (near * (size / np.maximum(largest, 1e-9))[:, None]).max(-1)
    return np.asarray(np.clip(reached / _SUPPORT_SHARE, 0, 1))

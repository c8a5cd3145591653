"""The portrait avatar at run time: one head's splats, expressions and place in the picture.

World space is the head frame of the source pose, in centimetres. Views turn the head before the
source's camera, or move that camera around it: then neck and collar turn as far as the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from talkcli.avatar import (
    SOURCE_VIEW,
    Avatar,
    AvatarInfo,
    Backdrop,
    Camera,
    PictureFrame,
    TrustedRange,
    View,
)
from talkcli.engines.portrait import rig
from talkcli.engines.portrait.correction import Correction
from talkcli.engines.portrait.lids import LidSkin
from talkcli.engines.portrait.lips import jaw_shift
from talkcli.engines.portrait.mouth_light import ContactShade, MouthLight
from talkcli.engines.portrait.playback import PlayedPortrait
from talkcli.engines.portrait.skin import MovedSplats, Pose, RestSurface, skin_and_shape
from talkcli.engines.portrait.splats import Layer, RestSplats, renumbered, spans_of
from talkcli.engines.portrait.stance import (
    camera_after,
    camera_position,
    fading_into_torso,
    stance_of,
)
from talkcli.face.basis import jaw_arc, keep_apart
from talkcli.face.pose import NECK_PIVOT, euler_to_rotation, rotation_to_euler
from talkcli.face.topology import INNER_LOWER, INNER_UPPER
from talkcli.shapes import Bool, Float, Integer, UInt8
from talkcli.types import ARKIT_NAMES, Gaussians, MotionFrame, SplatArrays

#: The source's own mouth interior fades once the inner lips have moved this far (cm, rms).
_PICTURE_MOUTH_CM = 0.12
_JAW_OPEN = ARKIT_NAMES.index("jawOpen")
_CULLED = (Layer.SKIN, Layer.COMPLETION, Layer.SHELL)
#: Limit of the gaze, so that the irises never leave the lids.
MAX_GAZE_DEG = 18.0


@dataclass
class PortraitAvatar:
    """A head built from one picture.

    Attributes:
        splats: rest splats in the head frame; moving ones first (``dynamic`` of them).
        dynamic: number of splats that expressions can move.
        vertices: ``[478, 3]`` the source's face in the head frame, with the source's expression.
        neutral_shift: ``[478, 3]`` from the source's expression to the neutral one.
        basis: ``[52, 478, 3]`` ARKit shapes of this face, centimetres.
        eye_centres: ``[2, 3]`` eyeball centres, right and left.
        rotation: ``[3, 3]`` source head rotation, head frame to frontal head frame.
        viewmat: ``[4, 4]`` world to camera.
        K: ``[3, 3]`` intrinsics in pixels of the crop.
        frame: the crop's place in the picture.
        source: ``[H, W, 4]`` uint8 the picture the avatar was built from.
        plate: ``[S, S, 3]`` float32 the crop without the head.
        torso: ``[H, W]`` uint8 matte of the person without the head, for other backgrounds.
        behind: ``[H, W, 4]`` uint8 background behind the torso's rim.
        contact: the light that the lips lack while they touch; set once the colours are final.
        seen: ``[N]`` which splats can be seen in about the source's direction, see
            :mod:`talkcli.engines.portrait.playback`; None until that is known.
        correction: what expressions change besides, for avatars fitted to more than a picture.
        engine: name of the engine that made it.
        trusted: from where it is known how the head looks; None until that is measured.
    """

    splats: RestSplats
    dynamic: int
    vertices: Float[np.ndarray, "478 3"]
    neutral_shift: Float[np.ndarray, "478 3"]
    basis: Float[np.ndarray, "52 478 3"]
    eye_centres: Float[np.ndarray, "2 3"]
    rotation: Float[np.ndarray, "3 3"]
    viewmat: Float[np.ndarray, "4 4"]
    K: Float[np.ndarray, "3 3"]
    frame: PictureFrame
    source: UInt8[np.ndarray, "H W 4"]
    plate: Float[np.ndarray, "S S 3"]
    torso: UInt8[np.ndarray, "H W"] | None = None
    behind: UInt8[np.ndarray, "H W 4"] | None = None
    contact: ContactShade = field(default_factory=ContactShade.none)
    seen: Bool[np.ndarray, " N"] | None = None
    correction: Correction | None = None
    engine: str = "portrait"
    trusted: TrustedRange | None = None

    def __post_init__(self) -> None:
        self._last: _Last | None = None

    def _allocate(self) -> None:
        """Make what posing needs, 100 bytes per splat: many avatars are only taken parts of."""
        n, layers = len(self.splats), self.splats.layers
        self._picture_mouth = np.flatnonzero(layers == Layer.PICTURE_MOUTH)
        self._jaw = np.flatnonzero(self.splats.jaw_weight > 0)
        self._jaw_weight = self.splats.jaw_weight[self._jaw, None]
        self._jaw_rest = self.splats.positions[self._jaw]
        iris = np.flatnonzero(layers == Layer.IRIS)
        right = self.splats.positions[iris, 0] < 0
        right_eye, left_eye = self.eye_centres.astype(np.float32)
        centres = np.where(right[:, None], right_eye, left_eye)
        self._irises = _Irises(
            iris,
            centres,
            np.stack(
                [
                    self.splats.positions[iris] - centres,
                    self.splats.tangent_u[iris],
                    self.splats.tangent_v[iris],
                ]
            ),
        )
        self._eye = camera_position(self.camera())
        toward = self._eye - self.splats.positions
        toward /= np.linalg.norm(toward, axis=1, keepdims=True)
        steps = rig.NECK_STEPS - 1
        weight = np.round(np.clip(self.splats.head_weight, 0, 1) * steps) / steps
        self._surface = RestSurface(
            normals=self.splats.normals,
            source_cosine=self.splats.source_cosine,
            rest_cosine=np.einsum("nd,nd->n", self.splats.normals, toward).astype(np.float32),
            opacities=self.splats.opacities,
            culled=np.isin(layers, _CULLED).astype(np.float32),
            slope=self.splats.weight_slope,
            spread=self.splats.spread.copy(),
            share=weight.astype(np.float32),
        )
        faded = fading_into_torso(self.splats, self.camera(), self.frame)
        self._opacities = self.splats.opacities, faded
        self._lids = LidSkin(self.splats, self.vertices)
        self._pixel_cm = float(np.linalg.norm(self._eye) / self.K[0, 0])
        self._shift = np.zeros((self.dynamic, 3), np.float32)
        self._out = SplatArrays(
            np.zeros((n, 3), np.float32),
            np.zeros((n, 6), np.float32),
            np.zeros(n, np.float32),
            self.splats.colors.copy(),
        )
        self._positions = self.splats.positions.copy()
        self._tangents = rig.Tangents(self.splats.tangent_u.copy(), self.splats.tangent_v.copy())
        loose = np.concatenate([self._picture_mouth, self._jaw, iris])
        if self.correction is not None:
            loose = np.concatenate([loose, self.correction.index])
        self._loose = spans_of(np.union1d(np.arange(self.dynamic), loose))
        self._last = _Last()

    def refresh(self) -> None:
        """Pick up changes made to ``splats`` in place."""
        self.__dict__.pop("_mouth_light", None)
        if self._last is not None:
            self._out.colors[:] = self.splats.colors
            self._last = _Last()

    @property
    def info(self) -> AvatarInfo:
        """See :class:`talkcli.avatar.Avatar`."""
        height, width = self.source.shape[:2]
        turned, count = self.source_euler, len(self.splats)
        return AvatarInfo(self.engine, count, width, height, turned=turned, trusted=self.trusted)

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        """The source's camera, or how far it has gone around the person for a view."""
        side = len(self.plate)
        return camera_after(view.orbit_deg, Camera(self.viewmat, self.K, side, side))

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        """The picture and its plate, which never change."""
        return self._backdrop

    @cached_property
    def _backdrop(self) -> Backdrop:
        stance = partial(stance_of, self.splats, self.camera())
        return Backdrop(self.source, self.plate, self.frame, self.torso, self.behind, stance)

    @property
    def source_euler(self) -> tuple[float, float, float]:
        """Yaw, pitch, roll of the source pose in degrees."""
        return rotation_to_euler(self.rotation)

    def displacement(self, motion: MotionFrame | None) -> Float[np.ndarray, "478 3"]:
        """``[478, 3]`` float32 shift of the face vertices from the source expression, cm.

        The jaw follows its arc; lips and lids are kept from passing through each other.
        """
        if motion is None:
            return np.zeros((478, 3), np.float32)
        active = np.flatnonzero(np.abs(motion.expression) > 1e-6)
        moved = self.neutral_shift + np.einsum(
            "e,evd->vd", motion.expression[active], self.basis[active]
        )
        opened = float(motion.expression[_JAW_OPEN])
        moved += opened * (1 - opened) * self._jaw_arc
        keep_apart(moved, self.vertices)
        return moved.astype(np.float32)

    def head_rotation(
        self, motion: MotionFrame | None, yaw_deg: float | None
    ) -> Float[np.ndarray, "3 3"]:
        """``[3, 3]`` rotation of the head in its own frame, relative to the source pose.

        Args:
            motion: rotation relative to the source, or None for none.
            yaw_deg: absolute head yaw that replaces the source's, or None.
        """
        yaw, pitch, roll = self.source_euler
        delta = np.zeros(3) if motion is None else motion.rotation
        base = yaw if yaw_deg is None else yaw_deg
        wanted = euler_to_rotation(base + delta[0], pitch + delta[1], roll + delta[2])
        return np.asarray(self.rotation.T @ wanted)

    def pose(
        self,
        motion: MotionFrame | None = None,
        view: View = SOURCE_VIEW,
        *,
        hidden: bool = False,
    ) -> SplatArrays:
        """The splats of one frame; without a motion, the source exactly as photographed.

        With a motion, only what has changed is computed: the expression once for several views of
        one frame and, while the head keeps still, only the splats that the expression moves.

        Args:
            motion: expression, pose and gaze of the frame.
            view: where the head is seen from.
            hidden: also compute the covariances of splats that cannot be seen from here; otherwise
                they keep those of an earlier frame.
        """
        if self._last is None:
            self._allocate()
        rotation = self.head_rotation(motion, view.turned_deg)
        shift = np.zeros(3) if motion is None else motion.translation
        eye = camera_position(self.camera(motion, view))
        last, now = self._last or _Last(), _Last()
        if motion is not None:
            face = [motion.expression, motion.gaze]
            if self.correction is not None:
                face.append(motion.rotation)
                if motion.speech is not None:
                    face.append(motion.speech)
            now = _Last(_bytes(face), _bytes((rotation, shift, eye, np.array(hidden))))
        # An interrupted call must not be mistaken for a finished one.
        self._last = _Last()
        if now.face is None or now.face != last.face:
            self._express(motion)
        pose = Pose(rotation, shift, NECK_PIVOT, eye, float(self.K[0, 0]))
        self._surface.opacities = self._opacities[int(view.orbit_deg != 0)]
        still = now.pose is not None and now.pose == last.pose
        skin_and_shape(
            self._surface,
            MovedSplats(self._positions, *self._tangents),
            pose,
            self._out,
            spans=self._loose if still else None,
            hidden=hidden,
        )
        self._lids.apply(self._out.opacities)
        self._out.opacities[self._picture_mouth] *= self._picture_mouth_share
        self._last = now
        return self._out

    def part(self, order: Integer[np.ndarray, " M"]) -> PortraitAvatar:
        """An avatar of the splats ``order``, which are rising indices; it shares the other arrays.

        Their tangents follow from the neighbours that are left.
        """
        shaded, index = renumbered(self.contact.index, order)
        contact = ContactShade(index, self.contact.shade[shaded])
        dynamic = int(np.searchsorted(order, self.dynamic))
        correction = None if self.correction is None else self.correction.part(order)
        return replace(
            self,
            splats=self.splats.select(order),
            dynamic=dynamic,
            contact=contact,
            seen=None,
            correction=correction,
        )

    def playback(self) -> Avatar:
        """The same avatar without what no frame shows."""
        return PlayedPortrait(self)

    def neutral(self) -> Gaussians:
        """The whole neutral head, including its back, in the head frame, to view from any side."""
        posed = self.pose(MotionFrame.neutral(), hidden=True)
        gone = np.isin(self.splats.layers, (Layer.PICTURE_MOUTH, Layer.LASHES))
        opacities = np.where(gone, np.float32(0), self.splats.opacities)
        return replace(posed, opacities=opacities).gaussians()

    @cached_property
    def _jaw_arc(self) -> Float[np.ndarray, "478 3"]:
        return jaw_arc(self.vertices + self.neutral_shift, self.basis)

    @cached_property
    def _mouth_light(self) -> MouthLight:
        return MouthLight(self.splats, self.vertices, self.contact)

    def _express(self, motion: MotionFrame | None) -> None:
        """Set positions, tangents and colours for an expression, before the head turns."""
        rest, m = self.splats, self.dynamic
        moved = self.displacement(motion)
        if self.correction is not None:
            self._restore()
        rig.move_with_face(
            rest.positions[:m],
            rest.vertices[:m],
            rest.weights[:m],
            moved,
            self._shift,
            self._positions[:m],
        )
        rig.shift_tangents(
            rig.Tangents(rest.tangent_u[:m], rest.tangent_v[:m]),
            self._shift,
            rest.neighbours[:m],
            self._pixel_cm,
            rig.Tangents(self._tangents.u[:m], self._tangents.v[:m]),
        )
        self._move_jaw(moved)
        self._turn_eyes(None if motion is None else motion.gaze)
        self._lids.close(self.vertices + moved)
        self._mouth_light.apply(self._out.colors, self.vertices + moved)
        inner = moved[[*INNER_UPPER, *INNER_LOWER]]
        apart = (inner**2).sum(1).mean() / _PICTURE_MOUTH_CM**2
        self._picture_mouth_share = np.exp(-apart)
        if self.correction is not None and motion is not None:
            changed = self._positions, self._surface.spread, self._out.colors
            self.correction.apply(motion, *changed)

    def _restore(self) -> None:
        """Bring all splats back to rest, since the rig writes only those that it moves."""
        rest = self.splats
        np.copyto(self._positions, rest.positions)
        np.copyto(self._surface.spread, rest.spread)
        np.copyto(self._out.colors, rest.colors)

    def _move_jaw(self, moved: np.ndarray) -> None:
        """Make the lower teeth and the tongue follow the jaw."""
        shift = jaw_shift(moved)
        self._positions[self._jaw] = self._jaw_rest + self._jaw_weight * shift

    def _turn_eyes(self, gaze: np.ndarray | None) -> None:
        """Turn the irises about the eyeballs' centres by gaze yaw and pitch."""
        yaw, pitch = (0.0, 0.0) if gaze is None else np.clip(gaze, -MAX_GAZE_DEG, MAX_GAZE_DEG)
        turn = euler_to_rotation(float(yaw), float(pitch), 0.0).astype(np.float32)
        numbers, centres, vectors = self._irises
        offset, u, v = vectors @ turn.T
        self._positions[numbers] = offset + centres
        self._tangents.u[numbers], self._tangents.v[numbers] = u, v


class _Irises(NamedTuple):
    """The splats ``numbers [k]`` of both irises, about ``centres [k, 3]``.

    ``vectors [3, k, 3]``: positions relative to the centre, and the two tangents.
    """

    numbers: np.ndarray
    centres: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class _Last:
    """What the buffers hold, as bytes: expression and gaze, and the pose; None if unknown."""

    face: bytes | None = None
    pose: bytes | None = None


def _bytes(arrays: Sequence[np.ndarray]) -> bytes:
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)

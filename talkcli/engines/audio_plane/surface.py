"""The splats of an avatar as functions of what a fit changes about them.

An expression and a pose move the splats as in :mod:`talkcli.engines.portrait`; what is added here
is differentiable, and is added where the rig adds: in the head frame, before the head turns. The
readable definition is in :meth:`FittedSurface.posed`; at play time the same numbers are part of the
resting splats (:func:`baked`) and of :class:`talkcli.engines.audio_plane.offsets.DrivenOffsets`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.mouth_light import INSIDE_MOUTH
from talkcli.engines.portrait.rig import NECK_STEPS, neck_rotations, rotation_vector
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.imaging import smoothstep
from talkcli.shapes import Float, Float32, Integer
from talkcli.types import Gaussians, MotionFrame

#: Splats with less of the head's weight are the neck's: between these weights, changes fade.
FADE = (0.25, 0.6)
#: Those of a fit fade between these. Further down are collars and the ends of hair, which do not go
#: with the head as the rig has them: a fit down to .25 made holes of them, one down to .5 specks.
FIT_FADE = (0.7, 1.0)
#: Rest opacities are divided by; those below have no use.
_LEAST_OPACITY = 1e-3
#: Opacities begin within these bounds, or their logits would have no gradient.
_FIRST_OPACITY = (0.02, 0.98)
#: Completed surfaces, which hardly any frame shows, keep their opacity, and the shell keeps all it
#: has: what a fit makes of their rims to please the few frames that show them are holes and specks
#: behind the ear from other sides. Held-out frames lose less than .02 dB by it.
_COMPLETED = (Layer.COMPLETION, Layer.SHELL)


@dataclass(frozen=True)
class FittedSplats:
    """Which splats of an avatar a fit changes.

    Attributes:
        keep: ``[M]`` their rising numbers.
        fade: ``[M]`` how much of a change each of them takes, 0 to 1.
        around: ``[m]`` rising numbers of others, which are drawn as they are.
    """

    keep: Integer[np.ndarray, " M"]
    fade: Float32[np.ndarray, " M"]
    around: Integer[np.ndarray, " m"]

    @staticmethod
    def of_head(splats: RestSplats, keep: Integer[np.ndarray, " M"]) -> FittedSplats:
        """Some splats, faded down the neck, with nothing around them."""
        return FittedSplats(keep, fade_of(splats)[keep], np.zeros(0, np.int64))


@dataclass
class RestChange:
    """What a fit changes about M splats at rest.

    Attributes:
        shift: ``[M, 3]`` centimetres, head frame.
        log_size: ``[M]`` logarithm of the factor on their size.
        color: ``[M, 3]`` sRGB levels of 0–1, added.
        logit: ``[M]`` of the opacity.
    """

    shift: Float[Tensor, "M 3"]
    log_size: Float[Tensor, " M"]
    color: Float[Tensor, "M 3"]
    logit: Float[Tensor, " M"]

    @staticmethod
    def none(opacities: Float[np.ndarray, " M"], device: str = "cpu") -> RestChange:
        """No change yet, ready to be optimised.

        Args:
            opacities: ``[M]`` of the splats at rest.
            device: where the tensors live.
        """
        count = len(opacities)
        logit = torch.logit(torch.from_numpy(np.clip(opacities, *_FIRST_OPACITY)))
        tensors = (
            torch.zeros(count, 3),
            torch.zeros(count),
            torch.zeros(count, 3),
            logit.float(),
        )
        return RestChange(*(tensor.to(device).requires_grad_() for tensor in tensors))

    def parameters(self) -> list[Tensor]:
        """The tensors in the order of the fields."""
        return [self.shift, self.log_size, self.color, self.logit]


class FittedSurface:
    """Poses splats of an avatar, with changes that can be differentiated.

    Args:
        avatar: the avatar of the source frame.
        fitted: which splats; those of neither kind are not drawn.
        device: where the tensors live.
    """

    def __init__(self, avatar: PortraitAvatar, fitted: FittedSplats, device: str = "cpu") -> None:
        self._part, self._device = avatar.part(fitted.keep), device
        self._around = avatar.part(fitted.around) if len(fitted.around) else None
        splats = self._part.splats
        weight = np.clip(splats.head_weight, 0, 1)
        steps = np.round(weight * (NECK_STEPS - 1)).astype(np.int64)
        self._most = int(steps.max())
        neck = np.flatnonzero(steps != self._most)
        self._neck = torch.from_numpy(neck).to(device)
        self._neck_steps = torch.from_numpy(steps[neck]).to(device)
        self._fade = torch.from_numpy(fitted.fade).to(device)[:, None]
        self._rest = np.maximum(splats.opacities, _LEAST_OPACITY).astype(np.float32)
        self._rest_opacities = torch.from_numpy(self._rest).to(device)
        free = ~np.isin(splats.layers, _COMPLETED)
        self._free = torch.from_numpy(free).to(device)
        # What a posed opacity is a share of: that at rest, or itself where it is not fitted.
        self._whole_opacity = np.where(free, self._rest, 1).astype(np.float32)
        self._inside = np.flatnonzero(np.isin(splats.layers, INSIDE_MOUTH))
        self._inside_light = float(splats.colors[self._inside].sum())

    def __len__(self) -> int:
        return len(self._rest)

    @property
    def opacities(self) -> Float32[np.ndarray, " M"]:
        """``[M]`` opacities at rest."""
        return np.asarray(self._part.splats.opacities, np.float32)

    def posed(
        self,
        motion: MotionFrame,
        change: RestChange,
        offsets: Float[Tensor, "M 7"] | None = None,
    ) -> Gaussians:
        """The splats of a frame.

        Args:
            motion: expression, pose and gaze.
            change: of the splats at rest.
            offsets: ``[M, 7]`` shift (cm), logarithm of size and colour of this frame, or None.
        """
        posed = self._part.pose(motion)
        turn = neck_rotations(rotation_vector(self._part.head_rotation(motion, None)))
        shift, size, color = change.shift, change.log_size[:, None], change.color
        if offsets is not None:
            shift, size, color = (
                shift + offsets[:, :3],
                size + offsets[:, 3:4],
                color + offsets[:, 4:],
            )
        shift, size, color = (value * self._fade for value in (shift, size, color))
        means, covars, opacities, colors = (
            torch.from_numpy(array.copy()).to(self._device)
            for array in (
                posed.means, posed.covars, posed.opacities / self._whole_opacity, posed.colors,
            )
        )  # fmt: skip
        # Opacities fade, too, or collars get holes.
        rest = self._rest_opacities
        shown = rest + self._fade[:, 0] * (torch.sigmoid(change.logit) - rest)
        shown = torch.where(self._free, shown, torch.ones_like(shown))
        fitted = Gaussians(
            means=means + self._turned(turn, shift),
            covars=covars * torch.exp(2 * size),
            opacities=opacities * shown,
            colors=colors + color * self._light(posed.colors),
        )
        if self._around is None:
            return fitted
        still = self._around.pose(motion).gaussians()
        return Gaussians(
            means=self._joined(fitted.means, still.means),
            covars=self._joined(fitted.covars, still.covars),
            opacities=self._joined(fitted.opacities, still.opacities),
            colors=self._joined(fitted.colors, still.colors),
        )

    def _joined(self, fitted: Tensor | None, still: Tensor | None) -> Tensor:
        assert fitted is not None and still is not None
        return torch.cat([fitted, still.to(self._device)])

    def offset(self, motion: MotionFrame, offsets: Float[Tensor, "M 7"]) -> Gaussians:
        """The splats of a frame with offsets alone, nothing being fitted at rest.

        Args:
            motion: expression, pose and gaze.
            offsets: ``[M, 7]`` shift (cm), logarithm of size and colour of this frame, of which
                splats down the neck take a part as they are.
        """
        posed = self._part.pose(motion)
        turn = neck_rotations(rotation_vector(self._part.head_rotation(motion, None)))
        means, covars, opacities, colors = (
            torch.from_numpy(array.copy()).to(self._device)
            for array in (posed.means, posed.covars, posed.opacities, posed.colors)
        )
        return Gaussians(
            means=means + self._turned(turn, offsets[:, :3]),
            covars=covars * torch.exp(2 * offsets[:, 3:4]),
            opacities=opacities,
            colors=colors + offsets[:, 4:],
        )

    def _turned(self, table: np.ndarray, shift: Tensor) -> Tensor:
        """``[M, 3]`` shifts in the head frame, turned with their splats."""
        rotations = torch.from_numpy(table).to(self._device)
        turned = shift @ rotations[self._most].T
        if len(self._neck):
            own = torch.einsum("nij,nj->ni", rotations[self._neck_steps], shift[self._neck])
            turned = turned.index_put((self._neck,), own)
        return turned

    def _light(self, colors: np.ndarray) -> Tensor:
        """``[M, 1]`` how much light reaches each splat: less inside a mouth that is nearly shut."""
        light = np.ones((len(self), 1), np.float32)
        if self._inside_light:
            light[self._inside] = float(colors[self._inside].sum()) / self._inside_light
        return torch.from_numpy(light).to(self._device)


def fade_of(splats: RestSplats, bounds: tuple[float, float] = FADE) -> Float32[np.ndarray, " N"]:
    """``[N]`` how much of a change each splat takes: 0 on the neck to 1 on the head.

    Args:
        splats: of a head.
        bounds: of the head's weight, between which changes fade.
    """
    low, high = bounds
    head = smoothstep((splats.head_weight - low) / (high - low))
    return np.where(splats.layers == Layer.SHELL, 0, head).astype(np.float32)


def baked(avatar: PortraitAvatar, fitted: FittedSplats, change: RestChange) -> PortraitAvatar:
    """The avatar with a fit's change of its splats at rest.

    Args:
        avatar: as given to the fit.
        fitted: the splats that were fitted.
        change: what the fit found.
    """
    splats = replace(
        avatar.splats,
        **{
            name: np.array(getattr(avatar.splats, name), np.float32)
            for name in ("positions", "spread", "colors", "opacities")
        },
    )
    keep, fade = fitted.keep, fitted.fade[:, None]
    shift, log_size, color, logit = (value.detach().cpu() for value in change.parameters())
    # Not their tangents, which would be stretched further where they are longer than a pixel.
    splats.spread[keep] *= np.exp(2 * fade[:, 0] * log_size.numpy())
    splats.positions[keep] += fade * shift.numpy()
    splats.colors[keep] += fade * color.numpy()
    free = keep[~np.isin(splats.layers[keep], _COMPLETED)]
    rest = splats.opacities[keep]
    faded = rest + fade[:, 0] * (torch.sigmoid(logit).numpy() - rest)
    splats.opacities[free] = faded[np.isin(keep, free)]
    return replace(avatar, splats=splats, seen=None)

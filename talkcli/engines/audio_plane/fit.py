"""Fits the avatar of a clip's best frame to the other frames.

Each step draws one frame with the splats where the rig, the fit and the offsets of that frame's
expression put them, and compares the head with the frame. Splats at rest and offsets are trained
together: in turn, the rest settles on a mean mouth first, and the held-out mouth of one clip stays
.7 dB lower after as many steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkcli.config import FitConfig
from talkcli.engines.audio_plane.field import DrivenField
from talkcli.engines.audio_plane.frames import FitFrames
from talkcli.engines.audio_plane.network import OffsetBasis
from talkcli.engines.audio_plane.offsets import DrivenOffsets, motion_features
from talkcli.engines.audio_plane.played import OffsetsAndPlanes
from talkcli.engines.audio_plane.surface import FittedSurface, RestChange, baked
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.metrics.image import psnr
from talkcli.optim.loop import sample_of
from talkcli.optim.losses import edge_difference, photometric
from talkcli.render import render
from talkcli.render.player import draw_head, player
from talkcli.shapes import Bool, Float, Float32, Integer, UInt8
from talkcli.types import Cameras

#: Steps of Adam: shift (cm), size, colour and opacity of the splats at rest, and the network.
_RATES = {"shift": 0.002, "log_size": 0.006, "color": 0.004, "logit": 0.03}
_NETWORK_RATE = 0.002
#: Pull towards the portrait's own splats, which keeps what few frames show.
_REST_PULL = {"shift": 1e-2, "log_size": 1e-3, "color": 1e-3}
#: Towards no offsets, in the channels' units. From 1e-4 to 5e-2 the held-out picture of a clip
#: gains .1 dB and half of the offsets vanish; at .2 it is as before, at 1 it loses .4.
_OFFSET_PULL = 3e-2
#: Losses are a few hundredths; Adam's epsilon should not matter.
_LOSS_SCALE = 1000.0
#: Offsets of a shape below these are not played: 5 µm, 1 % of the size, a fifth of a grey level.
_LEAST_OFFSET = np.array([5e-4, 5e-4, 5e-4, 1e-2, 8e-4, 8e-4, 8e-4], np.float32)
#: Held-out frames looked at in an evaluation.
_LOOKS = 40
#: And shown in the preview.
_SHOWN = 4


@dataclass(frozen=True)
class HeldOut:
    """Mean PSNR over held-out frames, dB.

    Attributes:
        face: within the outline of the measured face.
        mouth: the measured lips and a margin around them.
        head: where the avatar's head is.
    """

    face: float
    mouth: float
    head: float

    @property
    def merit(self) -> float:
        """What a fit tries to raise."""
        return (self.face + self.mouth) / 2


class SubjectFit:
    """A fit in progress; see :class:`talkcli.optim.loop.Trainable`.

    Args:
        avatar: of the clip's source frame.
        frames: what it is fitted to.
        config: its settings.
        fitted: numbers of the frames that are fitted.
        held_out: numbers of those that are only looked at.
        seed: of the order of the frames.
        backend: the renderer.

    Attributes:
        optimizer: Adam over all parameters.
        scores: of the last evaluation.
    """

    def __init__(
        self,
        avatar: PortraitAvatar,
        frames: FitFrames,
        config: FitConfig,
        fitted: Integer[np.ndarray, " n"],
        held_out: Integer[np.ndarray, " k"],
        *,
        seed: int = 0,
        backend: str = "cpu",
    ) -> None:
        self._avatar, self._frames, self._config = avatar, frames, config
        self._fitted, self._seed, self._backend = fitted, seed, backend
        self._held_out = held_out[:: max(1, len(held_out) // _LOOKS)]
        self._device = device = "cuda" if backend == "cuda" else "cpu"
        self._surface = FittedSurface(avatar, frames.fitted, device)
        self.rest = RestChange.none(self._surface.opacities, device)
        features = np.stack([motion_features(m) for m in frames.poses]).astype(np.float32)
        self._features = torch.from_numpy(features).to(device)
        # The network's first weights are random, too.
        torch.manual_seed(seed)
        self.basis = OffsetBasis(
            len(frames.fitted.keep),
            features[fitted],
            shapes=config.shapes,
            hidden=config.hidden,
            dropout=config.dropout,
        ).to(device)
        groups: list[dict[str, object]] = [
            {"params": [getattr(self.rest, name)], "lr": rate} for name, rate in _RATES.items()
        ]
        trained = [p for p in self.basis.parameters() if p.numel()]
        self.field: DrivenField | None = None
        if config.planes != "none":
            places = avatar.splats.positions[frames.fitted.keep]
            self.field = DrivenField(places, frames.poses, fitted, config, device)
            trained += self.field.module.parameters()
        groups.append({"params": trained, "lr": _NETWORK_RATE})
        self.optimizer = torch.optim.Adam(groups, fused=True)
        self._plate = torch.from_numpy(frames.plate).to(device)
        self.scores: HeldOut | None = None

    def parameters(self) -> Mapping[str, Tensor]:
        """See :class:`talkcli.optim.loop.Trainable`."""
        trained: dict[str, torch.nn.Module] = {"basis": self.basis}
        if self.field is not None:
            trained["planes"] = self.field.module
        return {
            **{f"rest.{name}": getattr(self.rest, name) for name in _RATES},
            **{
                f"{kind}.{name}": value
                for kind, module in trained.items()
                for name, value in module.named_parameters()
            },
        }

    def step(self, iteration: int, generator: np.random.Generator) -> Tensor:
        """See :class:`talkcli.optim.loop.Trainable`."""
        number = int(self._fitted[sample_of(iteration, len(self._fitted), self._seed)])
        self.basis.train()
        offsets = self.basis(self._features[number] + self._noise(generator))
        dynamism = None
        if self.field is not None:
            changes, dynamism = self.field.changes(number, generator)
            offsets = offsets + changes
        image, dynamic = self._draw(number, offsets, dynamism)
        target = self._tensor(self._frames.target(number)).float() / 255
        region = self._tensor(self._frames.region(number))[..., None].float()
        loss = photometric(image * region, target * region)
        if self._config.edge_weight:
            edges = edge_difference(image * region, target * region)
            loss = loss + self._config.edge_weight * edges
        mouth = self._tensor(self._frames.mouth(number))[..., None].float()
        if self._config.mouth_weight:
            loss = loss + self._config.mouth_weight * ((image - target).abs() * mouth).mean()
        if self.field is not None and dynamic is not None:
            loss = loss + self.field.mask_loss(dynamic, mouth[..., 0])
        for name, pull in _REST_PULL.items():
            loss = loss + pull * getattr(self.rest, name).square().mean()
        loss = loss + _OFFSET_PULL * offsets.square().mean()
        return loss * _LOSS_SCALE

    def evaluate(self, iteration: int) -> float:
        """See :class:`talkcli.optim.loop.Trainable`."""
        found = []
        for number in self._held_out:
            drawn, real = 255 * self.picture(int(number)), self._frames.target(int(number))
            regions = (self._frames.face, self._frames.mouth, self._frames.head)
            found.append([psnr(drawn, real, region(int(number))) for region in regions])
        self.scores = HeldOut(*(float(value) for value in np.mean(found, axis=0)))
        return self.scores.merit

    def picture(self, number: int) -> Float32[np.ndarray, "h w 3"]:
        """``[h, w, 3]`` 0–1: a frame as the avatar shows it now."""
        with torch.no_grad():
            self.basis.eval()
            offsets = self.basis(self._features[number])
            if self.field is not None:
                offsets = offsets + self.field.changes(number)[0]
            image, _ = self._draw(number, offsets)
        return np.clip(image.cpu().numpy(), 0, 1)

    def preview(self) -> UInt8[np.ndarray, "h w 3"]:
        """``[h, w, 3]`` some held-out frames as the avatar shows them, above the frames."""
        chosen = self._held_out[:: max(1, len(self._held_out) // _SHOWN)][:_SHOWN]
        avatar, with_player = self.avatar(), player("cpu")
        x0, y0, x1, y1 = self._frames.window
        columns = []
        for number in chosen:
            # With the neck and all that is hidden, as it will be played.
            pose, body = self._frames.poses[number], self._frames.body(number)
            rgb, alpha = draw_head(with_player, avatar, pose, body=body)
            shown = np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1)[y0:y1, x0:x1]
            drawn = (255 * shown + 0.5).astype(np.uint8)
            columns.append(np.vstack([drawn, self._frames.target(int(number))]))
        return np.hstack(columns)

    def avatar(self) -> PortraitAvatar:
        """The fitted avatar as it is played."""
        keep, fade = self._frames.fitted.keep, self._frames.fitted.fade
        fitted = baked(self._avatar, self._frames.fitted, self.rest)
        shapes = self.basis.played_shapes() * fade[:, None]
        moved = _moved(shapes)
        offsets = DrivenOffsets(
            keep[moved].astype(np.int32),
            np.ascontiguousarray(shapes[:, moved], np.float32),
            self.basis.mixer(),
        )
        fitted.correction = offsets
        if self.field is not None:
            planes = self.field.played(keep, fade, _LEAST_OFFSET)
            fitted.correction = OffsetsAndPlanes(offsets, planes)
        return fitted

    def _draw(
        self, number: int, offsets: Tensor, dynamism: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """A frame and, if it is wanted and there is one, the dynamism as a map of it."""
        scaled = offsets * self.basis.units
        gaussians = self._surface.posed(self._frames.poses[number], self.rest, scaled)
        shown = None
        if dynamism is not None and self._config.dynamic:
            shown = functional.pad(dynamism, (0, len(self._frames.fitted.around)))[:, None]
        cameras = self._cameras(number)
        drawn = render(gaussians, cameras, features=shown, backend=self._backend, depth=False)
        image = drawn.rgb[0] + (1 - drawn.alpha[0]) * self._plate
        return image, None if drawn.features is None else drawn.features[0, ..., 0]

    def _cameras(self, number: int) -> Cameras:
        camera = self._frames.camera(number)
        viewmat, K = (self._tensor(m.astype(np.float32))[None] for m in (camera.viewmat, camera.K))
        return Cameras(viewmat, K, camera.width, camera.height)

    def _noise(self, generator: np.random.Generator) -> Tensor:
        """Tracking is never exact, and noise keeps frames from being learnt by heart."""
        noise = generator.standard_normal(len(self.basis.scale)).astype(np.float32)
        return self._config.feature_noise * self.basis.scale * self._tensor(noise)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _moved(shapes: Float[np.ndarray, "K M 7"]) -> Bool[np.ndarray, " M"]:
    """``[M]`` which splats the shapes change visibly: the others are left alone when it plays."""
    largest = np.abs(shapes).max(0, initial=0)
    return np.asarray((largest > _LEAST_OFFSET).any(1))

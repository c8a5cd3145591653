"""The Audio-Plane field in a fit: what drives it, its loss, and what is played of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from talkcli.config import FitConfig
from talkcli.engines.audio_plane.driver import DriverBasis
from talkcli.engines.audio_plane.interpolate import Join
from talkcli.engines.audio_plane.offsets import CHANNEL_UNITS
from talkcli.engines.audio_plane.planes import PlaneField, PlaneSettings
from talkcli.engines.audio_plane.played import PlaneTables, PlayedPlanes
from talkcli.errors import InputError
from talkcli.layers.clip import PreparedClip
from talkcli.shapes import Bool, Float, Integer
from talkcli.speech.states import windows_of
from talkcli.types import MotionFrame

#: Frames in which splats are looked for that the field moves.
_LOOKS = 100
#: Splats that are never more dynamic than this stay as they are when the avatar plays, or, if it
#: is more, the margin: within it, the mask lets splats do as they like. Of 18,300 splats, 4,000
#: exceed .2 in some frame, 6,250 exceed .1.
_LEAST_DYNAMIC = 0.1


class DrivenField:
    """A field and the features that drive it in every frame of a clip.

    Args:
        places: ``[M, 3]`` of the splats at rest.
        motions: of all frames of the clip.
        fitted: numbers of the frames that are fitted.
        config: form and driver of the field.
        device: where its tensors live.

    Attributes:
        module: what is trained.
    """

    def __init__(
        self,
        places: Float[np.ndarray, "M 3"],
        motions: Sequence[MotionFrame],
        fitted: Integer[np.ndarray, " n"],
        config: FitConfig,
        device: str,
    ) -> None:
        self._fitted, self._config = fitted, config
        self._basis = DriverBasis.of(
            [motions[int(number)] for number in fitted], speech=config.planes == "speech"
        )
        drivers = np.stack([self._basis.features(motion) for motion in motions])
        self._drivers = torch.from_numpy(drivers).to(device)
        settings = PlaneSettings(
            join=cast(Join, config.join),
            attention=config.attention,
            dynamic=config.dynamic,
            hidden=config.hidden,
            dropout=config.dropout,
        )
        self.module = PlaneField(places, drivers.shape[1], settings).to(device)
        self._units = torch.from_numpy(CHANNEL_UNITS).to(device)

    def changes(
        self, number: int, noise: np.random.Generator | None = None
    ) -> tuple[Float[Tensor, "M 7"], Float[Tensor, " M"]]:
        """``[M, 7]`` changes in the channels' units, times the dynamism, and ``[M]`` that.

        Args:
            number: of the frame.
            noise: for the noise of a training step; None for none.
        """
        self.module.train(noise is not None)
        driver = self._drivers[number]
        if noise is not None:
            drawn = noise.standard_normal(len(driver)).astype(np.float32)
            driver = driver + self._config.feature_noise * torch.from_numpy(drawn).to(driver)
        change, dynamism = self.module(driver)
        return change * dynamism[:, None], dynamism

    def mask_loss(self, drawn: Float[Tensor, "h w"], mouth: Float[Tensor, "h w"]) -> Tensor:
        """What keeps dynamic splats to the mouth: where mask and map differ by more than a margin.

        Args:
            drawn: ``[h, w]`` the dynamism as the renderer shows it.
            mouth: ``[h, w]`` 1 within the widened mask of the mouth.
        """
        beyond = torch.relu((mouth - drawn).abs() - self._config.margin)
        return self._config.mask_weight * beyond.mean()

    def played(
        self,
        index: Integer[np.ndarray, " M"],
        fade: Float[np.ndarray, " M"],
        least: Float[np.ndarray, " 7"],
    ) -> PlayedPlanes:
        """The field as it is played.

        Args:
            index: ``[M]`` numbers of its splats in the avatar.
            fade: ``[M]`` how much of it each of them takes.
            least: ``[7]`` changes below these are not played.
        """
        moved = self._moved(fade, least)
        module = self.module
        layers = {"hidden": module.hidden, "query": module.query}
        arrays: dict[str, Tensor] = {"planes": module.planes, "lines": module.lines}
        for name, layer in layers.items():
            arrays[f"{name}_weight"], arrays[f"{name}_bias"] = layer.weight, layer.bias
        networks = {"deform": module.deform}
        if module.settings.dynamic:
            networks["dynamic"] = module.dynamism
        for name, network in networks.items():
            values = dict(network.named_parameters())
            arrays[f"{name}_in"], arrays[f"{name}_in_bias"] = values["0.weight"], values["0.bias"]
            arrays[f"{name}_out"], arrays[f"{name}_out_bias"] = values["2.weight"], values["2.bias"]
        if module.settings.attention:
            arrays["books"] = module.books
        tables = PlaneTables(**{k: v.detach().cpu().numpy().copy() for k, v in arrays.items()})
        places = module.places.cpu().numpy()
        return PlayedPlanes(
            index[moved].astype(np.int32),
            places[moved],
            fade[moved].astype(np.float32),
            self._basis,
            tables,
            module.settings.join,
        )

    def _moved(
        self, fade: Float[np.ndarray, " M"], least: Float[np.ndarray, " 7"]
    ) -> Bool[np.ndarray, " M"]:
        """``[M]`` which splats the field visibly changes in some fitted frame."""
        enough = max(_LEAST_DYNAMIC, self._config.margin)
        moved = np.zeros(len(fade), bool)
        dynamic = np.zeros(len(fade), bool)
        with torch.no_grad():
            for number in self._fitted[:: max(1, len(self._fitted) // _LOOKS)]:
                change, dynamism = self.changes(int(number))
                seen = (change * self._units).abs().cpu().numpy() * fade[:, None]
                moved |= (seen > least).any(1)
                dynamic |= dynamism.cpu().numpy() > enough
        return moved & dynamic


def with_speech(motions: Sequence[MotionFrame], clip: PreparedClip) -> list[MotionFrame]:
    """Motions of a clip's frames, with what the speech network hears around each.

    Args:
        motions: of all frames.
        clip: whose sound it is.

    Raises:
        InputError: the clip has no sound.
    """
    if clip.speech is None:
        raise InputError(
            "the clip has no sound that could drive the planes",
            "let its expression do so: --set fit.planes=expression",
        )
    windows = windows_of(clip.speech, clip.curves.times)
    return [replace(motion, speech=window) for motion, window in zip(motions, windows, strict=True)]

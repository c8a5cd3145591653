"""Sections of the recipe that few commands read; :mod:`talkcli.config` puts them together."""

from __future__ import annotations

from dataclasses import dataclass

from talkcli.settings import setting


@dataclass(frozen=True)
class ClipConfig:
    """How a clip is prepared for a fit.

    Attributes:
        segment: ``auto`` for the best stretch, or ``START-END`` in seconds or minutes:
            ``12-40.5``, ``0:12-1:05``.
    """

    segment: str = "auto"


@dataclass(frozen=True)
class FitConfig:
    """How an avatar is fitted to a clip; every setting except the limits is part of its key.

    Attributes:
        crop: longest side of the fitted head crop, pixels; splats and time grow with its square.
        iterations: number of steps, one frame each.
        minutes: limit on the time of fitting; 0 for none.
        patience: evaluations (every 250 steps) without a better held-out picture after which a fit
            stops, in the last two fifths of its budget; 0 for never.
        held_out: share of the clip, at its end, that is only looked at.
        shapes: number of offset shapes that the expression mixes; 0 for none.
        hidden: width of the network that mixes them.
        dropout: share of its inputs that each step hides.
        feature_noise: noise added to its inputs, in their standard deviations.
        mouth_weight: extra weight of the mouth in the loss.
        edge_weight: weight of differing edges in the loss.
        planes: what drives an Audio-Plane field besides the offset shapes: ``none`` for no field,
            ``expression``, or ``speech`` for the speech network's hidden states.
        join: of the field's features over the axes: ``concatenate``, ``add`` or ``multiply``.
        attention: whether the field's code is picked from its codebook by cross-attention; else a
            network gives it.
        dynamic: whether the field learns how dynamic each splat is, by dynamic splatting.
        margin: by how much the map of dynamic splats may differ from the mask of the mouth.
        mask_weight: weight of what differs more.
    """

    crop: int = setting(640, low=192, high=1024)
    iterations: int = setting(3000, low=1, high=1_000_000)
    minutes: float = setting(0.0, low=0)
    patience: int = setting(4, low=0)
    held_out: float = setting(0.2, low=0.05, high=0.5)
    shapes: int = setting(16, low=0, high=64)
    hidden: int = setting(64, low=8, high=512)
    dropout: float = setting(0.1, low=0, high=0.9)
    feature_noise: float = setting(0.3, low=0, high=2)
    mouth_weight: float = setting(0.5, low=0, high=10)
    edge_weight: float = setting(0.5, low=0, high=10)
    planes: str = setting("none", choices=("none", "expression", "speech"))
    join: str = setting("concatenate", choices=("concatenate", "add", "multiply"))
    attention: bool = True
    dynamic: bool = True
    margin: float = setting(0.2, low=0, high=1)
    mask_weight: float = setting(0.1, low=0, high=10)


@dataclass(frozen=True)
class MggTalkConfig:
    """What the engine ``mggtalk`` adds to the analytic avatar; all of it is part of its key.

    Attributes:
        weights: ``mggtalk-research``, trained on clips most of which are for research only; a file
            that ``talkcli train mggtalk`` has written; or ``none`` for the analytic avatar.
        strength: scale of what they add.
        depth: ONNX file of a monocular depth network, whose relief hair, ears and neck take; or
            ``none``.
    """

    weights: str = "none"
    strength: float = setting(1.0, low=0, high=2)
    depth: str = "none"


@dataclass(frozen=True)
class QcConfig:
    """Thresholds of ``talkcli qc`` and ``--qc``; -1 leaves a fault unchecked.

    What real clips and this tool's own videos measure stands in ``docs/quality.md``.

    Attributes:
        sync_offset_ms: most by which lips may be earlier or later than the sound.
        sync_peak: least correlation of the lips with the sound at the best offset.
        silence_motion: most lip motion while nobody speaks, cm/s.
        jitter: most acceleration of the landmarks, % of the face height per frame².
        flicker: most flicker of what is not head, grey levels.
        seam: most flicker of the brightness step across the outline of the head, grey levels.
        holes: most spots in the skin, %.
        mouth_cut: most frames in which the lips leave the picture, %.
        mouth_stuck: most speaking frames in which the lips are stuck at their widest, %.
        face_lost: most frames in which no face is found, %.
    """

    sync_offset_ms: float = setting(120.0, low=-1)
    sync_peak: float = setting(0.3, low=-1, high=1)
    silence_motion: float = setting(8.0, low=-1)
    jitter: float = setting(2.5, low=-1)
    flicker: float = setting(4.0, low=-1)
    seam: float = setting(6.0, low=-1)
    holes: float = setting(1.0, low=-1)
    mouth_cut: float = setting(1.0, low=-1)
    mouth_stuck: float = setting(10.0, low=-1)
    face_lost: float = setting(2.0, low=-1)


@dataclass(frozen=True)
class SplatPortraitConfig:
    """Network of the engine ``splat-portrait``; weights of other sizes are told of.

    Attributes:
        weights: ``bundled``, or the path of a file that ``talkcli train splat-portrait`` wrote.
        landmarks: take pose and the places of eyes and lips from the picture's landmarks; false
            leaves both to the network.
        widths: channels of each level of the U-Net, each half as large as the one before.
        blocks: residual blocks per level.
        attention: of how many of the lowest levels attend to all pixels.
        patch: side of the squares of pixels that the first level sees as one.
        frequencies: octaves of the sinusoids that the camera enters by.
    """

    weights: str = "bundled"
    landmarks: bool = True
    widths: tuple[int, ...] = setting((32, 64, 112), low=8, high=1024)
    blocks: int = setting(1, low=1, high=8)
    attention: int = setting(2, low=0, high=8)
    patch: int = setting(4, low=1, high=8)
    frequencies: int = setting(9, low=1, high=16)


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained by ``talkcli train``.

    Attributes:
        steps: number of steps.
        minutes: limit on the time; 0 for none. A run that ends by it may go on later.
        batch: samples per step, of all processes together.
        rate: learning rate, which falls along half a cosine.
        decay: weight decay of AdamW.
        warmup: steps over which the rate rises.
        look_steps: steps at the beginning that only teach to find heads.
        ema: share of the running mean of the weights that each step keeps; the mean is what is
            used.
        clip: longest gradient.
        render_every: steps from one that also draws the splats from another side to the next.
        precision: ``float32`` or ``bfloat16``.
        people: how many of the pack's people are trained on; 0 for all.
        every: steps from one look at held-out people to the next.
    """

    steps: int = setting(20_000, low=1, high=10_000_000)
    minutes: float = setting(0.0, low=0)
    batch: int = setting(4, low=1, high=4096)
    rate: float = setting(1.5e-3, low=0, high=1)
    decay: float = setting(0.02, low=0, high=1)
    warmup: int = setting(50, low=0)
    look_steps: int = setting(1500, low=0)
    ema: float = setting(0.999, low=0, high=1)
    clip: float = setting(1.0, low=0)
    render_every: int = setting(2, low=1)
    precision: str = setting("float32", choices=("float32", "bfloat16"))
    people: int = setting(0, low=0)
    every: int = setting(250, low=1)

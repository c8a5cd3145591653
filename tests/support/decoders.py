"""Small decoders with random weights, and a person who flushes while speaking, to train one on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from talkcli.engines.audio_plane.motion import face_pixels
from talkcli.engines.audio_plane.offsets import FEATURES
from talkcli.engines.mggtalk.nets import DecoderSize, OffsetDecoder
from talkcli.engines.mggtalk.weights import save_decoder
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.face.topology import FACE_OVAL, LIPS
from talkcli.train.mggtalk.pairs import FramePairs
from talkcli.types import ARKIT_NAMES
from tests.support.portraits import draw_head
from tests.support.subjects import known_motion

SMALL = DecoderSize(shapes=3, hidden=8, widths=(8, 16), shades=True, inside=True)


def random_decoder(size: DecoderSize = SMALL, spread: float = 0.3, seed: int = 0) -> OffsetDecoder:
    """A decoder whose shapes are smooth noise of so many of the channels' units."""
    torch.manual_seed(seed)
    decoder = OffsetDecoder(size, torch.zeros(FEATURES), torch.full((FEATURES,), 0.2))
    with torch.no_grad():
        coarse = torch.randn(*decoder.common.shape[:2], 16, 16)
        larger = torch.nn.functional.interpolate(coarse, decoder.common.shape[-1], mode="bilinear")
        decoder.common += spread * larger
        if decoder.network is not None:
            decoder.network.last.weight.normal_(0, 0.1)
    return decoder.eval()


def random_weights(folder: Path) -> Path:
    """The file of such a decoder."""
    path = folder / "decoder.safetensors"
    save_decoder(path, random_decoder(), {"people": 0})
    return path


def flushing_pairs(avatar: PortraitAvatar, frames: int = 6, person: str = "one") -> FramePairs:
    """Frames of a head whose lips are redder the wider they are open."""
    curves = known_motion(4 * frames)
    motions = [replace(motion) for motion in curves.frames[::4]]
    points = np.array([face_pixels(avatar, motion)[:, :2] for motion in motions], np.float32)
    outline = points[:, list(FACE_OVAL)].reshape(-1, 2)
    x0, y0 = (np.floor(outline.min(0)) - 4).astype(int)
    x1, y1 = (np.ceil(outline.max(0)) + 4).astype(int)
    pictures = []
    for motion, face in zip(motions, points, strict=True):
        rgb, alpha = draw_head(avatar, motion)
        whole = 255 * np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1)
        rim = cv2.convexHull(face[list(LIPS)].astype(np.int32))
        lips = cv2.fillConvexPoly(np.zeros(alpha.shape, np.float32), rim, 1.0)
        opened = motion.expression[ARKIT_NAMES.index("jawOpen")]
        flush = cv2.GaussianBlur(lips, (0, 0), 2)[..., None] * np.array([200.0, -100.0, -100.0])
        pictures.append(np.clip(whole + flush * opened + 0.5, 0, 255).astype(np.uint8))
    return FramePairs(
        avatar=avatar,
        keep=np.flatnonzero(avatar.splats.head_weight > 0.3).astype(np.int32),
        window=(int(x0), int(y0), int(x1), int(y1)),
        motions=tuple(motions),
        pictures=np.array(pictures)[:, y0:y1, x0:x1],
        points=points - np.float32([x0, y0]),
        person=person,
        free=True,
    )

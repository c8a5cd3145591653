"""Recorded clips of people speaking: landmarks of every frame, sound, speaker and lag.

A data folder holds ``speech_clips.json``: a list of objects with ``file`` (path inside the folder),
``speaker``, ``lag_s`` (> 0: the mouth moves later than the sound), ``usable_speech`` and
``licence``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.files.atomic import staged_file

FREE_LICENCES = ("CC0", "CC BY")


@dataclass(frozen=True)
class Clip:
    """One tracked clip.

    Attributes:
        name: file name without folder and suffix.
        speaker: clips of one person share it, so that cross-validation can hold people out.
        licence: as the data folder states it.
        lag_s: > 0 when the mouth moves later than the sound.
        times: ``[T]`` seconds, the middle of each frame.
        points: ``[T, 478, 3]`` FaceMesh landmarks in pixels, z away from the camera; NaN where
            no face was found.
        pcm: ``[n]`` float32 mono, 16 kHz.
    """

    name: str
    speaker: str
    licence: str
    lag_s: float
    times: np.ndarray
    points: np.ndarray
    pcm: np.ndarray

    @property
    def speech_times(self) -> np.ndarray:
        """``[T]`` seconds in the sound that correspond to the frames."""
        return self.times - self.lag_s

    @property
    def free(self) -> bool:
        """Whether the licence allows free use with attribution."""
        return self.licence.startswith(FREE_LICENCES)


def load_clips(
    data: Path, cache: Path, progress: Callable[[int, int], None] | None = None
) -> list[Clip]:
    """All usable clips of a data folder; landmarks are measured once and cached.

    Args:
        data: folder with ``speech_clips.json``.
        cache: folder for landmarks, created if missing.
        progress: called with (done, total) after each clip.

    Raises:
        InputError: the folder has no list of clips, or a clip cannot be read.
    """
    index = data / "speech_clips.json"
    if not index.is_file():
        raise InputError(f"{data} holds no speech_clips.json", "name the folder with the clips")
    entries = [entry for entry in json.loads(index.read_text()) if entry["usable_speech"]]
    cache.mkdir(parents=True, exist_ok=True)
    clips = []
    for done, entry in enumerate(entries, 1):
        times, points, pcm = _cached(data / entry["file"], cache, entry["file"])
        clips.append(
            Clip(
                name=Path(entry["file"]).stem,
                speaker=entry["speaker"],
                licence=entry["licence"],
                lag_s=float(entry["lag_s"] or 0.0),
                times=times,
                points=points,
                pcm=pcm,
            )
        )
        if progress is not None:
            progress(done, len(entries))
    return clips


def clip_landmarks(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of every frame, followed from frame to frame.

    Returns:
        ``[T]`` times (middle of the frame, seconds) and ``[T, 478, 3]`` landmarks as in ``Clip``.

    Raises:
        InputError: the clip cannot be read.
    """
    from talkcli.tracking.clip import measure_clip
    from talkcli.tracking.follow import FaceFollower, open_landmarks
    from talkcli.tracking.spool import LandmarkSpool

    with closing(open_landmarks()) as source, LandmarkSpool() as spool:
        for measured in measure_clip(path, FaceFollower(source)):
            spool.append(measured)
        frames = list(spool)
    missing = np.full((478, 3), np.nan, np.float32)
    points = [missing if frame.points is None else frame.points for frame in frames]
    return np.array([frame.time_s for frame in frames]), np.array(points, np.float32)


def _cached(path: Path, cache: Path, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from talkcli.media.audio import stream_pcm

    store = cache / (key.replace("/", "__").rsplit(".", 1)[0] + ".npz")
    try:
        with np.load(store) as kept:
            return kept["times"], kept["points"], kept["pcm"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        # Missing, or left incomplete by an interrupted run.
        times, points = clip_landmarks(path)
        pcm = np.concatenate([np.zeros(0, np.float32), *stream_pcm(path)])
        with staged_file(store) as stream:
            np.savez(stream, times=times, points=points, pcm=pcm)
        return times, points, pcm

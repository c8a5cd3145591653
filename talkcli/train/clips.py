"""Recorded clips of people speaking: landmarks of every frame, sound, speaker and lag.

A data folder holds ``speech_clips.json``: a list of objects with ``file`` (path inside the folder),
``speaker``, ``lag_s`` (> 0: the mouth moves after the sound), ``usable_speech`` and ``licence``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.errors import InputError

FREE_LICENCES = ("CC0", "CC BY")
#: FaceMesh loses a face that fills a small picture; a replicated border of this share keeps it.
_BORDER = 0.25
_SMALL_PX = 300


@dataclass(frozen=True)
class Clip:
    """One tracked clip.

    Attributes:
        name: file name without folder and ending.
        speaker: clips of one person share it, so that cross-validation can hold people out.
        licence: as the data folder states it.
        lag_s: > 0 when the mouth moves after the sound.
        times: ``[T]`` seconds, middle of each frame's showing.
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
        """``[T]`` seconds in the sound that belong to the frames."""
        return self.times - self.lag_s

    @property
    def free(self) -> bool:
        """Whether the licence allows free use with attribution."""
        return self.licence.startswith(FREE_LICENCES)


def load_clips(
    data: Path, cache: Path, progress: Callable[[int, int], None] | None = None
) -> list[Clip]:
    """All usable clips of a data folder; landmarks are measured once and kept in ``cache``.

    Args:
        data: folder with ``speech_clips.json``.
        cache: folder for landmarks, made when missing.
        progress: told (done, total) after each clip.

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


def track_clip(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of every frame, followed from frame to frame.

    Returns:
        ``[T]`` times (middle of the frame, seconds) and ``[T, 478, 3]`` landmarks as in ``Clip``.

    Raises:
        InputError: not a readable film.
    """
    from mediapipe.python.solutions.face_mesh import FaceMesh

    from talkcli.media.read import read_frames

    times: list[float] = []
    points: list[np.ndarray] = []
    with FaceMesh(max_num_faces=1, refine_landmarks=True, min_tracking_confidence=0.3) as mesh:
        for frame in read_frames(path, max_side=1280):
            times.append(frame.time_s)
            points.append(_measure(mesh, frame.rgb))
    stamps = np.array(times)
    half = np.median(np.diff(stamps)) / 2 if len(stamps) > 1 else 0.0
    return stamps + half, np.array(points, np.float32)


def _measure(mesh, rgb: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    height, width = rgb.shape[:2]
    border = round(_BORDER * width) if max(height, width) < _SMALL_PX else 0
    padded = np.pad(rgb, ((border, border), (border, border), (0, 0)), mode="edge")
    found = mesh.process(np.ascontiguousarray(padded)).multi_face_landmarks
    if not found:
        return np.full((478, 3), np.nan, np.float32)
    raw = np.array([(p.x, p.y, p.z) for p in found[0].landmark])
    shown = padded.shape[1], padded.shape[0], padded.shape[1]
    return (raw * shown - (border, border, 0)).astype(np.float32)


def _cached(path: Path, cache: Path, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from talkcli.media.audio import stream_pcm

    store = cache / (key.replace("/", "__").rsplit(".", 1)[0] + ".npz")
    try:
        with np.load(store) as kept:
            return kept["times"], kept["points"], kept["pcm"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        # Not there yet, or a run was stopped while writing it: measured anew.
        times, points = track_clip(path)
        pcm = np.concatenate([np.zeros(0, np.float32), *stream_pcm(path)])
        partial = store.with_suffix(".part.npz")
        np.savez(partial, times=times, points=points, pcm=pcm)
        partial.replace(store)
        return times, points, pcm

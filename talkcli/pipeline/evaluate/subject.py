"""Fitted avatars, judged by the part of their clip that the fit has held out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.avatar import Avatar
from talkcli.errors import InputError
from talkcli.pipeline.evaluate.compare import Comparison, Context, compare, compare_measured
from talkcli.pipeline.evaluate.still import AlignedNearest
from talkcli.pipeline.evaluate.views import write_film
from talkcli.pipeline.stages.avatar import stored_avatar
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import MeasuredClip, measure_clips
from talkcli.pipeline.stages.prepare import stored_prepared
from talkcli.pipeline.video.scene import AvatarPlayer
from talkcli.project import Project
from talkcli.project.run import Run
from talkcli.types import MotionCurves, MotionFrame

#: Names of the comparisons.
BY_VIDEO, BY_SPEECH = "fitted, by video", "fitted, by speech"
PORTRAIT_BY_VIDEO, PORTRAIT_BY_SPEECH = "portrait, by video", "portrait, by speech"
NEAREST = "nearest fitted frame, 2D-aligned"


def compare_subject(place: Path, context: Context) -> tuple[list[Comparison], str]:
    """Make the held-out part of a clip again, and compare it with itself.

    The avatar of the clip's best frame, unfitted, is judged under the same motion, and the most
    alike of the fitted frames is laid over every frame.

    Args:
        place: a project with a prepared clip and an avatar fitted to it.
        context: settings, progress and times.

    Returns:
        Comparisons, the fitted avatar's first, and the protocol in words.

    Raises:
        InputError: the project holds no fitted avatar, or its clip is gone.
    """
    from talkcli.engines.audio_plane.avatar import SubjectAvatar

    run = Run(Project.open(place), context.recipe, context.reporter, context.watch)
    avatar = stored_avatar(run).avatar
    if not isinstance(avatar, SubjectAvatar):
        raise InputError(
            f"{place} holds no avatar that was fitted to a clip, so no part of one was held out",
            f"fit one with: talkcli preprocess CLIP -p {place}, then talkcli fit -p {place}",
        )
    source = run.project.inputs.get("clip")
    if source is None or not source.unchanged():
        raise InputError(
            f"the clip that {place} was made from is gone or has changed",
            "bring it back, or prepare and fit it again",
        )
    with tempfile.TemporaryDirectory(prefix="talkcli-eval-") as name:
        studio = _HeldOut(Path(name), run, avatar, Clip(source.path), context)
        return studio.compare_all(), studio.protocol


class _HeldOut:
    """The held-out part of a clip, and films of it."""

    def __init__(
        self, folder: Path, run: Run, avatar: Avatar, clip: Clip, context: Context
    ) -> None:
        from talkcli.engines.audio_plane.avatar import SubjectAvatar
        from talkcli.engines.audio_plane.make import unfitted

        assert isinstance(avatar, SubjectAvatar)
        prepared = stored_prepared(run).clip
        assert prepared is not None
        self._folder, self._avatar, self._clip = folder, avatar, clip
        self._prepared = prepared
        self._fps = prepared.fps
        times = avatar.clip.times
        first = min(avatar.held_out, len(times) - 1)
        self._first, self._start_s = first, float(times[first] - 0.5 / self._fps)
        self._count = round(float((avatar.clip.duration_s - self._start_s) * self._fps))
        # Where the held-out part begins in the clip: what is made at 0 is real so much later.
        late = prepared.segment[0] + self._start_s
        settings = replace(context.settings, lag_s=late)
        self._context = replace(context, settings=settings, made_here=True)
        size = max(prepared.width, prepared.height) // 2 * 2
        self._video = replace(context.recipe.video, size=min(size, 4096), views=(), bg="keep")
        self._portrait = unfitted(prepared, avatar)

    @property
    def protocol(self) -> str:
        """How the figures were measured, in words."""
        return (
            f"held-out reenactment: an avatar fitted to the first {self._first} of "
            f"{len(self._avatar.clip)} frames of {self._clip.path.name}, moved as the rest of it: "
            "by video, the tracked face drives pose and expression; by speech, the clip's own "
            "sound moves the lips, and everything else is tracked; measured in the pixels of the "
            "clip"
        )

    def compare_all(self) -> list[Comparison]:
        """All films and the nearest frame, judged."""
        seen = list(self._tracked())
        if self._prepared.sound and "speech" in self._avatar.info.needs:
            heard = self._spoken(self._avatar, seen)
            seen = [replace(m, speech=h.speech) for m, h in zip(seen, heard, strict=True)]
        films: list[tuple[str, Avatar, list[MotionFrame]]] = [
            (BY_VIDEO, self._avatar, seen),
            (PORTRAIT_BY_VIDEO, self._portrait, list(self._tracked(self._portrait.info.motion))),
        ]
        if self._prepared.sound:
            films.insert(1, (BY_SPEECH, self._avatar, self._spoken(self._avatar, films[0][2])))
            spoken = self._spoken(self._portrait, films[-1][2])
            films.append((PORTRAIT_BY_SPEECH, self._portrait, spoken))
        results: list[Comparison] = []
        for name, avatar, motions in films:
            made = self._folder / f"{len(results)}.mp4"
            self._film(avatar, motions, made)
            results.append(compare(name, Clip(made), self._clip, self._context))
        (real,) = measure_clips(
            (self._clip,), self._context.recipe, self._context.reporter, self._context.watch
        )
        return [*results, self._nearest(real)]

    def _tracked(self, curves: MotionCurves | None = None) -> Iterator[MotionFrame]:
        """The tracked motion at the held-out frames."""
        from talkcli.motion.retarget import DrivenMotion, RetargetSettings

        driven = DrivenMotion(
            curves or self._avatar.clip, RetargetSettings(), start_s=self._start_s
        )
        return driven.frames(self._count, self._fps)

    def _spoken(self, avatar: Avatar, seen: list[MotionFrame]) -> list[MotionFrame]:
        """The same with the lips that the sound gives."""
        from talkcli.motion.retarget import lips_from
        from talkcli.speech.track import SpeechTrack

        recipe = self._context.recipe
        voice = avatar.info.voices.get(recipe.motion.speech_model)
        track = SpeechTrack(self._sound(), recipe.motion.speech_model, states=True)
        spoken = []
        for number, motion in enumerate(seen):
            time_s = float((number + Fraction(1, 2)) / self._fps)
            row, heard = track.at(time_s), track.window(time_s)
            own = row.weights if voice is None else voice(row.weights)
            weights = np.minimum(recipe.motion.lip_strength * own, 1.0)
            spoken.append(replace(motion, expression=weights.astype(np.float32), speech=heard))
        return list(lips_from(iter(spoken), iter(seen)))

    def _sound(self) -> Iterator[np.ndarray]:
        """The clip's sound at 16 kHz from where the held-out part begins, for its mouth."""
        from talkcli.media.audio import open_sound
        from talkcli.speech.sound import RATE_HZ

        with open_sound(self._clip.path) as sound:
            # What the lips show at a time is heard earlier by the offset of the clip.
            heard_s = self._prepared.segment[0] + self._start_s - self._prepared.offset_s
            skip = round((heard_s - sound.start_s) * RATE_HZ)
            if skip < 0:
                yield np.zeros(-skip, np.float32)
            for block in sound.blocks(RATE_HZ):
                kept = block[max(skip, 0) :]
                skip = max(0, skip) - (len(block) - len(kept))
                if len(kept):
                    yield kept

    def _film(self, avatar: Avatar, motions: list[MotionFrame], output: Path) -> None:
        context, video = self._context, self._video
        player = AvatarPlayer(avatar.playback(), video, context.recipe.backend, context.watch)
        write_film(player, motions, output, self._fps, min(video.crf, 12), context.reporter)

    def _nearest(self, real: MeasuredClip) -> Comparison:
        from talkcli.engines.audio_plane.offsets import motion_features

        clip = self._avatar.clip
        features = np.stack([motion_features(frame) for frame in clip.frames])
        features[:, :52] *= 3
        features[:, 52:55] *= 4
        start_s = self._context.settings.lag_s
        numbers = np.round((self._prepared.segment[0] + clip.times) * float(self._fps) - 0.5)
        apart = features[self._first :, None] - features[: self._first]
        chosen = np.linalg.norm(apart, axis=-1).argmin(1)
        wanted = {
            int(numbers[self._first + k]): int(numbers[near]) for k, near in enumerate(chosen)
        }
        still = AlignedNearest(real, wanted, start_s)
        with still.spool:
            return compare_measured(NEAREST, still, real, self._context, ())

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from talkcli.errors import InputError, UsageError
from talkcli.motion import TalkSettings, motion_frames
from talkcli.speech.model import load_speech_model
from talkcli.speech.track import SpeechTrack
from talkcli.types import ARKIT_NAMES, MotionFrame
from tests.support.memory import held_bytes
from tests.support.motion import RATE, blocks, sentence, silence, white_noise

FPS = Fraction(25)
#: Speech alone: smiles and uneven sides come on top.
SPEECH = TalkSettings(expressiveness=0.0)


def frames(
    pcm: np.ndarray,
    count: int | None = None,
    fps: Fraction = FPS,
    options: TalkSettings | None = None,
    seed: int = 0,
    size: int = 16000,
) -> list[MotionFrame]:
    count = round(len(pcm) / 16000 * fps) if count is None else count
    return list(motion_frames(blocks(pcm, size), count, fps, options or TalkSettings(), seed))


def expressions(result: list[MotionFrame]) -> np.ndarray:
    return np.array([frame.expression for frame in result])


def apertures(result: list[MotionFrame]) -> np.ndarray:
    return expressions(result) @ load_speech_model().aperture


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(24000, 1001), FPS, Fraction(60)])
def test_exactly_as_many_frames_as_asked_at_any_rate(fps: Fraction) -> None:
    count = round(len(sentence()) / 16000 * fps)
    result = frames(sentence(), count, fps)
    assert len(result) == count
    for frame in result:
        assert frame.expression.shape == (52,)
        assert frame.expression.dtype == np.float32
        assert (frame.rotation.shape, frame.translation.shape) == ((3,), (3,))
        assert frame.gaze.shape == (2,)
        assert 0.0 <= frame.expression.min() <= frame.expression.max() <= 1.0
        assert np.isfinite([*frame.rotation, *frame.translation, *frame.gaze]).all()


def test_lips_follow_time_and_not_frames() -> None:
    slow, fast = frames(sentence(), fps=Fraction(20)), frames(sentence(), fps=Fraction(60))
    for k, frame in enumerate(slow):
        np.testing.assert_allclose(frame.expression, fast[3 * k + 1].expression, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [100, 4096, 10**7])
def test_block_size_does_not_matter(size: int) -> None:
    pcm = np.concatenate([silence(0.3), sentence()])
    reference, result = frames(pcm), frames(pcm, size=size)
    np.testing.assert_allclose(expressions(result), expressions(reference), atol=1e-4)
    for a, b in zip(result, reference, strict=True):
        np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1])
def test_very_short_sounds(seconds: float) -> None:
    assert len(frames(sentence()[: int(16000 * seconds)], count=5)) == 5


def test_no_lips_in_silence_but_life() -> None:
    result = frames(silence(20.0))
    assert not apertures(result).any()
    assert not expressions(result)[:, parting()].any()
    assert (expressions(result)[:, ARKIT_NAMES.index("eyeBlinkLeft")] > 0.5).any()
    assert np.std([frame.rotation for frame in result]) > 1.0  # degrees; 1.7


@pytest.mark.parametrize("level_db", [-60.0, -30.0])
def test_no_lips_in_steady_noise(level_db: float) -> None:
    assert not expressions(frames(white_noise(8.0, level_db), options=SPEECH))[:, lips()].any()


def lips() -> np.ndarray:
    return load_speech_model().active


def parting() -> np.ndarray:
    """Shapes that part or press the lips."""
    return np.flatnonzero(load_speech_model().aperture)


def test_lips_move_in_speech_and_rest_in_pauses() -> None:
    pcm = np.concatenate([silence(1.0), sentence(), silence(1.0), sentence(), silence(1.0)])
    aperture = apertures(frames(pcm))
    spoken = len(sentence()) / 16000
    talking = slice(25, int(25 * (1 + spoken)))
    pause = slice(int(25 * (1.3 + spoken)), int(25 * (1.7 + spoken)))
    assert np.quantile(aperture[talking], 0.9) > 0.9  # 1.10
    assert aperture[pause].max() == 0.0
    assert aperture[:20].max() == 0.0
    assert aperture[-15:].max() == 0.0


def test_sound_that_ends_early_is_followed_by_rest() -> None:
    count = round(len(sentence()) / 16000 * 25)
    result = frames(sentence(), count + 100)
    assert apertures(result)[count + 5 :].max() == 0.0
    assert len(result) == count + 100


def test_only_three_tenths_of_a_second_are_looked_ahead() -> None:
    pcm = sentence()[: 3 * 16000]
    changed = pcm.copy()
    changed[32000:] = white_noise(1.0, -6.0)[: len(changed) - 32000]
    before = slice(0, int((2.0 - 0.3) * 25))
    np.testing.assert_array_equal(
        expressions(frames(pcm, size=160))[before], expressions(frames(changed, size=160))[before]
    )


def test_sound_is_pulled_as_needed_and_memory_stays_small() -> None:
    pulled = 0

    def source() -> object:
        nonlocal pulled
        for block in blocks(np.tile(sentence(), 20), 1600):
            pulled += len(block)
            yield block

    track, held = SpeechTrack(source()), []
    for k in range(500):
        time_s = (k + 0.5) / 25
        track.at(time_s)
        # The look-ahead and one block of a tenth of a second.
        assert pulled / 16000 <= time_s + 0.3 + 0.1 + 1e-9
        held.append(held_bytes(track))
    # Two kilobytes to and fro, measured; a row of the past that is kept is 200 bytes, 50 a second.
    assert max(held[100:]) - min(held[100:]) < 4000
    assert max(held[250:]) <= max(held[:250])


def test_a_huge_block_is_cut() -> None:
    sound = np.tile(sentence(), 20)
    cut, whole = SpeechTrack(blocks(sound, RATE)), SpeechTrack([sound])
    for track in (cut, whole):
        track.at(1.0)
    assert held_bytes(whole) == held_bytes(cut)


def test_weights_can_be_chosen() -> None:
    plain = expressions(frames(sentence()))
    clean = expressions(frames(sentence(), options=TalkSettings(speech_model="speech-clean")))
    # Other networks, the same words: .27 apart at most, and they agree by .80.
    assert np.abs(plain - clean).max() > 0.1
    assert np.corrcoef(plain[:, lips()].sum(1), clean[:, lips()].sum(1))[0, 1] > 0.7


def test_lip_strength() -> None:
    plain, half, none = (
        expressions(frames(sentence(), options=replace(SPEECH, lip_strength=strength)))[:, lips()]
        for strength in (1.0, 0.5, 0.0)
    )
    much = expressions(frames(sentence(), options=TalkSettings(lip_strength=2.0)))
    np.testing.assert_allclose(half, plain / 2, atol=1e-6)
    assert not none.any()
    assert much.max() <= 1.0


def test_seed_and_options_reach_the_head() -> None:
    one, same, other = (frames(sentence(), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal([f.rotation for f in one], [f.rotation for f in same])
    assert np.abs(one[40].rotation - other[40].rotation).max() > 1.0  # degrees
    still = frames(sentence(), options=TalkSettings(still=True))
    assert not np.array([f.rotation for f in still]).any()
    held = frames(sentence(), options=TalkSettings(head_motion=0.0))
    assert not np.array([f.rotation for f in held]).any()


def test_expression_comes_on_top_of_speech() -> None:
    plain, speech, much = (
        expressions(frames(sentence(), options=TalkSettings(expressiveness=amount)))
        for amount in (1.0, 0.0, 2.0)
    )
    np.testing.assert_allclose(plain[:, parting()], speech[:, parting()], atol=1e-6)
    assert np.abs(plain - speech).max() > 0.05
    assert np.abs(much - speech).mean() > 1.3 * np.abs(plain - speech).mean()
    warm = expressions(frames(sentence(), options=TalkSettings(mood="warm")))
    smile = ARKIT_NAMES.index("mouthSmileLeft")
    assert warm[25:, smile].mean() > plain[25:, smile].mean() + 0.15


def test_an_unknown_mood_is_refused() -> None:
    with pytest.raises(UsageError, match="sulky"):
        TalkSettings(mood="sulky")


@pytest.mark.parametrize("field", ["head_motion", "blink_rate", "lip_strength", "expressiveness"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_options_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=field):
        TalkSettings(**{field: value})


def test_damaged_sound_is_refused() -> None:
    with pytest.raises(InputError, match="not finite numbers"):
        frames(np.full(16000, np.nan, np.float32))

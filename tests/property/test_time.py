"""The time contract: whatever the rate and the length, picture and sound end together."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from talkcli.errors import UsageError
from talkcli.media.write import frame_count, parse_fps

SECONDS = st.floats(min_value=0, max_value=24 * 3600, allow_nan=False)
#: Rates as people write them: whole, decimal, as a fraction.
RATE_TEXTS = st.one_of(
    st.integers(1, 120).map(str),
    st.decimals(1, 120, places=3).map(str),
    st.tuples(st.integers(1, 120_000), st.integers(1, 1001)).map(lambda p: f"{p[0]}/{p[1]}"),
    # Anything of the right letters.
    st.text("0123456789./e-+_ ", max_size=10),
)


def accepted(text: str) -> Fraction | None:
    try:
        return parse_fps(text)
    except UsageError:
        return None


@given(RATE_TEXTS, SECONDS)
@example("23.976", 60.0)
@example("30000/1001", 3600.0)
@example("1", 0.0)
def test_frames_last_as_long_as_the_sound_within_half_a_frame(text: str, seconds: float) -> None:
    fps = accepted(text)
    if fps is None:
        return
    count = frame_count(seconds, fps)
    assert count >= 1
    # Exact: a video of hours must not lose frames to rounding. A video has at least one frame.
    longer = max(Fraction(seconds), Fraction(1, 2) / fps)
    assert abs(count / fps - longer) <= Fraction(1, 2) / fps


@given(RATE_TEXTS)
def test_a_rate_is_what_was_written_or_the_ntsc_rate_that_was_meant(text: str) -> None:
    fps = accepted(text)
    if fps is None:
        return
    assert 1 <= fps <= 120
    written = Fraction(text.strip())
    assert fps == written or (fps.denominator == 1001 and abs(fps - written) <= Fraction(1, 200))
    assert parse_fps(str(fps)) == fps


@given(st.text(max_size=12) | RATE_TEXTS)
def test_a_text_is_a_rate_or_a_usage_error_that_names_it(text: str) -> None:
    try:
        parse_fps(text)
    except UsageError as error:
        # What cannot be printed is told as Python writes it.
        assert text in error.what or repr(text) in error.what
        assert "--fps" in str(error.fix)


@given(SECONDS, SECONDS, st.integers(1, 120))
def test_longer_sounds_never_have_fewer_frames(first: float, second: float, fps: int) -> None:
    shorter, longer = sorted((first, second))
    assert frame_count(shorter, Fraction(fps)) <= frame_count(longer, Fraction(fps))


@pytest.mark.parametrize(
    "text", ["0.999", "121", "-25", "nan", "inf", "25/0", "", "25fps", "1e999999999"]
)
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_fps(text)

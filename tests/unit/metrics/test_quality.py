"""Videos with one fault miss one threshold, and the numbers are those of the fault."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from talkcli.config import QcConfig
from talkcli.metrics.faults import FrameFaults
from talkcli.metrics.observed import Heard, Observed
from talkcli.metrics.quality import Check, quality_checks
from tests.support.observed import person

LIMITS = dataclasses.asdict(QcConfig())


def clean(observed: Observed) -> FrameFaults:
    zeros = np.zeros(len(observed.times))
    return FrameFaults(zeros, zeros, zeros + 0.5, zeros + 0.1, zeros, zeros + 0.5)


def checked(observed: Observed, faults: FrameFaults | None = None) -> dict[str, Check]:
    rows = quality_checks(observed, faults or clean(observed), LIMITS)
    return {row.name: row for row in rows}


def failed(rows: dict[str, Check]) -> set[str]:
    return {name for name, row in rows.items() if row.status == "failed"}


def quiet_person(**options: float) -> Observed:
    return person(noise_cm=0.01, **options)


def test_every_threshold_has_a_check_and_a_good_video_passes() -> None:
    rows = checked(quiet_person())
    assert set(rows) == set(LIMITS)
    assert {row.status for row in rows.values()} == {"ok"}


def test_late_lips() -> None:
    rows = checked(quiet_person(delay_s=0.2))
    assert failed(rows) == {"sync_offset_ms"}
    assert rows["sync_offset_ms"].value == pytest.approx(200.0, abs=5.0)
    assert failed(checked(quiet_person(delay_s=-0.2))) == {"sync_offset_ms"}
    assert failed(checked(quiet_person(delay_s=0.08))) == set()


def test_an_offset_that_is_a_guess_is_not_judged() -> None:
    whole = person(seconds=4.0, noise_cm=1.5, delay_s=0.3)
    row = checked(whole)["sync_offset_ms"]
    assert row.status == "unknown" and "certain" in row.note


def test_lips_that_chatter_in_silence() -> None:
    whole = quiet_person()
    assert whole.heard is not None
    chatter = np.where(whole.heard.silent_at(whole.times), 0.8 * np.sin(30.0 * whole.times), 0.0)
    rows = checked(replace(whole, aperture=whole.aperture + chatter))
    assert "silence_motion" in failed(rows)
    # Deviation of the speed of .8 sin 30t is 17 cm/s; frames of 40 ms see .94 of it.
    assert rows["silence_motion"].value == pytest.approx(16.0, abs=1.6)


def test_lips_stuck_at_their_widest() -> None:
    whole = quiet_person()
    rows = checked(replace(whole, aperture=np.minimum(whole.aperture, 0.6)))
    assert failed(rows) == {"mouth_stuck"}
    share = float((whole.aperture > 0.6).mean())
    assert rows["mouth_stuck"].value == pytest.approx(100.0 * share, rel=0.25)


@pytest.mark.parametrize("name", ["jitter", "flicker", "seam", "holes", "cut", "lost"])
def test_faults_of_the_picture(name: str) -> None:
    whole = quiet_person()
    bad = getattr(clean(whole), name) + np.where(np.arange(len(whole.times)) % 10 == 3, 100.0, 0.0)
    if name in ("cut", "lost"):
        bad = bad / 100.0
    setting = {"cut": "mouth_cut", "lost": "face_lost"}.get(name, name)
    rows = checked(whole, replace(clean(whole), **{name: bad}))
    assert failed(rows) == {setting}
    assert rows[setting].worst_s == pytest.approx(whole.times[3])


def test_slow_frame_rates_are_no_jitter() -> None:
    slow = quiet_person(fps=12.5)
    row = checked(slow, replace(clean(slow), jitter=np.full(len(slow.times), 4.0)))["jitter"]
    assert row.value == pytest.approx(1.0, rel=1e-6)


def test_silent_videos_and_still_lips_are_unknown_not_failed() -> None:
    rows = checked(replace(quiet_person(), heard=None))
    unknown = {name for name, row in rows.items() if row.status == "unknown"}
    assert unknown == {"sync_offset_ms", "sync_peak", "silence_motion"}
    assert all(rows[name].note for name in unknown)
    still = replace(quiet_person(), aperture=np.zeros(750))
    assert checked(still)["mouth_stuck"].status == "unknown"
    endless = Heard(np.ones(3000), np.zeros(3000, bool))
    assert checked(replace(quiet_person(), heard=endless))["silence_motion"].value is None


def test_limits() -> None:
    row = Check("seam", "seam", 3.0, "levels", limit=3.0)
    assert row.status == "ok" and replace(row, value=3.01).status == "failed"
    assert replace(row, limit=-1.0).status == "unchecked" and replace(row, value=None).status == (
        "unknown"
    )
    least = replace(row, least=True)
    assert least.status == "ok" and replace(least, value=2.9).status == "failed"
    assert replace(row, limit=-1.0).as_json()["limit"] is None

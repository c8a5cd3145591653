"""Motion statistics of people whose motion is known, and what is said about them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcli.metrics.motion import CHANNELS, OTHERS, label_of, motion_statistics
from talkcli.metrics.observed import HEARD_HZ, Heard, Observed
from talkcli.metrics.reference import Judged, judge_motion, summarise
from talkcli.types import ARKIT_NAMES
from tests.support.observed import person


def turned(observed: Observed, yaw: np.ndarray) -> Observed:
    rotation = observed.curves.rotation.copy()
    rotation[:, 0] = yaw
    return replace(observed, curves=replace(observed.curves, rotation=rotation))


@pytest.mark.parametrize("hz", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_amplitude_and_rhythm_of_a_swing(hz: float, fps: float) -> None:
    observed = person(fps=fps)
    found = motion_statistics(turned(observed, 5.0 * np.sin(2 * np.pi * hz * observed.times)))
    # Deviation of a sine; pieces of 10 s hold whole periods to within 1 %.
    assert found["yaw_amount"] == pytest.approx(5.0 / np.sqrt(2.0), rel=0.02)
    # Central differences at 25 Hz see sin(2πf/25)/(2πf/25) of the speed: .91 at 3 Hz.
    seen = np.sinc(2 * hz / 25.0)
    assert found["yaw_hz"] == pytest.approx(hz * seen, rel=0.05)


def test_the_length_of_a_video_does_not_count() -> None:
    drift = [
        motion_statistics(turned(whole, 3.0 * np.sin(2 * np.pi * 0.5 * whole.times)))["yaw_amount"]
        for whole in (person(seconds=10.0), person(seconds=60.0))
    ]
    assert drift[0] == pytest.approx(drift[1], rel=0.02)


def test_every_channel_sees_its_own_curve_only() -> None:
    plain = motion_statistics(person())
    assert set(plain) == {f"{name}_{kind}" for name in CHANNELS for kind in ("amount", "hz")} | set(
        OTHERS
    )
    whole = person()
    expression = whole.curves.expression.copy()
    expression[:, ARKIT_NAMES.index("browInnerUp")] = np.sin(whole.times)
    moved = motion_statistics(replace(whole, curves=replace(whole.curves, expression=expression)))
    changed = {name for name, value in moved.items() if value != plain[name]}
    assert changed == {"brows_amount", "brows_hz"}


def test_blinks_are_counted_and_timed() -> None:
    found = motion_statistics(person(seconds=60.0, fps=50.0))
    # Every 3.5 s from 2 s on; closing takes .1 s and opening .2 s, of which 60 % are timed.
    assert found["blink_rate"] == pytest.approx(17.0, abs=1.0)
    assert found["blink_closing"] == pytest.approx(60.0, abs=5.0)
    assert found["blink_opening"] == pytest.approx(120.0, abs=5.0)


def test_short_videos_and_lost_faces_have_no_statistics() -> None:
    short = motion_statistics(person(seconds=3.0))
    assert {value for name, value in short.items() if name.endswith(("amount", "hz"))} == {None}
    assert short["blink_rate"] is short["head_speech"] is None
    whole = person()
    lost = replace(whole, curves=replace(whole.curves, tracked=np.zeros(len(whole.times), bool)))
    assert motion_statistics(lost)["yaw_amount"] is None


def test_a_head_that_nods_to_the_speech_is_told_from_one_that_does_not() -> None:
    whole = person(seconds=60.0)
    assert whole.heard is not None
    places = np.arange(len(whole.heard.aperture)) / HEARD_HZ
    nods = np.cumsum(np.interp(whole.times, places, whole.heard.aperture) - 0.4)
    with_it, without = (
        motion_statistics(each)["head_speech"] for each in (turned(whole, nods), whole)
    )
    assert with_it is not None and without is not None
    assert with_it > 0.7 and abs(without) < 0.1
    silent = replace(whole, heard=Heard(np.zeros(6000), np.ones(6000, bool)))
    assert motion_statistics(silent)["head_speech"] is None


def verdicts(observed: Observed) -> dict[str, str]:
    return {row.name: row.verdict for row in judge_motion(motion_statistics(observed))}


def test_a_frozen_head_is_dead_and_a_shaking_one_trembles() -> None:
    whole = person()
    frozen = verdicts(turned(whole, np.zeros(len(whole.times))))
    assert frozen["yaw_amount"] == "dead" and frozen["pitch_amount"] == ""
    wild = verdicts(turned(whole, 25.0 * np.sin(2 * np.pi * 4.0 * whole.times)))
    assert wild["yaw_amount"] == "restless" and wild["yaw_hz"] == "trembling"


def test_rows_say_what_real_people_do() -> None:
    whole = person()
    rows = {row.name: row for row in judge_motion(motion_statistics(whole))}
    metric = replace(rows["yaw_amount"], value=0.0, z=-9.9).metric()
    assert (metric.name, metric.unit) == ("motion_yaw_amount", "°")
    assert metric.note.startswith("real people ") and metric.note.endswith("z -9.9: dead")
    assert label_of("gaze_yaw_hz") == ("gaze, sideways, rhythm", "Hz")
    assert set(rows["yaw_amount"].as_json()) == {
        "name", "label", "unit", "value", "low", "median", "high", "z", "verdict",
    }  # fmt: skip


def test_the_median_person_is_usual_and_the_shipped_reference_is_plausible() -> None:
    rows = judge_motion({})
    assert {row.name for row in rows} == set(motion_statistics(person(seconds=1.0)))
    for row in rows:
        assert row.low <= row.median <= row.high and row.z is None and row.verdict == ""
    at_median = judge_motion({row.name: row.median for row in rows})
    assert all(row.z == pytest.approx(0.0, abs=1e-9) for row in at_median)
    # People open their lips by millimetres and turn their heads by degrees while they talk.
    by_name = {row.name: row for row in rows}
    assert 0.2 < by_name["aperture_amount"].median < 0.8
    assert 1.5 < by_name["yaw_amount"].median < 8.0


def test_percentiles_over_people() -> None:
    people = [{"a": float(value), "b": None if value < 5 else 1.0} for value in range(11)]
    assert summarise(people) == {
        "a": {"people": 11, "low": 1.0, "median": 5.0, "high": 9.0},
        "b": {"people": 6, "low": 1.0, "median": 1.0, "high": 1.0},
    }


def test_unusual_means_beyond_real_people() -> None:
    rows = judge_motion({row.name: row.high for row in judge_motion({})})
    assert all(isinstance(row, Judged) and row.verdict == "" for row in rows)

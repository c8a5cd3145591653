"""``talkcli bench`` from its arguments to its answer."""

from __future__ import annotations

import json

import pytest

from talkcli.bench import isa, run, yardstick
from talkcli.bench.cost import Cost
from talkcli.cli.bench import bench_lines


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[run.BenchRequest]:
    """What was asked for; the answer is a measurement of a tiny head without videos."""
    seen: list[run.BenchRequest] = []
    measure = run.run_bench

    def tiny(request: run.BenchRequest, reporter) -> run.BenchResult:
        seen.append(request)
        return measure(run.BenchRequest("cpu", ((200, 32),), 1, seconds=0), reporter)

    monkeypatch.setattr(run, "run_bench", tiny)
    monkeypatch.setattr(yardstick, "take_turn", lambda: yardstick.Turn(50.0, 200.0))
    return seen


def test_json_is_one_object(talkcli, requests) -> None:
    answer = talkcli("bench", "--json", "--seconds", "0")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    keys = ["command", "version", "machine", "backend", "reason", "speed", "renderer", "build"]
    assert list(result) == [*keys, "cost", "animate", "warnings"]
    assert result["cost"] is None
    assert result["renderer"][0]["splats"] == 200 and result["build"] is None
    assert requests == [run.BenchRequest(seconds=0)]


def test_people_get_a_table(talkcli, requests) -> None:
    answer = talkcli("bench", "--quick", "--backend", "cpu")
    assert answer.code == 0, answer.err
    assert "200 splats, 32 px:" in answer.out and "numba" in answer.out
    assert (
        "one core: sgemm 50.0 GFLOP/s (50.0 to 50.0), x264 200 frames of 512 px per second of CPU"
    ) in answer.out
    (request,) = requests
    assert (request.backend, request.seconds, request.three_views) == ("cpu", 5.0, False)


def test_unknown_back_end_is_a_usage_error(talkcli) -> None:
    answer = talkcli("bench", "--backend", "metal")
    assert answer.code == 2 and "metal" in answer.error


@pytest.mark.parametrize("seconds", ["inf", "nan", "-1"])
def test_senseless_lengths_are_usage_errors(talkcli, seconds: str) -> None:
    answer = talkcli("bench", "--seconds", seconds)
    assert answer.code == 2 and "--seconds" in answer.error


def test_videos_are_told_in_seconds_and_speed() -> None:
    video = {
        "duration_s": 60.0,
        "views": 3,
        "total_s": 30.0,
        "real_time_factor": 0.5,
        "first_frame_s": 1.25,
        "cpu_s": 50.0,
    }
    machine = {"cpu": "C", "isa": "avx2", "gpu": None, "cores": 2, "threads": 2, "load": 0.1}
    answer = {
        "machine": {**machine, "system": "S", "versions": {"numba": "1"}},
        "speed": yardstick.Yardsticks([yardstick.Turn(50.0, 200.0)]).as_json(),
        "backend": "cpu",
        "reason": "asked for",
        "renderer": [],
        "build": {"seconds": 2.5, "parts": {}, "first_frame_s": 3.75},
        "cost": Cost(1.25, {"motion": 0.1, "render": 0.4}, 20.0).as_json(50.0),
        "animate": [video],
    }
    lines = bench_lines(answer)
    assert "portrait build 2.50 s; first frame of a new picture after 3.75 s" in lines
    assert lines[-1] == (
        "60 s of video, 3 views: made in 30.0 s, real-time factor 0.50 "
        "(2.00 times real-time speed), first frame after 1.25 s, CPU 50.0 s"
    )
    assert lines[-3:-1] == [
        "CPU seconds per second of film, one view, one thread: motion 0.10, render 0.40; "
        "0.50 in all, and 1.25 to start",
        "normalised cost of a frame: 20.0 ms of CPU are worth 1.00 GFLOP of sgemm",
    ]


def test_instructions_are_taken_away_before_anything_is_measured(
    talkcli, requests, monkeypatch
) -> None:
    wished = []
    monkeypatch.setattr(isa, "restrict", wished.append)
    assert talkcli("bench", "--isa", "avx2", "--json").code == 0
    assert wished == ["avx2"] and len(requests) == 1


@pytest.mark.parametrize("name", ["avx2", "avx9"])
def test_instructions_that_cannot_be_chosen_are_a_usage_error(talkcli, requests, name) -> None:
    """One is unknown; for the other, the libraries of this test run are loaded already."""
    answer = talkcli("bench", "--isa", name)
    assert answer.code == 2 and requests == []
    assert "avx2" in answer.error

"""``talkcli bench`` from its arguments to its answer."""

from __future__ import annotations

import json

import pytest

from talkcli.bench import run
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
    return seen


def test_json_is_one_object(talkcli, requests) -> None:
    answer = talkcli("bench", "--json", "--seconds", "0")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    keys = ["command", "version", "machine", "backend", "reason", "renderer", "build", "animate"]
    assert list(result) == [*keys, "warnings"]
    assert result["renderer"][0]["splats"] == 200 and result["build"] is None
    assert requests == [run.BenchRequest(seconds=0)]


def test_people_get_a_table(talkcli, requests) -> None:
    answer = talkcli("bench", "--quick", "--backend", "cpu")
    assert answer.code == 0, answer.err
    assert "200 splats, 32 px:" in answer.out and "numba" in answer.out
    (request,) = requests
    assert (request.backend, request.seconds, request.three_views) == ("cpu", 5.0, False)


def test_unknown_back_end_is_a_usage_error(talkcli) -> None:
    answer = talkcli("bench", "--backend", "metal")
    assert answer.code == 2 and "metal" in answer.error


def test_videos_are_told_in_seconds_and_speed() -> None:
    video = {
        "duration_s": 60.0,
        "views": 3,
        "total_s": 30.0,
        "real_time_factor": 0.5,
        "first_frame_s": 1.25,
    }
    machine = {"cpu": "C", "gpu": None, "cores": 2, "threads": 2, "load": 0.1, "system": "S"}
    answer = {
        "machine": {**machine, "versions": {"numba": "1"}},
        "backend": "cpu",
        "reason": "asked for",
        "renderer": [],
        "build": {"seconds": 2.5, "parts": {}, "first_frame_s": 3.75},
        "animate": [video],
    }
    lines = bench_lines(answer)
    assert "portrait build 2.50 s; first frame of a new picture after 3.75 s" in lines
    assert lines[-1] == (
        "60 s of video, 3 views: made in 30.0 s, real-time factor 0.50 "
        "(2.00 times real-time speed), first frame after 1.25 s"
    )

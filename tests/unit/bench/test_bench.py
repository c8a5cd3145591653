"""What ``talkcli bench`` measures with, on sizes at which a round takes milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu
from talkcli.bench import machine, renderer, run, yardstick
from talkcli.bench import video as videos
from talkcli.bench.cost import PARTS
from talkcli.bench.renderer import torch_l1_ssim
from talkcli.bench.timing import Timing, interleaved
from talkcli.bench.video import VideoJob, VideoTimings, repeat_speech, time_video
from talkcli.bench.yardstick import Turn, Yardsticks
from talkcli.errors import InputError, UsageError
from talkcli.progress import SilentReporter
from talkcli.render.backend import cuda_obstacle
from talkcli.render.cpu.loss import l1_ssim

TINY = ((300, 40), (500, 48))


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An item for every time that the machine's speed was asked for; nothing is measured."""
    seen: list[None] = []

    def turn() -> Turn:
        seen.append(None)
        return Turn(50.0, 200.0)

    monkeypatch.setattr(yardstick, "take_turn", turn)
    return seen


def test_jobs_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []
    ticks = iter(range(1000))
    times = interleaved(
        {"a": lambda: turns.append("a"), "b": lambda: turns.append("b")},
        3,
        settle=lambda: turns.append("-"),
        clock=lambda: float(next(ticks)),
    )
    assert "".join(turns) == "a-b-" * 4
    # Two looks at a clock that moves on by one second at every look.
    assert times["a"].runs_ms.tolist() == times["b"].runs_ms.tolist() == [1000.0] * 3


def test_timings_are_summed_up_by_median_and_best() -> None:
    figures = Timing(np.array([8.0, 2.0, 4.0])).as_json()
    assert figures == {"median_ms": 4, "best_ms": 2, "per_second": 250, "best_per_second": 500}


def test_the_machine_is_named() -> None:
    found = machine.describe_machine()
    assert found["isa"] in ("avx512f", "avx2", "sse", "neon")
    assert found["cpu"] and found["cores"] >= 1 and found["threads"] >= 1
    assert set(found["versions"]) == {"talkcli", "python", "numba", "torch", "numpy", "gsplat"}
    assert found["versions"]["torch"] == torch.__version__
    assert (found["gpu"] is None) != torch.cuda.is_available()


def test_every_scene_is_measured() -> None:
    timings = renderer.time_renderer("cpu", TINY, repeats=2)
    assert [(t.splats, t.size) for t in timings] == list(TINY)
    for timing in timings:
        assert all(len(each.runs_ms) == 2 for each in (timing.forward, timing.backward, timing.fit))
        assert timing.as_json()["fit"]["per_second"] > 0


def test_a_fit_comes_closer_to_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed as an iteration is one: the loss falls."""
    losses = []

    def noted(*arguments: Any) -> torch.Tensor:
        loss = l1_ssim(*arguments)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(renderer, "l1_ssim", noted)
    step = renderer.fitting_job(renderer.head(400, 48))
    for _ in range(30):
        step()
    assert losses[-1] < 0.95 * losses[0]


def test_gradients_that_are_timed_are_those_of_every_parameter() -> None:
    gradients = renderer.backward_job(renderer.head(300, 40))()
    assert [tuple(g.shape) for g in gradients] == [(300, 3), (300, 4), (300, 3), (300,), (300, 3)]
    assert all(g.abs().sum() > 0 for g in gradients)


def test_the_two_losses_that_are_compared_are_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    image, target = torch.rand(2, 40, 30, 3, generator=generator)
    assert abs(l1_ssim(image, target, 0.2) - torch_l1_ssim(image, target, 0.2)) < 1e-5


def test_bench_answers_with_plain_values(
    monkeypatch: pytest.MonkeyPatch, turns: list[None]
) -> None:
    asked: list[VideoJob] = []
    alone: list[bool] = []

    def timed(video: VideoJob, *, single: bool = False) -> VideoTimings:
        with wave.open(video.speech) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        asked.append(video)
        alone.append(single)
        # A second to start, a tenth of a second per second and part.
        cpu = dict.fromkeys(PARTS, 0.1 * seconds) | {"other": 1 + 0.1 * seconds}
        return VideoTimings(
            len(video.views) or 1,
            seconds,
            0.5,
            4.0,
            {"track": 0.25, "build": 1.5, "render": 1},
            9.0,
            round(25 * seconds),
            cpu,
        )

    monkeypatch.setattr(run, "time_video", timed)
    request = run.BenchRequest(backend="cpu", scenes=TINY[:1], repeats=1, seconds=2.0)
    answer = json.loads(json.dumps(run.run_bench(request).as_json()))
    assert answer["command"] == "bench" and answer["backend"] == "cpu" and answer["reason"]
    assert set(answer["renderer"][0]) == {"splats", "size", "forward", "backward", "fit"}
    assert answer["build"]["seconds"] == 1.75 and answer["build"]["first_frame_s"] == 0.5
    assert [f["views"] for f in answer["animate"]] == [1, 3]
    assert [f["real_time_factor"] for f in answer["animate"]] == [2.0, 2.0]
    # A video to warm up and one that builds, each with a new project; the rest find the avatar.
    projects = [Path(video.project).name for video in asked]
    assert projects == ["warm"] + 7 * ["avatar"]
    # Two films twice for the cost of a second, with one thread.
    assert alone == [False] * 2 + [True] * 4 + [False] * 2
    cost = answer["cost"]
    assert cost["per_second"] == dict.fromkeys(PARTS, 0.1) and cost["cpu_per_second"] == 0.5
    assert cost["start_s"] == 1 and cost["frame_ms"] == 20 and cost["normalised_gflop"] == 1
    assert answer["speed"]["turns"] == 6 and answer["animate"][0]["cpu_s"] == 2
    assert {video.backend for video in asked} == {"cpu"}


@pytest.mark.slow
def test_a_video_of_the_sample_is_timed() -> None:
    request = run.BenchRequest("cpu", (), 1, seconds=1.0, size=128, three_views=False)
    result = run.run_bench(request)
    assert result.cost is not None and result.cost.frame_ms > 0
    assert all(result.videos[0].cpu[name] > 0 for name in PARTS)
    assert result.build is not None and result.build.seconds["build"] > 0
    (video,) = result.videos
    assert "build" not in video.seconds
    assert 0 < video.first_frame_s < video.total_s
    assert video.duration_s == 1.0 and video.peak_memory_mb


def test_no_videos_without_the_sample(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, turns: list[None]
) -> None:
    monkeypatch.setattr(run, "SAMPLE", tmp_path)
    reporter = SilentReporter()
    result = run.run_bench(run.BenchRequest("cpu", scenes=(), repeats=1), reporter)
    assert result.build is None and result.cost is None and result.videos == []
    assert len(turns) == 2
    assert "--portrait" in reporter.warnings[0]


def test_a_named_picture_that_is_missing_is_an_error(tmp_path: Path, turns: list[None]) -> None:
    request = run.BenchRequest("cpu", scenes=(), repeats=1, portrait=tmp_path / "no.png")
    with pytest.raises(InputError, match="does not exist"):
        run.run_bench(request)


def test_the_reference_is_not_measured() -> None:
    with pytest.raises(UsageError, match="--backend cpu"):
        run.run_bench(run.BenchRequest("reference"))


@pytest.mark.parametrize("seconds", [0.25, 3.0])
def test_speech_is_repeated_or_cut(seconds: float, tmp_path: Path) -> None:
    source, target = tmp_path / "source.wav", tmp_path / "target.wav"
    sound = (8000 * np.sin(np.arange(16000))).astype("<i2")
    with wave.open(str(source), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    repeat_speech(source, seconds, target)
    with wave.open(str(target)) as file:
        assert file.getparams()[:4] == (1, 2, 16000, round(16000 * seconds))
        written = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.abs(written - np.resize(sound, len(written)).astype(int)).max() <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it otherwise")
def test_peak_memory_is_that_of_the_process_alone() -> None:
    """Whoever starts it may be large; bench has torch loaded."""
    child = "from talkcli.bench.machine import peak_memory_mb; print(peak_memory_mb())"
    parent = (
        "import subprocess, sys; held = bytearray(b'x' * 400_000_000)\n"
        f"print(subprocess.check_output([sys.executable, '-c', {child!r}], text=True))"
    )
    told = subprocess.check_output([sys.executable, "-c", parent], text=True)
    assert 1 < float(told) < 300


def test_a_video_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no.png")
    with pytest.raises(InputError, match=r"no\.png does not exist"):
        time_video(VideoJob(nowhere, nowhere, str(tmp_path / "p"), str(tmp_path / "o.mp4")))


def test_the_process_answers_what_its_parent_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"duration_s": 2.0, "first_frame_s": 0.5, "seconds": {}, "cpu": {}}
    made: list[VideoJob] = []

    def make(video: VideoJob) -> Any:
        made.append(video)
        return iter(answer.items())

    monkeypatch.setattr(videos, "make_video", make)
    monkeypatch.setattr(videos.runtime, "silence_native_logs", lambda: None)
    video = {"portrait": "a", "speech": "b", "project": "c", "output": "d", "views": [1.0]}
    assert videos.main([json.dumps(video)]) == 0
    assert json.loads(capsys.readouterr().out) == answer
    assert made[0].views == [1.0]


@pytest.mark.skipif(cuda_obstacle() is None, reason="CUDA and gsplat are here")
def test_the_gpu_benchmark_refuses_without_a_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main(["-o", str(tmp_path / "gpu.md")]) == 4
    assert "cuda back-end cannot run" in capsys.readouterr().err
    assert not (tmp_path / "gpu.md").exists()


def test_the_gpu_page_holds_what_was_measured() -> None:
    timing = Timing(np.array([4.0]))
    scene = renderer.SceneTimings(60_000, 512, timing, timing, Timing(np.array([10.0])))
    video = VideoTimings(1, 60.0, 0.5, 30.0, {}, None, 1500, {})
    found = {"gpu": "G", "cpu": "C", "threads": 2, "system": sys.platform, "versions": {}}
    result = run.BenchResult(
        found, "cuda", "asked for", Yardsticks(), [scene], video, [video], None
    )
    text = gpu.page(result)
    assert "| 60000 | 512 | 250 | 250 | 100 |" in text
    assert "| 60 s, 1 view(s) of 512 px | 50 | 0.50 | 0.50 s |" in text

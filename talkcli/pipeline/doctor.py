"""Checks of what talkcli needs on this machine, each with the command that fixes it.

The checks import heavy libraries inside their functions: ``talkcli --help`` must not load them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from talkcli import runtime
from talkcli.errors import MissingDependencyError, TalkcliError
from talkcli.files.check import read_json
from talkcli.render.backend import CUDA_MEND
from talkcli.weights.mediapipe import mediapipe_solutions
from talkcli.weights.registry import DATA, SHIPPED

#: A build of one portrait needs about 50 MB and a minute of video about 10 MB.
_WARN_FREE_BYTES = 2 * 1024**3
_LEAST_FREE_BYTES = 200 * 1024**2

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: what was checked, in one or two words.
        status: ``ok``; ``warn`` if ``animate`` works with the defaults but something else does not;
            or ``fail``.
        detail: what was found, in one line.
        fix: the command or step that fixes it, if there is one.
    """

    name: str
    status: Status
    detail: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The check as shown by ``--json``."""
        return asdict(self)


def run_checks() -> list[Check]:
    """Run every check; takes a few seconds, because the libraries are actually loaded.

    A check that fails unexpectedly is reported as such, and the others still run.
    """
    return [_guarded(name, check) for name, check in _CHECKS]


def default_path_works(checks: list[Check]) -> bool:
    """Whether ``talkcli animate`` can be expected to work, which is so if no check failed."""
    return all(check.status != "fail" for check in checks)


def pip_command(*arguments: str) -> str:
    """A pip command for the environment that runs this program, ready to copy."""
    return shlex.join([sys.executable, "-m", "pip", *arguments])


def headless_opencv_command() -> str:
    """The one command that makes OpenCV load on a machine without libGL and libglib.

    mediapipe requires ``opencv-contrib-python``, which links to both. The headless package writes
    to the same folder ``cv2``; installed on top it takes over, and mediapipe's requirement stays
    met.
    """
    try:
        version = "==" + importlib.metadata.version("opencv-contrib-python")
    except importlib.metadata.PackageNotFoundError:
        version = "<4.12"  # 4.12 needs numpy 2
    return pip_command(
        "install", "--force-reinstall", "--no-deps", f"opencv-contrib-python-headless{version}"
    )


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a doctor has to survive what it finds
        reason = (str(error).splitlines() or ["no reason given"])[0]
        return Check(name, "fail", f"{type(error).__name__}: {reason}")


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    detail = f"{version} ({sys.executable})"
    if (3, 10) <= sys.version_info[:2] <= (3, 12):
        return Check("python", "ok", detail)
    return Check("python", "fail", detail, "install Python 3.10, 3.11 or 3.12 and talkcli into it")


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:
        fix = pip_command("install", "--force-reinstall", "torch>=2.6,<2.14")
        detail = f"{error}; export, fitting, training and some metrics need it"
        return Check("torch", "warn", detail, fix)
    return Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _cuda() -> Check:
    try:
        import torch
    except (ImportError, OSError):
        return Check("cuda", "ok", "not looked for without torch; rendering on the CPU")
    if not torch.cuda.is_available():
        return Check("cuda", "ok", "no CUDA device (optional); rendering on the CPU")
    device = torch.cuda.get_device_name(0)
    if importlib.util.find_spec("gsplat") is None:
        return Check(
            "cuda", "warn", f"{device}, but gsplat is missing; rendering on the CPU", CUDA_MEND
        )
    gsplat = importlib.metadata.version("gsplat")
    return Check("cuda", "ok", f"{device}, gsplat {gsplat}")


def _numba() -> Check:
    import numba

    from talkcli.kernels.prepare import are_ready

    state = "kernels are compiled" if are_ready() else "kernels compile before the first video"
    return Check("numba", "ok", f"{numba.__version__}, {state}")


def _opencv() -> Check:
    try:
        import cv2
        from cv2 import version as build
    except ImportError as error:
        return Check("opencv", "fail", str(error), headless_opencv_command())
    flavour = "headless" if build.headless else "with windows"
    return Check("opencv", "ok", f"{cv2.__version__}, {flavour}")


def _mediapipe() -> Check:
    try:
        mediapipe_solutions()
        import mediapipe
    except (ImportError, MissingDependencyError) as error:
        missing_library = "libGL" in str(error) or "libgthread" in str(error)
        fix = headless_opencv_command() if missing_library else None
        fix = fix or pip_command("install", "--force-reinstall", "mediapipe==0.10.21")
        return Check("mediapipe", "fail", str(error), fix)
    model = Path(mediapipe.__file__).parent / "modules/face_landmark/face_landmark.tflite"
    if not hasattr(mediapipe, "solutions") or not model.is_file():
        fix = pip_command("install", "mediapipe==0.10.21")
        return Check("mediapipe", "fail", f"{mediapipe.__version__} lacks FaceMesh", fix)
    return Check("mediapipe", "ok", f"{mediapipe.__version__} with FaceMesh")


def _landmarks() -> Check:
    from talkcli.tracking.follow import MODEL_VARIABLE, landmark_model, open_landmarks

    model = landmark_model("auto")
    if model is None:
        detail = f"bundled FaceMesh ({MODEL_VARIABLE} can name a face_landmarker.task)"
        return Check("landmarks", "ok", detail)
    try:
        open_landmarks(str(model)).close()
    except MissingDependencyError as error:
        return Check("landmarks", "warn", error.what, f"unset {MODEL_VARIABLE}")
    return Check("landmarks", "ok", f"{model} ({MODEL_VARIABLE})")


def _reading() -> Check:
    import av

    missing = sorted({"h264", "hevc", "aac", "mp3", "flac", "vorbis"} - av.codecs_available)
    if missing:
        fix = pip_command("install", "--force-reinstall", "--only-binary=:all:", "av")
        return Check("reading", "warn", f"PyAV {av.__version__} lacks {', '.join(missing)}", fix)
    if importlib.util.find_spec("pillow_heif") is None:
        fix = pip_command("install", "pillow-heif")
        return Check("reading", "warn", f"PyAV {av.__version__}; cannot read HEIC pictures", fix)
    return Check("reading", "ok", f"PyAV {av.__version__}, HEIC pictures")


def _writing() -> Check:
    from talkcli.media.encoder import find_ffmpeg

    fix = pip_command("install", "--force-reinstall", "imageio-ffmpeg")
    try:
        executable = find_ffmpeg()
    except MissingDependencyError as error:
        return Check("writing", "fail", error.what, error.fix)
    # Encode a fifth of a second of picture and tone with the encoders that every video uses.
    trial = [executable, "-nostdin"]
    trial += ["-f", "lavfi", "-i", "color=size=64x64:rate=25", "-f", "lavfi", "-i", "sine"]
    trial += [
        "-t",
        "0.2",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-f",
        "null",
        "-",
    ]
    run = subprocess.run(trial, capture_output=True, text=True, errors="replace", timeout=60)
    if run.returncode != 0:
        reason = (run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1]
        return Check("writing", "fail", f"{executable}: {reason}", fix)
    # Its output starts with "ffmpeg version 7.0.2-static https://… Copyright …".
    version = " ".join(run.stderr.split()[2:3])
    return Check("writing", "ok", f"ffmpeg {version}, H.264 and AAC")


def _shipped_files() -> Check:
    from safetensors import SafetensorError, safe_open

    broken = []
    for name in SHIPPED.values():
        try:
            if name.endswith(".json"):
                whole = bool(read_json(DATA / name))
            else:
                with safe_open(DATA / name, "numpy") as tensors:
                    whole = bool(list(tensors.keys()))
            if not whole:
                broken.append(name)
        except (OSError, ValueError, SafetensorError):
            broken.append(name)
    if broken:
        fix = pip_command("install", "--force-reinstall", "--no-deps", "talkcli")
        return Check("data files", "fail", f"missing or damaged: {', '.join(broken)}", fix)
    return Check("data files", "ok", f"{len(SHIPPED)} in {DATA}")


def _cache() -> Check:
    try:
        folder = runtime.cache_root()
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"talkcli")
    except (OSError, TalkcliError) as error:
        return Check("cache", "fail", str(error), "export TALKCLI_CACHE=/a/writable/folder")
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free / 1024**3:.1f} GB free"
    fix = "free some space, or export TALKCLI_CACHE=/a/folder/on/a/larger/disk"
    if free < _LEAST_FREE_BYTES:
        return Check("cache", "fail", detail, fix)
    return (
        Check("cache", "warn", detail, fix)
        if free < _WARN_FREE_BYTES
        else Check("cache", "ok", detail)
    )


_CHECKS: tuple[tuple[str, Callable[[], Check]], ...] = (
    ("python", _python),
    ("torch", _torch),
    ("cuda", _cuda),
    ("numba", _numba),
    ("opencv", _opencv),
    ("mediapipe", _mediapipe),
    ("landmarks", _landmarks),
    ("reading", _reading),
    ("writing", _writing),
    ("data files", _shipped_files),
    ("cache", _cache),
)

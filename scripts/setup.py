"""Builds the development environment: ``python scripts/setup.py [.venv]``. Standard library only.

It creates the virtual environment, installs talkcli into it in editable form with the ``dev``
extra, replaces OpenCV by its headless twin and compiles the kernels. A stamp file inside the
environment names the state it was built from, so that a second call returns at once.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = ".talkcli-setup"
#: The finished environment takes 2.7 GB, and pip unpacks beside it.
LEAST_FREE_BYTES = 4 * 1024**3


class SetupError(Exception):
    """A step failed; the message says which and what to do."""


def wanted_state() -> str:
    """Fingerprint of everything that decides what is installed."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", Path(__file__)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_stamp(venv: Path) -> tuple[str, str, str]:
    """Checkout, fingerprint and TORCH of the last finished set-up; empty texts without one."""
    try:
        lines = (venv / STAMP).read_text(encoding="utf-8").split("\n", 2)
    except OSError:
        lines = []
    checkout, state, torch_wish = (*lines, "", "", "")[:3]
    return checkout, state, torch_wish


def create_environment(venv: Path) -> Path:
    """Creates ``venv`` unless it already holds a Python that starts; returns that Python."""
    python = venv / "bin" / "python"
    # Its scripts name the folder in which they were made: a copied environment is made anew.
    moved = read_stamp(venv)[0] not in ("", str(ROOT))
    probe = [str(python), "-m", "pip", "--version"]
    if not moved and python.exists() and subprocess.run(probe, capture_output=True).returncode == 0:
        return python
    shutil.rmtree(venv, ignore_errors=True)
    version = ".".join(map(str, sys.version_info[:3]))
    # Not sys.executable: that may be the Python of the environment which has just been removed.
    base = getattr(sys, "_base_executable", sys.executable)
    print(f"setup: creating {venv.name} with Python {version} ({base})", flush=True)
    made = subprocess.run([base, "-m", "venv", venv], capture_output=True, text=True)
    if made.returncode != 0:
        shutil.rmtree(venv, ignore_errors=True)
        reason = (made.stdout + made.stderr).strip() or "no reason given"
        raise SetupError(
            "this Python cannot create a virtual environment; on Debian and Ubuntu: "
            f"apt-get install python3-venv. It said:\n{reason}"
        )
    return python


def pip(python: Path, *arguments: str, log: Path) -> None:
    """Runs pip, keeps everything it says in ``log`` and shows one short line per package."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    with log.open("a", encoding="utf-8") as record:
        record.write(f"$ {shlex.join(command)}\n")
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        started = time.monotonic()
        for line in process.stdout:
            record.write(line)
            word, _, rest = line.strip().partition(" ")
            if word in ("Collecting", "Building", "Installing") and "dependencies" not in rest:
                seconds = time.monotonic() - started
                what = rest.split(" (from")[0]
                what = what if len(what) < 60 else "packages"
                print(f"  [{seconds:4.0f} s] {word.lower()} {what}", flush=True)
        if process.wait() != 0:
            tail = log.read_text(encoding="utf-8").splitlines()[-12:]
            raise SetupError(
                "pip failed:\n    " + "\n    ".join(tail) + f"\n  everything it said is in {log}"
            )


def installed_version(python: Path, name: str) -> str | None:
    """Version of an installed distribution, or None."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def use_headless_opencv(python: Path, log: Path) -> None:
    """Puts the headless OpenCV in the place of the one that mediapipe brought.

    Both distributions write the folder ``cv2``; whichever came last is the one that works. The
    first one stays on pip's list, so that mediapipe's requirement counts as met and pip does not
    fetch it again over this one. Uninstalling it *afterwards* would delete the shared files.
    """
    version = installed_version(python, "opencv-contrib-python")
    if version is None:
        raise SetupError("opencv-contrib-python is not installed, although mediapipe needs it")
    probe = "import sys, cv2; from cv2 import version; sys.exit(not version.headless)"
    if subprocess.run([python, "-c", probe], capture_output=True).returncode == 0:
        return
    print("setup: replacing OpenCV by its headless twin (no libGL, no libglib needed)", flush=True)
    pip(
        python,
        *("install", "--force-reinstall", "--no-deps"),
        f"opencv-contrib-python-headless=={version}",
        log=log,
    )
    # Libraries of the first one, under a name of its own: 90 MB that nothing loads any more.
    for left in python.parents[1].glob("lib/python3*/site-packages/opencv_contrib_python.libs"):
        shutil.rmtree(left, ignore_errors=True)
    if subprocess.run([python, "-c", probe]).returncode != 0:
        raise SetupError("OpenCV still does not load after the exchange, see above")


def compile_kernels(python: Path) -> None:
    """Compiles talkcli's kernels in several processes, so that the first video need not wait."""
    print("setup: compiling kernels (10 s)", flush=True)
    if subprocess.run([python, "-m", "talkcli.kernels.prepare"], cwd=ROOT).returncode != 0:
        raise SetupError("talkcli's kernels do not compile, see above")


def main() -> int:
    """Brings the environment into the wanted state; returns the exit code."""
    venv = (ROOT / (sys.argv[1] if len(sys.argv) > 1 else ".venv")).absolute()
    state = wanted_state()
    torch_wish = os.environ.get("TORCH", "")
    checkout, built_from, torch_then = read_stamp(venv)
    # Without a wish the PyTorch that is there will do: `make setup TORCH=…`, then `make test`.
    if (checkout, built_from) == (str(ROOT), state) and torch_wish in ("", torch_then):
        return 0
    print("setup: preparing talkcli's environment; once, 1 to 5 minutes, about 3 GB", flush=True)
    started = time.monotonic()
    try:
        if (free := shutil.disk_usage(ROOT).free) < LEAST_FREE_BYTES and not venv.exists():
            raise SetupError(f"only {free / 1024**3:.1f} GB are free in {ROOT}, 4 GB are needed")
        python = create_environment(venv)
        (venv / STAMP).unlink(missing_ok=True)
        log = venv / "setup.log"
        if torch_wish:
            print(f"setup: installing PyTorch as told: {torch_wish}", flush=True)
            pip(python, "install", *shlex.split(torch_wish), log=log)
        print("setup: installing talkcli and what it needs", flush=True)
        pip(python, "install", "--editable", ".[dev]", log=log)
        use_headless_opencv(python, log)
        compile_kernels(python)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("setup: interrupted; the same command goes on", file=sys.stderr)
        return 5
    (venv / STAMP).write_text(f"{ROOT}\n{state}\n{torch_wish}", encoding="utf-8")
    print(f"setup: done in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

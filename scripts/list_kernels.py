"""Lists the kernels that videos need: ``python -m scripts.list_kernels [--check]``.

Runs the main jobs with the sample portrait and writes ``talkcli/data/kernels.json`` with every
kernel that was called, and the types of its arguments. Those whose code is longest come first: they
take longest to compile, and :mod:`talkcli.kernels.prepare` begins with them. To be run after a
kernel has been added or its arguments have changed; ``--check``, which the tests run, says so.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "talkcli/data/kernels.json"
PORTRAIT, SPEECH = ROOT / "assets/portrait.png", ROOT / "assets/speech.wav"
#: A curve is as good as a clip here: neither has kernels of its own.
CURVE = "Timecode,BlendShapeCount,JawOpen\n00:00:00:00.0,1,0.1\n00:00:01:00.0,1,0.6\n"


def run_main_jobs(folder: Path) -> None:
    """Run what users run, as small as it gets.

    Args:
        folder: for the project and the results.

    Raises:
        SystemExit: one of them failed.
    """
    from talkcli.cli.app import run

    project, small = folder / "p.talk", ("--size", "98", "--fps", "2", "-q", "-y")
    curve = folder / "curve.csv"
    curve.write_text(CURVE)
    drive = ("drive", project, SPEECH, *small)
    for job in (
        ("animate", PORTRAIT, SPEECH, "--views", "-30,0,30", *small, "-p", project,
         "-o", folder / "views.mp4"),
        (*drive, "--bg", "#203040", "--head-motion", "0", "-o", folder / "bg.mp4"),
        (*drive, "--bg", "transparent", "--camera-path", "orbit", "-o", folder / "clear.mov"),
        (*drive, "--bg", PORTRAIT, "-o", folder / "frames"),
        ("drive", project, "--driver", curve, *small, "-o", folder / "driven.mp4"),
        ("render", project, "--expression", "jawOpen=.6", "--size", "1090", "-q", "-y",
         "-o", folder / "still.png"),
    ):  # fmt: skip
        if code := run([str(word) for word in job]):
            raise SystemExit(code)


def main() -> int:
    from talkcli import runtime
    from talkcli.kernels import prepare

    runtime.configure()
    checking = sys.argv[1:] == ["--check"]
    if checking:
        prepare.compile_kernels(lambda: None)
    with tempfile.TemporaryDirectory() as name:
        run_main_jobs(Path(name))
    from talkcli.kernels.jit import compiled_here, in_use

    used = in_use()
    if checking:
        stale = [name for name, texts in prepare.needed().items() if texts != used.get(name)]
        print(json.dumps({"compiled": sorted(compiled_here()), "stale": stale}))
        return 0
    names = sorted(used, key=_code_length, reverse=True)
    listed = {name: used[name] for name in names}
    LIST.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    print(f"{LIST.relative_to(ROOT)}: {len(listed)} kernels")
    return 0


def _code_length(name: str) -> int:
    """Bytes of a kernel's machine code, which tell how long it takes to compile."""
    from talkcli.kernels import store

    module, _, function = name.partition(":")
    kernel = getattr(import_module(module), function)
    stored = [store.read(kernel.py_func, kernel.key(signature)) for signature in kernel.loaded]
    return sum(len(code.binary) for code in stored if code is not None)


if __name__ == "__main__":
    sys.exit(main())

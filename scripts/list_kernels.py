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
from typing import Any

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
    from talkcli.kernels.signatures import spell

    used = in_use()
    if checking:
        spelt = {name: sorted(map(spell, kinds)) for name, kinds in used.items()}
        stale = sorted(
            name for name in prepare.needed() if prepare.needed()[name] != spelt.get(name)
        )
        print(json.dumps({"compiled": sorted(compiled_here()), "stale": stale}))
        return 0
    names = sorted(used, key=lambda name: _code_length(name, used[name]), reverse=True)
    listed = {name: sorted(map(spell, used[name])) for name in names}
    LIST.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    print(f"{LIST.relative_to(ROOT)}: {len(listed)} kernels")
    return 0


def _code_length(name: str, kinds: list[tuple[Any, ...]]) -> int:
    """Characters of a kernel's code for LLVM, which tell how long it takes to compile."""
    module, _, function = name.partition(":")
    compiler = getattr(import_module(module), function)._compiler
    return sum(len(str(compiler.compile(kind, None).library._final_module)) for kind in kinds)


if __name__ == "__main__":
    sys.exit(main())

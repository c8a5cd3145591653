"""Reads mutated files one after the other and writes down how each was taken.

Run as ``python -m tests.support.mutations FOLDER COUNT SEED``, in a process of its own: a decoder
written in C may take the whole process with it, and how much memory was needed is then known.
"""

from __future__ import annotations

import json
import logging
import resource
import shutil
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from talkcli import runtime
from talkcli.errors import TalkcliError

#: Numbers that break sizes, counts and offsets: all bits set, the signs, one, none.
_EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\0\0\0\0", b"\1\0\0\0")
#: What breaks texts: numbers that overflow, words of other types, brackets without end.
_WORDS = (
    *(b"1e999", b"-1", b"nan", b"inf", b"null", b"true", b"99999999999999999999", b"''", b'""'),
    *(b"[" * 3000, b"{" * 3000, b"\xff\xfe", b"\0", b",,,,", b"\n\n", b"1979-05-27", b"../../x"),
)

Reader = Callable[[Path], object]


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy: one to four of the ways in which files get damaged."""
    data = bytearray(content)
    for _ in range(int(min(4, rng.geometric(0.6)))):
        if not data:
            return b""
        # Headers decide most: half of the damage falls on the first 200 bytes.
        reach = min(len(data), 200) if rng.random() < 0.5 else len(data)
        at = int(rng.integers(reach))
        length = int(rng.integers(1, max(2, len(data) // 8)))
        kind = int(rng.integers(8))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            extreme = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
            data[at : at + 4] = extreme
        elif kind == 3:
            del data[at + 1 :]
        elif kind == 4:
            del data[at : at + length]
        elif kind == 5:
            data[at:at] = data[at : at + length]
        elif kind == 6:
            data[at : at + length] = bytes(len(data[at : at + length]))
        else:
            word = _WORDS[int(rng.integers(len(_WORDS)))]
            data[at : at + int(rng.integers(len(word) + 1))] = word
    return bytes(data)


def mutate_archive(content: Path, target: Path, rng: np.random.Generator) -> None:
    """A sound zip with damaged members: what only shows once they are unpacked."""
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(target, "w") as result:
        members = source.namelist()
        chosen = members[int(rng.integers(len(members)))]
        for name in members:
            data = source.read(name)
            result.writestr(name, mutate(data, rng) if name == chosen else data)


def readers(folder: Path) -> dict[str, Reader]:
    """How files are read, by the kind of their seed; ``folder`` is where the mutated one lies."""
    from talkcli.config import load_recipe
    from talkcli.engines.portrait.checkpoint import load_avatar
    from talkcli.media.audio import open_sound
    from talkcli.media.image import read_image
    from talkcli.media.read import probe, read_frames
    from talkcli.motion.curves import load_curves
    from talkcli.pipeline.stages.faces import FoundFaces
    from talkcli.project.status import project_status

    def sound(path: Path) -> None:
        with open_sound(path) as opened:
            blocks, track = opened.blocks(), opened.track(48000, opened.track_channels)
            for samples in (*islice(blocks, 300), *islice(track, 1200)):
                assert np.isfinite(samples).all()

    def clip(path: Path) -> None:
        probe(path)
        for frame in islice(read_frames(path, max_side=512), 100):
            assert frame.rgb.dtype == np.uint8 and np.isfinite(frame.time_s)

    def picture(path: Path) -> None:
        pixels = read_image(path)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 4

    def curves(path: Path) -> None:
        found = load_curves(path)
        for values in (found.expression, found.rotation, found.translation, found.gaze):
            assert np.isfinite(values).all()

    return {
        "picture": picture,
        "sound": sound,
        "clip": clip,
        "curves": curves,
        "recipe": load_recipe,
        "project": lambda path: project_status(folder),
        "faces": lambda path: FoundFaces.load(path.parent),
        "avatar": lambda path: load_avatar(path.parent),
    }


def main(folder: Path, count: int, seed: int) -> None:
    """Read ``count`` mutated files; append a line of JSON for each to ``results.jsonl``."""
    runtime.configure()
    logging.disable(logging.CRITICAL)
    work = folder / "work"
    read = readers(work)
    root = folder / "seeds"
    kinds = sorted(path.name for path in root.iterdir())
    seeds = sorted(path for path in root.rglob("*") if path.is_file())
    rng = np.random.default_rng(seed)
    with (folder / "results.jsonl").open("a", buffering=1, encoding="utf-8") as results:
        for number in range(count):
            # Every file in turn, and every kind of reader in turn: some have few seeds.
            if number % 2:
                kind = kinds[number // 2 % len(kinds)]
                own = [path for path in seeds if path.relative_to(root).parts[0] == kind]
                source = own[int(rng.integers(len(own)))]
            else:
                source = seeds[number // 2 % len(seeds)]
                kind = source.relative_to(root).parts[0]
            shutil.rmtree(work, ignore_errors=True)
            if kind in ("project", "avatar"):  # files that belong together
                shutil.copytree(root / kind, work)
            target = work / source.relative_to(root / kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".npz" and rng.random() < 0.5:
                mutate_archive(source, target, rng)
            else:
                target.write_bytes(mutate(source.read_bytes(), rng))
            shutil.copy(target, folder / f"last{source.suffix}")
            results.write(json.dumps({"begun": source.name}) + "\n")
            began = time.perf_counter()
            told = ""
            try:
                read[kind](target)
                outcome = "read"
            except TalkcliError as error:
                outcome = "refused"
                if error.exit_code == 1 or "\n" in str(error):
                    outcome, told = "unexplained", str(error)
            except BaseException:  # noqa: BLE001 (what must not happen is written down)
                outcome, told = "crashed", traceback.format_exc()
                kept = folder / f"crash-{number}-{source.name}"
                shutil.copy(target, kept)
            seconds = time.perf_counter() - began
            line = {"kind": kind, "outcome": outcome, "seconds": seconds, "told": told}
            results.write(json.dumps(line) + "\n")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        scale = 1 if sys.platform == "darwin" else 1024
        results.write(json.dumps({"peak_bytes": peak * scale}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

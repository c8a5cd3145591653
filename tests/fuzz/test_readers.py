"""Damaged files of every kind are read or refused: never a crash, a hang, or much memory.

Seeded, so that a failure comes again; the mutated file of a crash is kept beside the results.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from talkcli.engines.portrait.checkpoint import save_avatar
from talkcli.media.image import write_image
from talkcli.motion.curves import write_csv, write_npz
from talkcli.pipeline.stages.faces import FoundFace, FoundFaces
from talkcli.project import Project, Stage
from talkcli.project.store import ProjectInput
from talkcli.types import MotionCurves
from tests.support import mutations
from tests.support.avatars import tiny_avatar
from tests.support.media import make_audio, make_clip, quadrants, tone

ROOT = Path(__file__).parents[2]

#: A reader may take this long for one file, seconds, on a machine that does other things too.
SLOWEST_S = 60
#: Libraries take 0.5 GB; the rest is the largest picture that is accepted, decoded and converted.
MOST_BYTES = 2 << 30

PICTURES = {
    "PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "TIFF": "tif", "BMP": "bmp",
    "AVIF": "avif", "HEIF": "heic", "DDS": "dds", "JPEG2000": "jp2", "TGA": "tga", "ICO": "ico",
    "PCX": "pcx", "SGI": "sgi", "PPM": "ppm", "ICNS": "icns",
}  # fmt: skip
SOUNDS = {
    "wav": [], "flac": [], "mp3": [], "ogg": [], "opus": [], "m4a": [], "aac": [], "aiff": [],
    "mka": ["-c:a", "pcm_f32le"], "au": [],
}  # fmt: skip
CLIPS = {
    "mp4": [], "mkv": [], "webm": ["-c:v", "libvpx"], "avi": ["-c:v", "mpeg4"],
    "mov": ["-c:v", "mjpeg"], "ts": [], "gif": ["-pix_fmt", "rgb8"],
}  # fmt: skip


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small sound file of every kind, in a folder for each reader."""
    folder = tmp_path_factory.mktemp("seeds")
    for kind in ("picture", "sound", "clip", "curves", "recipe", "project", "faces", "avatar"):
        (folder / kind).mkdir()
    make_pictures(folder / "picture")
    for suffix, codec in SOUNDS.items():
        make_audio(folder / "sound" / f"a.{suffix}", tone(0.5, 48000, 2), 48000, *codec)
    make_audio(folder / "sound" / "float.wav", tone(0.5, 16000, 9), 16000, "-c:a", "pcm_f32le")
    for suffix, options in CLIPS.items():
        make_clip(folder / "clip" / f"a.{suffix}", quadrants(6), "25", *options)
    make_curves(folder / "curves")
    for recipe in (ROOT / "recipes").glob("*.toml"):
        (folder / "recipe" / recipe.name).write_bytes(recipe.read_bytes())
    save_avatar(tiny_avatar(), folder / "avatar")
    make_project(folder / "project")
    points = np.random.default_rng(0).uniform(0, 90, (478, 3)).round(2).tolist()
    FoundFaces(100, 100, (FoundFace(points, 50.0, 3.0),)).save(folder / "faces")
    return folder


def make_pictures(folder: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    rgb = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    for name, suffix in PICTURES.items():
        if name in Image.SAVE or name == "HEIF":
            Image.fromarray(rgb).resize((64, 64)).save(folder / f"rgb.{suffix}", format=name)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(folder / "rgba.png", np.dstack([rgb, rgb[..., 0]]))
    Image.fromarray(rgb).save(folder / "profile.png", icc_profile=profile)
    Image.fromarray(rgb).save(folder / "profile.jpg", icc_profile=profile, exif=exif)
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(folder / "deep.tif")
    Image.fromarray(rgb[..., 0].astype(np.float32)).save(folder / "grey.tif")
    Image.fromarray(rgb).convert("P").save(folder / "palette.png", transparency=3)


def make_curves(folder: Path) -> None:
    n, rng = 20, np.random.default_rng(0)
    curves = MotionCurves(
        times=(np.arange(n) + 0.5) / 25,
        expression=rng.uniform(0, 1, (n, 52)).astype(np.float32),
        rotation=rng.uniform(-9, 9, (n, 3)).astype(np.float32),
        translation=rng.uniform(-9, 9, (n, 3)).astype(np.float32),
        gaze=rng.uniform(-9, 9, (n, 2)).astype(np.float32),
        tracked=np.ones(n, bool),
        duration_s=n / 25,
    )
    write_npz(folder / "a.npz", curves)
    write_csv(folder / "a.csv", curves.frames, Fraction(25))


def make_project(folder: Path) -> None:
    project = Project.create(folder)
    picture = folder.parent / "picture" / "rgba.png"
    pixels = np.zeros((4, 4, 3), np.uint8)
    project.set_input("portrait", ProjectInput.of(picture))
    project.run(Stage("portrait", 1, {}, {}), lambda path: write_image(path / "a.png", pixels))


def read_mutated(seeds: Path, folder: Path, count: int, seed: int) -> None:
    """Let a process of its own read ``count`` mutated files; print figures; fail on any trouble."""
    (folder / "seeds").symlink_to(seeds)
    command = [sys.executable, "-m", mutations.__name__, folder, str(count), str(seed)]
    results = folder / "results.jsonl"
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, check=False, timeout=SLOWEST_S + 0.5 * count
        )
        ended = f"status {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
    except subprocess.TimeoutExpired:
        ended = "a reader hangs"
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert "peak_bytes" in lines[-1], f"{lines[-1]}, {ended}; the file is in {folder}"
    taken = [line for line in lines if "outcome" in line]
    assert len(taken) == count
    outcomes = Counter(line["outcome"] for line in taken)
    slowest, peak = max(line["seconds"] for line in taken), lines[-1]["peak_bytes"]
    by_kind = Counter((line["kind"], line["outcome"]) for line in taken)
    sys.stdout.write(
        f"\n{count} mutated files: {dict(outcomes)}; slowest {slowest:.1f} s, "
        f"peak {peak / 2**20:.0f} MB; "
        + ", ".join(f"{kind} {outcome} {n}" for (kind, outcome), n in sorted(by_kind.items()))
        + "\n"
    )
    trouble = [line for line in taken if line["outcome"] in ("crashed", "unexplained")]
    assert not trouble, f"{folder}: " + "\n".join(line["told"] for line in trouble[:5])
    assert slowest < SLOWEST_S
    assert peak < MOST_BYTES
    # Were nearly all read or nearly all refused, the mutations would test little.
    assert outcomes["read"] > 0.1 * count and outcomes["refused"] > 0.1 * count


def test_three_hundred_mutated_files(seeds: Path, tmp_path: Path) -> None:
    read_mutated(seeds, tmp_path, 300, 13)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 105))
def test_a_thousand_mutated_files(seeds: Path, tmp_path: Path, seed: int) -> None:
    read_mutated(seeds, tmp_path, 1000, seed)

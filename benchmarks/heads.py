"""How near do a network's heads come to the portrait engine's? People that nothing is trained on.

    python -m benchmarks.heads ../shared/data packs/base -o out/heads [--weights FILE]

Every held-out picture of the pack is made into an avatar by both engines, saved and loaded. Maps
are compared in the source's view: depth of the first surface (its median removed, mm), coverage
(IoU of head and neck), yaw. Views at 0, -30 and 30 degrees: PSNR of the head before grey over the
union of both, landmarks in per cent of the face height, whether a face is found, its yaw against
the command, holes (share of the closed silhouette, 4 px inside, that is covered by less than .8).
*mean face*: the same network without its corrections and without looking, which is the mean head of
the training people, as it lies in the standard crop. Maps are also compared with the pose of the
landmarks given, as the engine has it by default; ``--by-network`` makes the avatars of the views
without them. With ``-o``, a sheet of eight people.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from talkcli import runtime

runtime.configure()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy import ndimage  # noqa: E402

from talkcli.avatar import Avatar, PictureSource, View  # noqa: E402
from talkcli.config import Recipe, load_recipe  # noqa: E402
from talkcli.engines.registry import engine  # noqa: E402
from talkcli.engines.splat_portrait.lift import network_of  # noqa: E402
from talkcli.engines.splat_portrait.network import SplatPortraitNet  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.face.pose import DEPTH_SCALE, fit_pose, rotation_to_euler  # noqa: E402
from talkcli.imaging import over_white  # noqa: E402
from talkcli.media.image import read_image  # noqa: E402
from talkcli.progress import SilentReporter, Stopwatch  # noqa: E402
from talkcli.project import Project  # noqa: E402
from talkcli.project.run import Run  # noqa: E402
from talkcli.render.player import Images, draw_head, player  # noqa: E402
from talkcli.render.solid import solidify  # noqa: E402
from talkcli.tracking.landmarks import detect_faces, landmarks_in_crop  # noqa: E402
from talkcli.train.avatar_views import load_views  # noqa: E402
from talkcli.train.distillation import KIND  # noqa: E402
from talkcli.train.head_scores import score_heads  # noqa: E402
from talkcli.train.packs import read_pack  # noqa: E402

YAWS = (0.0, -30.0, 30.0)
#: Crops of this side: what the pictures of the pack show.
SIDE = 256
_SHEET = 8


def mean_face(weights: str) -> SplatPortraitNet:
    """The network without its corrections: every head is in the middle and looks ahead."""
    network = SplatPortraitNet.load(network_file(weights))
    with torch.no_grad():
        for part in (network.unet.out, network.pose.out):
            for values in part.parameters():
                values.zero_()
    return network


def network_file(weights: str) -> Path:
    """The file of a setting."""
    from talkcli.engines.splat_portrait.lift import weights_file

    return weights_file(weights)


def made(name: str, source: PictureSource, recipe: Recipe) -> tuple[Avatar, float]:
    """An avatar as users load it, and the CPU seconds that making it took."""
    maker = engine(name)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Project.create(Path(folder) / "p.talk"), recipe, SilentReporter(), Stopwatch())
        place = Path(folder) / "avatar"
        place.mkdir()
        began = time.process_time()
        maker.make(source, run, place)
        return maker.load(place), time.process_time() - began


def look(avatar: Avatar, yaw: float) -> tuple[np.ndarray, Images]:
    """The crop with its background as levels, and the head alone."""
    head = draw_head(player("cpu"), avatar, None, View(yaw))
    solidify(*head)
    plate = np.asarray(avatar.backdrop(None).plate, np.float32)
    plate = plate / 255 if plate.max() > 2 else plate
    shown = head.rgb + (1 - head.alpha[..., None]) * plate
    return (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8), head


def seen_yaw(picture: np.ndarray, model: FaceModel) -> tuple[np.ndarray | None, float]:
    """Landmarks that FaceMesh finds, and the yaw that they show."""
    points = landmarks_in_crop(picture)
    if points is None:
        return None, np.nan
    pose = fit_pose(points * (1, 1, DEPTH_SCALE), model.vertices)
    return points, rotation_to_euler(pose.rotation)[0]


def holes(alpha: np.ndarray) -> float:
    """Per cent of the inside of a head that is hardly covered."""
    inside = ndimage.binary_erosion(ndimage.binary_fill_holes(alpha > 0.5), iterations=4)
    return 100 * float((alpha[inside] < 0.8).mean()) if inside.any() else np.nan


def compare(
    ours: Avatar, theirs: Avatar, model: FaceModel
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Figures of one person, and the pictures of both."""
    row: dict[str, float] = {}
    shown: list[np.ndarray] = []
    parts: dict[str, list[float]] = {}
    for yaw in YAWS:
        (mine, head), (other, wanted) = look(ours, yaw), look(theirs, yaw)
        shown += [mine, other]
        box = ndimage.binary_dilation((head.alpha > 0.05) | (wanted.alpha > 0.05), iterations=2)
        grey = [h.rgb + 0.5 * (1 - h.alpha[..., None]) for h in (head, wanted)]
        apart = float(((grey[0] - grey[1])[box] ** 2).mean())
        points, found = seen_yaw(mine, model)
        real, real_yaw = seen_yaw(other, model)
        side = "front" if yaw == 0 else "side"
        for name, value in (
            ("psnr", -10 * np.log10(max(apart, 1e-9))),
            ("found", 100.0 * (points is not None)),
            ("yaw", abs(found - yaw)),
            ("yaw of portrait", abs(real_yaw - yaw)),
            ("holes", holes(head.alpha)),
            ("holes of portrait", holes(wanted.alpha)),
        ):
            parts.setdefault(f"{side} {name}", []).append(value)
        if points is not None and real is not None:
            height = np.linalg.norm(real[10] - real[152])
            far = np.linalg.norm(points[:, :2] - real[:, :2], axis=1).mean() / height
            parts.setdefault(f"{side} landmarks %", []).append(100 * float(far))
    for name, values in parts.items():
        row[name] = float(np.nanmean(values))
    return row, shown


def source_of(path: Path) -> PictureSource | None:
    """A picture whose head crop has about 256 pixels."""
    rgba = read_image(path)
    faces = detect_faces(np.ascontiguousarray(over_white(rgba)), small=False)
    if not faces:
        return None
    return PictureSource(rgba, faces[0].points, max(rgba.shape[:2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("pack", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--maps-only", action="store_true")
    parser.add_argument("--by-network", action="store_true")
    options = parser.parse_args()
    people = load_views(options.pack, "held", options.people)
    report: dict[str, object] = {"people": len(people)}
    network = network_of(options.weights)
    mean = mean_face(options.weights)
    for name, each, posed in (
        ("network", network, False), ("mean face", mean, False),
        ("network, pose of landmarks", network, True), ("mean face, that pose", mean, True),
    ):  # fmt: skip
        report[name] = score_heads(each, people, posed=posed).as_json()
        print(name, report[name], flush=True)
    if not options.maps_only:
        report["views"] = views(options)
        print("views", report["views"])
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "heads.json").write_text(json.dumps(report, indent=1) + "\n")


def views(options: argparse.Namespace) -> dict[str, float]:
    """Mean figures of the views of all people."""
    model = FaceModel.load()
    rows: list[dict[str, float]] = []
    sheet: list[np.ndarray] = []
    settings = ["portrait.max_crop=256", f"splat_portrait.weights={options.weights}"]
    settings.append(f"splat_portrait.landmarks={str(not options.by_network).lower()}")
    recipe = load_recipe(sets=settings)
    records = read_pack(options.pack, KIND, "held")
    for record, _ in zip(records, range(options.people), strict=False):
        source = source_of(options.data / record.facts["source"])
        if source is None:
            continue
        theirs, seconds = made("portrait", source, recipe)
        ours, own_seconds = made("splat-portrait", source, recipe)
        row, shown = compare(ours, theirs, model)
        row |= {"seconds": own_seconds, "seconds of portrait": seconds}
        rows.append(row)
        if len(sheet) < _SHEET:
            sheet.append(np.hstack([cv2.resize(p, (SIDE, SIDE)) for p in shown]))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(options.output / "heads.png"), np.vstack(sheet)[..., ::-1])
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {n: round(float(np.nanmean([r.get(n, np.nan) for r in rows])), 3) for n in names}


if __name__ == "__main__":
    main()

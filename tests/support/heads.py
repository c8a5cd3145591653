"""Made-up people for trainings: an egg with the template's face, in three views; packs of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from talkcli.engines.splat_portrait.align import FOCAL, SIDE_CM
from talkcli.engines.splat_portrait.network import SplatPortraitNet
from talkcli.engines.splat_portrait.unet import NetworkSize
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation
from talkcli.train.avatar_views import load_views
from talkcli.train.distillation import KIND, MAP_PX, PICTURE_PX, Drawing
from talkcli.train.mean_maps import fit_mean_maps
from talkcli.train.packs import PackWriter, Record, as_jpeg

SETTINGS = {"picture": PICTURE_PX, "maps": MAP_PX}
#: Half axes of the egg about the template's origin, centimetres.
_AXES = np.array([7.5, 11.5, 9.0])
_CENTRE = np.array([0.0, 0.5, -4.0])


def drawing(person: int, euler: tuple[float, float, float]) -> Drawing:
    """The view of one person: skin of its own colour, hair above, before a ground of another."""
    rng = np.random.default_rng(person)
    turn = np.diag([1.0, -1.0, -1.0]) @ euler_to_rotation(*euler)
    origin = np.array([rng.normal(0, 0.8), rng.normal(0, 0.8), SIDE_CM * FOCAL / 1.05])
    line = (np.arange(MAP_PX) + 0.5) / MAP_PX - 0.5
    rays = np.stack([*np.meshgrid(line, line), np.full((MAP_PX, MAP_PX), FOCAL)], -1) / FOCAL
    eye, way = (-origin) @ turn - _CENTRE, rays @ turn
    a = ((way / _AXES) ** 2).sum(-1)
    b = (way / _AXES) @ (eye / _AXES)
    root = b**2 - a * (((eye / _AXES) ** 2).sum() - 1)
    hit = root > 0
    near, far = ((-b + sign * np.sqrt(np.maximum(root, 0))) / a for sign in (-1, 1))
    shown = (rays * near[..., None] - origin) @ turn
    skin, hair, ground = rng.uniform(0.2, 0.9, (3, 3))
    rgb = np.where((shown[..., 1] > 6)[..., None], hair, skin)
    eyes = np.abs(np.abs(shown[..., 0]) - 3) + np.abs(shown[..., 1] - 1) < 1
    rgb = np.where((eyes & (shown[..., 2] > 0))[..., None], 0.1, rgb)
    rgb = np.where(hit[..., None], rgb, ground)
    face = FaceModel.load().vertices.astype(np.float64)
    return Drawing(
        rgb=(rgb * 255).astype(np.uint8),
        alpha=hit.astype(np.float32),
        front=np.where(hit, near - origin[2], 0).astype(np.float32),
        back=np.where(hit, far - origin[2], 0).astype(np.float32),
        weight=np.where(hit, np.clip(1 + (shown[..., 1] + 7) / 4, 0, 1), 0).astype(np.float32),
        back_rgb=np.full((MAP_PX // 2, MAP_PX // 2, 3), (hair * 255).astype(np.uint8)),
        vertices=(face @ turn.T).astype(np.float32),
        origin=origin,
        euler=np.array(euler),
        focal=FOCAL,
    )


def record(person: int, split: str) -> Record:
    """The three views of one person."""
    rng = np.random.default_rng(1000 + person)
    facts = {
        "source": f"made/{person}.png", "person": f"made {person}", "licence": "none",
        "split": split, "views": [],
    }  # fmt: skip
    arrays = {}
    yaw = rng.uniform(-25, 25)
    for number, turned in enumerate((yaw, yaw - 30, yaw + 20)):
        own, maps = drawing(person, (float(turned), float(rng.uniform(-8, 8)), 0.0)).packed()
        facts["views"].append(own)
        arrays |= {f"{number}.{name}": array for name, array in maps.items()}
    plate = np.full((MAP_PX, MAP_PX, 3), (rng.uniform(0.2, 0.9, 3) * 255).astype(np.uint8))
    return Record(facts, {**arrays, "plate": as_jpeg(plate)})


def write_network(path: Path) -> Path:
    """Weights that see the mean of eight made-up people in every picture."""
    torch.manual_seed(0)
    network = SplatPortraitNet(NetworkSize((8, 16), 1, 1, 4, 2))
    with TemporaryDirectory() as folder:
        people = load_views(write_pack(Path(folder), train=8, held=0), "train")
    network.mean.copy_(fit_mean_maps(people))
    network.save(path, {"people": len(people)})
    return path


def write_pack(folder: Path, *, train: int = 2, held: int = 2) -> Path:
    """A pack of made-up people; the first ``held`` of them are held out."""
    writer = PackWriter(folder, KIND, SETTINGS)
    for person in range(held + train):
        writer.add([record(person, "held" if person < held else "train")])
    writer.flush()
    return folder

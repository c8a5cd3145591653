"""Networks of others that the user may install: what they are for, and whose they are.

None of them is part of the package, and nothing is downloaded unless ``talkcli models pull`` is
called. Sizes and SHA-256 values are those that several unrelated public projects pin for the same
files; for two of them the publisher's file name begins with the same digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from talkcli.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Model:
    """A file of weights.

    Attributes:
        name: as ``talkcli models`` takes it.
        file: the name under which it is stored.
        purpose: what talkcli uses it for.
        url: where its publisher, or a mirror pinned to a revision, offers it.
        size: bytes.
        licence: terms of the weights, as far as their publisher states any.
        sha256: 64 hex digits.
        commercial: False if the terms forbid commercial use.
    """

    name: str
    file: str
    purpose: str
    url: str
    size: int
    licence: str
    sha256: str
    commercial: bool = True


MODELS: tuple[Model, ...] = (
    Model(
        "lpips-alexnet",
        "alexnet-owt-7be5be79.pth",
        "trunk of LPIPS, the perceptual distance (eval)",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        244_408_911,
        "BSD-3-Clause (torchvision)",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    Model(
        "fid-inception",
        "weights-inception-2015-12-05-6726825d.pth",
        "features of FID (eval)",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        95_628_359,
        "Apache-2.0 (TensorFlow models)",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    Model(
        "syncnet",
        "syncnet_v2.model",
        "LSE-C and LSE-D, the lip-sync scores of papers (eval)",
        "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        54_573_114,
        "none stated for the weights (VGG, Oxford; code MIT)",
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
    ),
    Model(
        "arcface",
        "w600k_r50.onnx",
        "CSIM, the identity similarity of papers, with tools of your own",
        "https://huggingface.co/public-data/insightface/resolve/"
        "33c1063c49c785b7652d3fd529f86fa4f149392b/models/buffalo_l/w600k_r50.onnx",
        174_383_860,
        "non-commercial research only (InsightFace)",
        "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        commercial=False,
    ),
    Model(
        "depth-anything-v2-small",
        "depth_anything_v2_vits.pth",
        "depth of pictures, for engines that need it",
        "https://huggingface.co/depth-anything/Depth-Anything-V2-Small/resolve/main/"
        "depth_anything_v2_vits.pth",
        99_218_434,
        "Apache-2.0",
        "715fade13be8f229f8a70cc02066f656f2423a59effd0579197bbf57860e1378",
    ),
    Model(
        "face-landmarker",
        "face_landmarker.task",
        "landmarks in clips, instead of the bundled network (TALKCLI_FACE_LANDMARKER)",
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
        "float16/1/face_landmarker.task",
        3_758_596,
        "Apache-2.0 (MediaPipe)",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    ),
)


def model_named(name: str) -> Model:
    """The entry of a name.

    Raises:
        UsageError: there is no such model.
    """
    for model in MODELS:
        if model.name == name:
            return model
    names = [model.name for model in MODELS]
    raise UsageError(
        f"there is no model {name}{did_you_mean(name, names)}", "see talkcli models list"
    )

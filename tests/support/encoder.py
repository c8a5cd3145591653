"""A small Whisper encoder with random weights, as a file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

WIDTH, LAYERS = 48, 5  # four of the layers are kept: 192 values


def write_encoder(path: Path) -> Path:
    """A small encoder with random weights, in the format of CTranslate2."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/weight": (WIDTH, 80, 3), "conv1/bias": (WIDTH,),
        "conv2/weight": (WIDTH, WIDTH, 3), "conv2/bias": (WIDTH,),
        "position_encodings/encodings": (1500, WIDTH),
    }  # fmt: skip
    for k in range(LAYERS):
        for part, inner in (("self_attention", 3 * WIDTH), ("ffn", 4 * WIDTH)):
            back = WIDTH if part == "self_attention" else inner
            shapes |= {
                f"layer_{k}/{part}/layer_norm/gamma": (WIDTH,),
                f"layer_{k}/{part}/layer_norm/beta": (WIDTH,),
                f"layer_{k}/{part}/linear_0/weight": (inner, WIDTH),
                f"layer_{k}/{part}/linear_0/bias": (inner,),
                f"layer_{k}/{part}/linear_1/weight": (WIDTH, back),
                f"layer_{k}/{part}/linear_1/bias": (WIDTH,),
            }
    tensors = {f"encoder/{name}": rng.normal(0, 0.1, shape) for name, shape in shapes.items()}
    tensors["decoder/embeddings/weight"] = np.zeros((4, 4))

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    def tensor(name: str, values: np.ndarray, kind: int) -> bytes:
        head = text(name) + struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        return head + struct.pack("<BI", kind, values.nbytes) + values.tobytes()

    parts = [tensor(name, values.astype(np.float16), 4) for name, values in tensors.items()]
    parts.append(tensor("encoder/num_heads", np.array(2, np.int16), 2))
    head = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(parts))
    path.write_bytes(head + b"".join(parts))
    return path

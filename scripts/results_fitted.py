"""The part of docs/results.md about avatars that were fitted to clips."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

#: Figures of a comparison, with the heads of their columns and their decimals.
_COLUMNS = {
    "psnr_face": ("PSNR face, dB", 2),
    "ssim_face": ("SSIM face", 3),
    "st_lpips": ("ST-LPIPS head", 3),
    "lmd_lips": ("LMD lips, px", 2),
    "lip_aperture_r": ("lip aperture r", 2),
    "lip_width_r": ("lip width r", 2),
    "jitter": ("jitter", 2),
}

_TEXT = """Each clip's first 80 % are fitted (`talkcli preprocess`, `talkcli fit --recipe
{recipe}`), its last 20 % are judged (`talkcli eval --subject`), in the pixels of the clip.
*By video*: the tracked face moves everything. *By speech*: the clip's own sound moves the lips, the
rest is tracked. *Portrait* is the avatar of the clip's best frame, unfitted, under the same motion.
*Nearest fitted frame* is the frame of the fitted part whose tracked expression and pose are most
alike, laid over by a similarity of rigid landmarks. The speech network has learnt from most of
these clips.
"""


def fitted_section(rows: Sequence[Row]) -> str:
    """The section as Markdown.

    Args:
        rows: of ``python -m benchmarks.fitted --json``: ``clip``, ``recipe``, ``comparisons`` (each
            with ``name`` and ``values``), ``shuffled_db``, ``preprocess_s`` and ``fit_s``.
    """
    names = [one["name"] for one in rows[0]["comparisons"]]
    lines = ["## Fitted to a clip", "", _TEXT.format(recipe=rows[0]["recipe"]).rstrip(), ""]
    lines += [f"Medians over {len(rows)} clips:", ""]
    lines += _table(
        ["", *(head for head, _ in _COLUMNS.values())],
        [[name, *(_median(rows, name, key) for key in _COLUMNS)] for name in names],
    )
    lines += [
        "",
        "By clip, face PSNR in the order " + " · ".join(f"*{n}*" for n in names) + ":",
        "",
    ]
    lines += _table(
        ["clip", "face PSNR, dB", "lip aperture r", "mouth, offsets shuffled", "preprocess, fit"],
        [
            [
                row["clip"],
                " · ".join(_shown(row, name, "psnr_face") for name in names),
                " · ".join(_shown(row, name, "lip_aperture_r") for name in names),
                f"{row['shuffled_db']:+.2f} dB",
                ", ".join(_seconds(row[key]) for key in ("preprocess_s", "fit_s")),
            ]
            for row in rows
        ],
    )
    return "\n".join([*lines, ""])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _value(row: Row, name: str, key: str) -> float | None:
    values: Row = next((one["values"] for one in row["comparisons"] if one["name"] == name), {})
    found = values.get(key)
    return None if found is None else float(found)


def _shown(row: Row, name: str, key: str) -> str:
    value = _value(row, name, key)
    return "–" if value is None else f"{value:.{_COLUMNS[key][1]}f}"


def _seconds(seconds: float | None) -> str:
    """A time; one that was reused tells nothing."""
    return "–" if seconds is None else f"{seconds:.0f} s"


def _median(rows: Sequence[Row], name: str, key: str) -> str:
    values = [value for row in rows if (value := _value(row, name, key)) is not None]
    return f"{statistics.median(values):.{_COLUMNS[key][1]}f}" if values else "–"

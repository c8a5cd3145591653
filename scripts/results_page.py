"""The page docs/results.md, from what scripts/results.py has measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from scripts.results_fitted import fitted_section

Row = dict[str, Any]
#: Longer names of clips are cut, in letters.
_LONG_NAME = 28

_OURS, _BY_FACE = "talkcli, by its sound", "talkcli, by its face"
_SHUT, _STILL = "static mouth", "2D-aligned source"
#: Columns of the table of medians: name of the figure, heading, digits.
_COLUMNS = (
    ("psnr_face", "PSNR face, dB", 2),
    ("ssim_face", "SSIM face", 3),
    ("psnr_frame", "PSNR frame, dB", 2),
    ("ssim_frame", "SSIM frame", 3),
    ("lmd_lips", "LMD lips, px", 2),
    ("landmark_error", "landmark error, % fh", 2),
    ("landmark_error_lips", "lips, % fh", 2),
    ("lip_aperture_r", "lip aperture r", 2),
    ("lip_width_r", "lip width r", 2),
    ("lip_aperture_size", "size of lip motion", 2),
    ("jitter", "jitter", 2),
    ("seam", "seam, levels", 1),
    ("aed", "AED", 3),
    ("apd", "APD, rad", 3),
)
#: What our result has to beat the baselines in: name, heading, whether higher is better.
_DUELS = (
    ("psnr_face", "face PSNR", True),
    ("lmd_lips", "LMD of the lips", False),
    ("lip_aperture_r", "lip correlation", True),
)
_VIEWS = (
    ("psnr_face", "PSNR face, dB", 2),
    ("ssim_face", "SSIM face", 3),
    ("psnr_head", "PSNR head, dB", 2),
    ("ssim_head", "SSIM head", 3),
    ("landmark_error", "landmark error, % fh", 2),
    ("yaw_error", "yaw error, °", 1),
    ("lip_aperture_r", "lip aperture r", 2),
)
#: Audio-Plane (arXiv 2503.22605), its two test sets: PSNR, SSIM, LPIPS, SyncNet, frames per second.
_AUDIO_PLANE = (
    ("Audio-Plane, test set A", "31.69", ".929", ".035", "6.700", "43 (RTX 3090 Ti)"),
    ("Audio-Plane, test set B", "32.88", ".956", ".038", "5.518", "43 (RTX 3090 Ti)"),
)


def page(
    rows: Sequence[Row],
    views: Row | None,
    bench: Row | None,
    seconds: float,
    *,
    rivals: Row | None = None,
    fitted: Sequence[Row] = (),
) -> str:
    """The text of docs/results.md.

    Args:
        rows: one for each clip: ``clip``, ``lag_ms``, and the answers ``speech`` and ``video``.
        views: the answer for the cameras, or None.
        bench: the answer of ``talkcli bench --json``, or None.
        seconds: of every clip; 0 for all of it.
        rivals: the answer of ``python -m benchmarks.rivals --json``, or None.
        fitted: the answer of ``python -m benchmarks.fitted --json``.
    """
    done = [row for row in rows if row["speech"] and row["video"]]
    left = [_title(row["clip"]) for row in rows if row not in done]
    parts = [_HEAD, _reenactment(done, left, seconds)]
    parts += [fitted_section(fitted)] if fitted else []
    parts += [_views(views)] if views else []
    parts += [_published(done), _cost(bench, rivals)]
    return "\n".join(parts)


_HEAD = """# Results

Written by `python -m scripts.results`; do not edit. The figures are those of `talkcli eval`, which
the [guide](guide/evaluate.md) explains. The clips are not part of the project. Whoever has others
can measure the same: `talkcli eval --self-reenact CLIP --by speech --baselines`.
"""


_METHODS = """*By its sound*: the clip's sound moves the lips, as much later as the clip's own mouth
is known to be late; everything else is tracked, as in the section about fitted avatars (idle brows
and lids would be drawn at random). *By its face*: the tracked face moves everything. *Static mouth*
is the same as by its sound with lips that stay shut, *2D-aligned source* the portrait laid over
every frame by a similarity of rigid landmarks. The speech network has learnt from many of these
clips; what it does for unknown speakers stands in [Speech model](speech_model.md).
"""

_PUBLISHED = """**Not comparable.** Audio-Plane is trained for hours on minutes of the very person;
talkcli has one picture and a few seconds. The clips differ, too, and LPIPS and SyncNet need weights
that do not ship with talkcli. The rows show the scale on which such figures lie, no more. Figures
of MGGTalk and Splat-Portrait are not repeated here: their test clips and scoring networks are
others still.
"""


def _reenactment(rows: Sequence[Row], left: Sequence[str], seconds: float) -> str:
    length = f"the first {seconds:g} s" if seconds else "the whole"
    methods = {
        _SHUT: [_named(row["speech"], "static mouth") for row in rows],
        _STILL: [_named(row["speech"], "2D-aligned source") for row in rows],
        _OURS: [_named(row["speech"], "talkcli") for row in rows],
        _BY_FACE: [_named(row["video"], "talkcli") for row in rows],
    }
    lines = [
        "## Self-reenactment",
        "",
        f"{len(rows)} of {len(rows) + len(left)} real clips whose speaker is known to be heard in "
        f"them, {length} of each, the longer side at most 512 pixels. The first neutral frame is "
        "the portrait and is left out."
        + (f" Not evaluated, the face being too small there: {', '.join(left)}." if left else ""),
        "",
        _METHODS,
        "Medians over the clips:",
        "",
        _table(
            ["", *(heading for _, heading, _ in _COLUMNS)],
            [
                [name, *(_median(found, key, digits) for key, _, digits in _COLUMNS)]
                for name, found in methods.items()
            ],
        ),
        "",
        *_duels(methods),
        "",
        "By clip, in the order *static mouth · 2D-aligned source · by its sound · by its face*:",
        "",
        _table(
            ["clip", "lag, ms", *(title for _, title, _ in _DUELS)],
            [
                [
                    _title(row["clip"]),
                    str(row["lag_ms"]),
                    *(
                        " · ".join(_cell(found[k], key, 2) for found in methods.values())
                        for key, _, _ in _DUELS
                    ),
                ]
                for k, row in enumerate(rows)
            ],
        ),
        "",
    ]
    return "\n".join(lines)


def _duels(methods: dict[str, list[Row]]) -> list[str]:
    """How often, and by how much, our result beats each of the baselines, and both."""
    lines = []
    against = ((f"*{_SHUT}*", (_SHUT,)), (f"*{_STILL}*", (_STILL,)), ("both", (_SHUT, _STILL)))
    for ours in (_OURS, _BY_FACE):
        for what, baselines in against:
            others = [methods[name] for name in baselines]
            told = [_duel(methods[ours], others, *duel) for duel in _DUELS]
            lines.append(f"- *{ours}* beats {what} in " + ", ".join(filter(None, told)) + ".")
    return lines


def _duel(
    ours: Sequence[Row], baselines: Sequence[Sequence[Row]], key: str, title: str, higher: bool
) -> str:
    """In how many clips our figure is better than the best of some baselines, and by how much."""
    gains = []
    for mine, *others in zip(ours, *baselines, strict=True):
        value, rivals = _value(mine, key), [_value(other, key) for other in others]
        there = [rival for rival in rivals if rival is not None]
        if value is None or len(there) < len(rivals):
            continue
        gains.append(value - max(there) if higher else min(there) - value)
    if not gains:
        return ""
    wins, gain = sum(gain > 0 for gain in gains), statistics.median(gains)
    return f"{title} in {wins} of {len(gains)} clips (median gain {gain:+.2f})"


def _views(answer: Row) -> str:
    rows = [
        [one["name"], *(_cell(one, key, digits) for key, _, digits in _VIEWS)]
        for one in answer["comparisons"]
    ]
    used = answer["comparisons"][0]["frames_used"]
    return "\n".join(
        [
            "## Novel views",
            "",
            f"One person before three synchronous cameras (NeRSemble 038), {used} instants. "
            f"{_sentence(answer['protocol'])}. Rows named *source frame* are the bare portrait, "
            "laid over in the same way.",
            "",
            _table(["camera", *(heading for _, heading, _ in _VIEWS)], rows),
            "",
        ]
    )


def _published(rows: Sequence[Row]) -> str:
    found = [_named(row["speech"], "talkcli") for row in rows]
    ours = [
        "talkcli, by its sound, whole frame",
        _median(found, "psnr_frame", 2),
        _median(found, "ssim_frame", 3),
        "not measured",
        "not measured",
        "see below",
    ]
    return "\n".join(
        [
            "## Beside published figures",
            "",
            _PUBLISHED,
            _table(
                ["", "PSNR, dB", "SSIM", "LPIPS", "SyncNet", "frames per second"],
                [*map(list, _AUDIO_PLANE), ours],
            ),
            "",
        ]
    )


def _cost(bench: Row | None, rivals: Row | None) -> str:
    lines = ["## Cost", ""]
    if bench is None or not bench.get("cost"):
        lines.append("Not measured in this run; `talkcli bench` measures it.")
        return "\n".join([*lines, ""])
    machine, cost, speed = bench["machine"], bench["cost"], bench["speed"]
    networks = rivals["networks"] if rivals else ()
    others = [[row["network"], *_price(row["cpu_ms"], rivals or speed)] for row in networks]
    lines += [
        f"As `talkcli bench` prints it, on {machine['cpu']} ({machine['isa']}, {machine['cores']} "
        f"cores, load {machine['load']}): one view at 512 pixels, avatar in place.",
        "",
        _table(
            ["", "CPU per frame, ms", "sgemm, GFLOP/s", "GFLOP per frame"],
            [
                ["talkcli, the whole video with encoding", *_price(cost["frame_ms"], speed)],
                *others,
            ],
        ),
        "",
        f"A second of film takes {cost['cpu_per_second']:.2f} s of CPU. GFLOP per frame is the "
        "CPU time times the speed of sgemm on one core in the same run, for comparison between "
        "machines.",
    ]
    if rivals:
        lines += [
            "",
            "The networks of others are built from their published descriptions with random "
            "weights by `python -m benchmarks.rivals`, and run in one thread: Wav2Lip's generator "
            "makes 96 x 96 pixels around the mouth, SadTalker's face renderer 256 x 256 of the "
            "face. What they need besides (face detection, mel spectra, motion networks, blending, "
            "encoding) is not counted.",
        ]
    return "\n".join([*lines, ""])


def _price(ms: float, speed: Row) -> list[str]:
    """CPU per frame, speed of the machine, and their product."""
    gflops = speed["sgemm_gflops"]
    return [f"{ms:,.1f}", f"{gflops:.1f}", f"{ms * gflops / 1e3:,.2f}"]


def _named(answer: Row, name: str) -> Row:
    return next(one for one in answer["comparisons"] if one["name"] == name)


def _value(comparison: Row, key: str) -> float | None:
    return next((row["value"] for row in comparison["metrics"] if row["name"] == key), None)


def _median(comparisons: Sequence[Row], key: str, digits: int) -> str:
    values = [value for one in comparisons if (value := _value(one, key)) is not None]
    return f"{statistics.median(values):.{digits}f}" if values else "–"


def _cell(comparison: Row, key: str, digits: int) -> str:
    value = _value(comparison, key)
    return "–" if value is None else f"{value:.{digits}f}"


def _title(stem: str) -> str:
    """A clip's name, shortened."""
    source, _, name = stem.partition("__")
    return f"{source}: {name if len(name) <= _LONG_NAME else '…' + name[-_LONG_NAME:]}"


def _sentence(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))

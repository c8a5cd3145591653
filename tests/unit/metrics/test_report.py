"""The report needs no other file, shows what it is given, and fits a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from talkcli.metrics.pair import FramePair
from talkcli.metrics.plots import Plot, nice_ticks
from talkcli.metrics.report import Section, report_html
from talkcli.metrics.result import Metric, shown
from talkcli.metrics.shots import SPREAD, WORST, Gallery

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Elements that have no end tag.
VOID = {"meta", "img", "br", "hr", "link", "line"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def pair(index: int, off: int) -> FramePair:
    """A grey picture, and the same some levels brighter."""
    real = np.full((60, 80, 3), 100, np.uint8)
    return FramePair(index, index / 25, real + np.uint8(off), real, None, None, {})


def gallery(offs: list[int]) -> Gallery:
    found = Gallery(len(offs))
    for index, off in enumerate(offs):
        found.add(pair(index, off))
    return found


def section(name: str, psnr: float | None, with_pictures: bool = True) -> Section:
    t = np.arange(50) / 25
    rows = (
        Metric("psnr_face", "PSNR", psnr, "dB", "higher", "face", note="<b>bold</b>"),
        Metric("lip_lag", "lag of the made lips", 1e-7, "ms", "zero"),
    )
    real = np.where(t > 1, np.nan, np.cos(t))
    drawn = (Plot("lip aperture", t, np.sin(t), real), Plot("nothing", t, np.full(50, np.nan)))
    return Section(name, ("50 pairs",), rows, drawn, gallery([9, 1, 2]) if with_pictures else None)


def page_of(*sections: Section) -> str:
    return report_html("talkcli eval: a & b.mp4", "frames paired by time", sections, ["c failed"])


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    text = page_of(section("ours", 30.0), section("static", 28.5, with_pictures=False))
    page = Page(text)
    assert page.open == [] and page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert 'name="viewport" content="width=device-width' in text
    # One plot with a break in the real curve; an empty one is left out.
    assert page.tags.count("svg") == 2 and "nothing" not in text
    assert "a &amp; b.mp4" in text and "<b>bold</b>" not in text
    assert "c failed" in text and "50 pairs" in text


def test_the_best_of_every_line_stands_out() -> None:
    text = page_of(section("ours", 30.0), section("static", 28.5))
    assert re.search(r'<td class="best"[^>]*>30</td><td title[^>]*>28.5</td>', text)
    # Equal values are none better than the other, and a single one is none to compare.
    assert text.count('class="best"') == 1
    assert 'class="best"' not in page_of(section("ours", 30.0), section("static", None))


def test_values_as_tables_show_them() -> None:
    assert [shown(v) for v in (None, 1e-6, -2e-5, 12.3456, 0.123456)] == [
        "–", "0", "0", "12.35", "0.1235"
    ]  # fmt: skip


def test_the_worst_frames_come_first_and_not_twice() -> None:
    # Two bad moments of several frames, and a slow rise.
    offs = [k // 10 for k in range(200)]
    offs[50:54] = [60, 90, 80, 70]
    offs[120:122] = [50, 40]
    found = gallery(offs)
    assert len(found.worst) == WORST and len(found.spread) == SPREAD
    assert [shot.error for shot in found.worst[:2]] == [90, 50]
    times = sorted(shot.time_s for shot in found.worst)
    assert min(np.diff(times)) >= 0.3 - 1e-9
    assert [shot.time_s for shot in found.spread] == pytest.approx(
        [k / 25 for k in (0, 40, 80, 119, 159, 199)], abs=1 / 25
    )
    assert all(shot.made.startswith(b"\xff\xd8") for shot in found.worst)


@pytest.mark.parametrize(
    ("low", "high", "count", "wanted"),
    [
        (0.0, 10.0, 4, [0, 2.5, 5, 7.5, 10]),
        (-0.3, 0.2, 4, [-0.2, 0, 0.2]),
        (3.0, 3.0, 4, [3]),
        (0.02, 59.98, 8, [10, 20, 30, 40, 50]),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, wanted: list[float]) -> None:
    assert nice_ticks(low, high, count) == pytest.approx(wanted, abs=1e-9)


def test_long_curves_are_thinned() -> None:
    t = np.arange(90_000) / 25
    svg = Plot("an hour", t, np.sin(t), np.full(len(t), np.nan)).svg()
    assert len(svg) < 60_000


def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no headless browser is installed")
    return found


@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_without_sideways_scrolling(width: int, tmp_path: Path) -> None:
    program = browser()
    names = ["ours", "a mouth that stays shut", "the source picture laid over every frame"]
    (tmp_path / "report.html").write_text(page_of(*(section(name, 30.0) for name in names)))
    # A frame as wide as a phone, which asks the page inside how wide it became.
    outer = (
        f'<iframe id="f" src="report.html" width="{width}" height="900" style="border:0"></iframe>'
        "<script>document.getElementById('f').onload = e => {"
        "const d = e.target.contentDocument, shown = [...d.images].every(i => i.naturalWidth);"
        "document.title = [d.documentElement.scrollWidth, shown, d.images.length].join(' ');"
        "};</script>"
    )
    (tmp_path / "outer.html").write_text(outer)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    command = [program, *flags, (tmp_path / "outer.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(\d+) (\w+) (\d+)</title>", done.stdout)
    assert title, done.stdout[-500:] + done.stderr[-500:]
    assert int(title[1]) <= width
    # Of three sections, each with one worst frame and three others, three pictures a frame.
    assert title[2] == "true" and int(title[3]) == 3 * (1 + 3) * 3

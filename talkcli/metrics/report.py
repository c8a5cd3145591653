"""The report of an evaluation: one page of HTML that needs no other file and no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

from talkcli.metrics.plots import Plot
from talkcli.metrics.result import Metric, shown
from talkcli.metrics.shots import Gallery, Shot

#: Where a figure is at its best, in words.
BEST = {"higher": "higher", "lower": "lower", "one": "1", "zero": "0", "none": ""}

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --line: #d9dde2; --soft: #60646c;
  --made: #d9480f; --real: #1971c2; --best: #e6f4ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #16181b; --line: #33383e;
  --soft: #9aa0a6; --made: #ff922b; --real: #4dabf7; --best: #1d3326; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .3rem 0; } .soft, figcaption, li { color: var(--soft); font-size: .875rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); white-space: normal; min-width: 8.5rem; }
td.best { background: var(--best); font-weight: 600; }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem; }
figure { margin: 0; } figure div { display: flex; gap: 2px; }
figure img { width: 33.3%; height: auto; display: block; min-width: 0; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif;
  fill: var(--soft); } .grid { stroke: var(--line); } polyline { fill: none; stroke-width: 1.5; }
.made { stroke: var(--made); } .real { stroke: var(--real); }
.key span { display: inline-block; width: 1.2em; border-top: 3px solid; vertical-align: middle;
  margin: 0 .3em 0 .8em; }
@media (max-width: 40rem) { svg text { font-size: 20px; } }
details { border-top: 1px solid var(--line); padding-top: .5rem; margin-top: 1rem; }
summary { cursor: pointer; font-weight: 600; }
"""


@dataclass(frozen=True)
class Section:
    """One comparison in the report.

    Attributes:
        name: its heading.
        facts: sentences on what was compared.
        metrics: the figures.
        plots: curves over time.
        gallery: pictures, or None.
    """

    name: str
    facts: tuple[str, ...]
    metrics: tuple[Metric, ...]
    plots: tuple[Plot, ...]
    gallery: Gallery | None


def report_html(
    title: str, protocol: str, sections: Sequence[Section], notes: Sequence[str]
) -> str:
    """The whole page.

    Args:
        title: heading and title of the page.
        protocol: how the figures were measured.
        sections: one for each comparison; the first is open, the others unfold.
        notes: what went wrong with others.
    """
    body = [f"<h1>{_text(title)}</h1>", f"<p>{_text(protocol)}.</p>"]
    body += [f"<p>{_text(note)}</p>" for note in notes]
    body.append(_table(sections))
    for number, section in enumerate(sections):
        inside = _section(section)
        opened = " open" if number == 0 else ""
        body.append(f"<details{opened}><summary>{_text(section.name)}</summary>{inside}</details>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _table(sections: Sequence[Section]) -> str:
    """All figures of all comparisons; the best of each line stands out."""
    names = "".join(f"<th>{_text(section.name)}</th>" for section in sections)
    lines = [f"<tr><th>figure</th>{names}<th>unit</th><th>best</th></tr>"]
    for number, row in enumerate(sections[0].metrics if sections else ()):
        found = [section.metrics[number] for section in sections]
        best = _best(found)
        cells = "".join(_cell(one, one.value is not None and one.value in best) for one in found)
        label = f"{row.label} ({row.region})" if row.region else row.label
        lines.append(
            f"<tr><td>{_text(label)}</td>{cells}<td>{_text(row.unit)}</td>"
            f"<td>{BEST[row.better]}</td></tr>"
        )
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _best(rows: Sequence[Metric]) -> set[float]:
    """The best values of a line; none if there is nothing to choose from."""
    values = [row.value for row in rows if row.value is not None]
    if len(values) < 2 or len(set(values)) == 1 or rows[0].better == "none":
        return set()
    keys = {"higher": lambda v: -v, "lower": lambda v: v, "one": lambda v: abs(v - 1), "zero": abs}
    return {min(values, key=keys[rows[0].better])}


def _cell(row: Metric, best: bool) -> str:
    title = f' title="{html.escape(row.note, quote=True)}"' if row.note else ""
    style = ' class="best"' if best else ""
    return f"<td{style}{title}>{shown(row.value)}</td>"


def _section(section: Section) -> str:
    parts = [f'<p class="soft">{_text(fact)}</p>' for fact in section.facts]
    if section.gallery is not None:
        order = "made, real, and three times their difference"
        parts.append(f"<h3>Worst frames: {order}</h3>{_shots(section.gallery.worst)}")
        parts.append(f"<h3>Spread over the video</h3>{_shots(section.gallery.spread)}")
    drawn = [(plot.title, plot.svg()) for plot in section.plots]
    if any(svg for _, svg in drawn):
        parts.append(
            '<h3>Over time</h3><p class="soft key"><span class="made" '
            'style="border-color:var(--made)"></span>made<span class="real" '
            'style="border-color:var(--real)"></span>real</p>'
        )
    for name, svg in drawn:
        if svg:
            parts.append(f"<figure>{svg}<figcaption>{_text(name)}</figcaption></figure>")
    notes = [
        f"<li>{_text(row.label)}: {_text(row.note)}</li>" for row in section.metrics if row.note
    ]
    if notes:
        parts.append(f"<h3>Notes</h3><ul>{''.join(notes)}</ul>")
    return "".join(parts)


def _shots(shots: Sequence[Shot]) -> str:
    figures = []
    for shot in shots:
        pictures = "".join(
            f'<img alt="{name} at {shot.time_s:.2f} s" src="data:image/jpeg;base64,'
            f'{base64.b64encode(data).decode()}">'
            for name, data in (
                ("made", shot.made),
                ("real", shot.real),
                ("difference", shot.difference),
            )
        )
        caption = f"{shot.time_s:.2f} s, off by {shot.error:.1f} levels"
        figures.append(f"<figure><div>{pictures}</div><figcaption>{caption}</figcaption></figure>")
    return f'<div class="shots">{"".join(figures)}</div>'


def _text(text: str) -> str:
    return html.escape(text, quote=True)

"""A turn of a conversation by voice as a picture: a lane for each part, time from left to right.

Covers: the one place that draws; matplotlib comes with the extra `report` and needs no screen. See also: `timeline`.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd_cli.timeline import LANES

if TYPE_CHECKING:
    from inferd_cli.timeline import Bar, Timeline

COLOURS: Final = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")
"""Of the lanes: Paul Tol's bright scheme, told apart by colour-blind readers too."""
PALE: Final = ("VAD", "text")
"""Lanes on whose colour white letters cannot be read."""
SIZE_INCHES: Final = (12.0, 5.2)
DOTS_PER_INCH: Final = 120
BAR: Final = 0.52
"""Of a lane's height."""
LETTER: Final = 0.0055
"""Width of a label's letter, as a share of the lanes': a label that is wider than its bar is left out."""
AFTER_S: Final = 3.5
"""Of the answer's sound that is shown: the rest of a long answer would press the turn itself into a corner."""
LIGHT: Final = 0.35
MARGIN: Final = 0.13
"""Of the picture's width: what stands left of a moment so near the edge would run over it."""


def draw(timeline: Timeline, path: Path) -> None:
    """Write the picture as a PNG. Blocks for a second or two; raises ImportError without matplotlib, OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    span_s = _span_s(timeline)
    for bar in timeline.bars:
        _draw_bar(axes, bar, span_s)
    _draw_marks(axes, timeline)
    _draw_moments(axes, timeline)
    axes.set_xlim(0, span_s)
    axes.set_ylim(len(LANES) - 0.2, -1.05)
    axes.set_yticks(range(len(LANES)), LANES)
    axes.set_xlabel("seconds since the first sound of the question")
    axes.grid(axis="x", alpha=0.25)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.suptitle(_title(timeline), fontsize=10, x=0.01, ha="left")
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH)


def _draw_bar(axes, bar: Bar, span_s: float) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - matplotlib's own
    if bar.start_s >= span_s:
        return
    lane, ends_s = LANES.index(bar.lane), min(bar.end_s, span_s)
    width_s = ends_s - bar.start_s
    alpha = LIGHT if bar.shade == "light" else 1.0
    axes.barh(lane, width_s, left=bar.start_s, height=BAR, color=COLOURS[lane], alpha=alpha, linewidth=0)
    until = f"to {bar.end_s:.1f} s \N{RIGHTWARDS ARROW}" if bar.end_s > span_s else f"{width_s:.2f} s"
    text = f"{bar.label} {until}"
    if len(text) * LETTER * span_s < width_s:
        colour = "black" if bar.shade == "light" or bar.lane in PALE else "white"
        axes.text(bar.start_s + width_s / 2, lane, text, ha="center", va="center", fontsize=8, color=colour)


def _draw_marks(axes, timeline: Timeline) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - matplotlib's own
    for mark in timeline.marks:
        lane = LANES.index(mark.lane)
        axes.vlines(mark.at_s, lane - BAR / 2, lane - BAR / 4, color="black", linewidth=0.9)


def _draw_moments(axes, timeline: Timeline) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - matplotlib's own
    moments = (
        (" last sound at {:.2f} s ", timeline.speech_end_s, "right"),
        (" turn is over at {:.2f} s", timeline.endpoint_s, "left"),
        (" first sound at {:.2f} s", timeline.first_sound_s, "left"),
    )
    for words, at_s, side in moments:
        if at_s is not None:
            axes.axvline(at_s, color="black", linewidth=0.8, linestyle=(0, (4, 3)), ymax=0.93)
            place = "left" if at_s < MARGIN * _span_s(timeline) else side
            axes.text(at_s, len(LANES) - 0.35, words.format(at_s), ha=place, va="center", fontsize=8)
    if timeline.speech_end_s is not None and timeline.first_sound_s is not None:
        ends = (timeline.speech_end_s, timeline.first_sound_s)
        axes.annotate("", (ends[1], -0.6), (ends[0], -0.6), arrowprops={"arrowstyle": "<->", "linewidth": 1.2})
        text = f"answered after {timeline.response_s or 0.0:.2f} s"
        axes.text(sum(ends) / 2, -0.68, text, ha="center", va="bottom", fontsize=9, fontweight="bold")


def _span_s(timeline: Timeline) -> float:
    """Return up to which moment is drawn."""
    if timeline.first_sound_s is None:
        return timeline.end_s or 1.0
    return min(timeline.end_s, timeline.first_sound_s + max(AFTER_S, timeline.first_sound_s / 4))


def _title(timeline: Timeline) -> str:
    asked = textwrap.shorten(timeline.asked, 120, placeholder=" …")
    answered = textwrap.shorten(timeline.answered, 120, placeholder=" …")
    return f"heard: {asked}\nanswered: {answered}"

"""How long batches take: how many took how long, and which part took no longer."""

from itertools import accumulate
from math import sqrt
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from batch_assets.domain.report_data import TurnaroundReport
from batch_assets.pictures.canvas import COLOURS, FAINT, INK, card, duration

_ROUND: Final = (
    *(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400),
    *(2 * 86_400, 7 * 86_400),
)
"""Seconds that people think in."""


def turnaround_picture(report: TurnaroundReport, days: int) -> bytes:
    """A PNG: bars over a logarithmic scale of time, and the share that took no longer."""
    with card(f"Batch turnaround, last {days} days") as drawn:
        if report.p50_seconds is None:
            drawn.say(f"No batch was read to its end in the last {days} days.")
        else:
            _draw(drawn.axes, report)
    return drawn.png


def _draw(axes: Axes, report: TurnaroundReport) -> None:
    steps = report.steps
    widths = [step.to_seconds - step.from_seconds for step in steps]
    axes.bar(
        [step.from_seconds for step in steps],
        [step.batches for step in steps],
        widths,
        align="edge",
        color=COLOURS[0],
        edgecolor="#ffffff",
    )
    axes.set_xscale("log")
    low, high = _limits(report)
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in _ROUND if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("from submission to the server's word that it ended")
    axes.set_ylabel("batches")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    shares = axes.twinx()
    shares.plot(
        [step.to_seconds for step in steps],
        [many / report.batches for many in accumulate(step.batches for step in steps)],
        color=COLOURS[1],
        marker=".",
    )
    shares.set_ylim(0, 1.05)
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    shares.set_ylabel("took no longer", color=COLOURS[1])
    _mark(axes, report)
    axes.set_title(f"{report.batches:,} batches", loc="right", fontsize=10)


def _limits(report: TurnaroundReport) -> tuple[float, float]:
    """Around all steps, and at least a decade, so that a single one is no wall."""
    low, high = report.steps[0].from_seconds / 1.25, report.steps[-1].to_seconds * 1.25
    more = max(1.0, sqrt(10 * low / high))
    return low / more, high * more


def _mark(axes: Axes, report: TurnaroundReport) -> None:
    marks = {
        "p50": report.p50_seconds,
        "p90": report.p90_seconds,
        "p99": report.p99_seconds,
    }
    known = {name: seconds for name, seconds in marks.items() if seconds is not None}
    for seconds in known.values():
        axes.axvline(seconds, color=INK, linestyle="--", linewidth=0.8)
    legend = "\n".join(f"{name}  {duration(seconds)}" for name, seconds in known.items())
    box = {"facecolor": "#ffffff", "edgecolor": FAINT, "boxstyle": "round"}
    axes.text(0.02, 0.95, legend, transform=axes.transAxes, va="top", bbox=box)

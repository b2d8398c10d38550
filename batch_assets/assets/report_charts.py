"""What a line chart of Dagster's does not show, drawn: records in, a PNG out.

Loading this takes a second, for matplotlib: import it where something is drawn.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from itertools import accumulate
from math import sqrt
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from batch_assets.domain.display import escaped
from batch_assets.domain.report_data import CostReport, OperationPace, TurnaroundReport

_COLOURS: Final = (
    *("#2563a8", "#e07b39", "#3a9a5b", "#b0457b", "#7a5cc0", "#c2a014", "#2f9e9e", "#8c6d4f"),
    "#9aa3ad",
)
"""Eight that people with colour blindness tell apart in this order, and a grey for all others."""
_INK: Final = "#1f2933"
_FAINT: Final = "#d7dce1"

_STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "figure.facecolor": "#ffffff",
    "font.size": 10,
    "grid.color": _FAINT,
    "text.color": _INK,
    # A company may have a dollar in its name.
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_INCHES: Final = (8.0, 4.2)
_DPI: Final = 84
_ROUND: Final = (
    *(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400),
    *(2 * 86_400, 7 * 86_400),
)
"""Seconds that people think in."""
_LONGEST_NAME: Final = 26
_FEWEST_DAYS: Final = 7


def turnaround_chart(report: TurnaroundReport, days: int) -> bytes:
    """Draw how long batches take: bars over a logarithmic scale of time, and the share that took no
    longer; a PNG.
    """
    with _card(f"Batch turnaround, last {days} days") as drawn:
        if report.p50_seconds is None:
            drawn.say(f"No batch was read to its end in the last {days} days.")
        else:
            _draw_turnaround(drawn.axes, report)
    return drawn.png


def cost_chart(report: CostReport, days: int) -> bytes:
    """Draw what each day has cost: a bar a day, the companies that cost most in colours, and what
    synchronous requests would have cost as a line; a PNG.
    """
    with _card(f"Cost by company, last {days} days") as drawn:
        if not report.days:
            drawn.say(f"Nothing was spent in the last {days} days.")
        else:
            _draw_cost(drawn.axes, report)
    return drawn.png


def comparison_chart(paces: Sequence[OperationPace], days: int) -> bytes:
    """Draw original and optimized beside each other: a dot for each implementation of an operation,
    on a logarithmic scale of seconds a call; a PNG.
    """
    with _card(f"Original and optimized, last {days} days") as drawn:
        if not paces:
            drawn.say(f"No operation was measured in the last {days} days.")
        else:
            _draw_comparison(drawn.axes, paces)
    return drawn.png


def duration(seconds: float) -> str:
    """`90 s`, `12 min`, `3.5 h`: two digits and a unit that people read at once."""
    for size, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"


@dataclass
class _Card:
    """A chart while it is drawn; `png` is there afterwards."""

    axes: Axes
    png: bytes = field(default=b"", repr=False)

    def say(self, sentence: str) -> None:
        """Write a sentence where there is nothing to draw."""
        self.axes.set_axis_off()
        self.axes.text(
            0.5, 0.5, sentence, ha="center", va="center", fontsize=13, transform=self.axes.transAxes
        )


@contextmanager
def _card(title: str) -> Iterator[_Card]:
    """Draw a chart with this title on an opaque card, which a light and a dark theme can show."""
    with rc_context(_STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks shows as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        drawn = _Card(figure.add_subplot())
        drawn.axes.set_title(title)
        yield drawn
        buffer = BytesIO()
        figure.savefig(buffer, format="png")
        drawn.png = buffer.getvalue()


def _draw_turnaround(axes: Axes, report: TurnaroundReport) -> None:
    steps = report.steps
    widths = [step.to_seconds - step.from_seconds for step in steps]
    axes.bar(
        [step.from_seconds for step in steps],
        [step.batches for step in steps],
        widths,
        align="edge",
        color=_COLOURS[0],
        edgecolor="#ffffff",
    )
    axes.set_xscale("log")
    low, high = _time_limits(report)
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
        color=_COLOURS[1],
        marker=".",
    )
    shares.set_ylim(0, 1.05)
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    shares.set_ylabel("took no longer", color=_COLOURS[1])
    _mark_percentiles(axes, report)
    axes.set_title(f"{report.batches:,} batches", loc="right", fontsize=10)


def _time_limits(report: TurnaroundReport) -> tuple[float, float]:
    """Around all steps, and at least a decade, so that a single one is no wall."""
    low, high = report.steps[0].from_seconds / 1.25, report.steps[-1].to_seconds * 1.25
    more = max(1.0, sqrt(10 * low / high))
    return low / more, high * more


def _mark_percentiles(axes: Axes, report: TurnaroundReport) -> None:
    marks = {
        "p50": report.p50_seconds,
        "p90": report.p90_seconds,
        "p99": report.p99_seconds,
    }
    known = {name: seconds for name, seconds in marks.items() if seconds is not None}
    for seconds in known.values():
        axes.axvline(seconds, color=_INK, linestyle="--", linewidth=0.8)
    legend = "\n".join(f"{name}  {duration(seconds)}" for name, seconds in known.items())
    box = {"facecolor": "#ffffff", "edgecolor": _FAINT, "boxstyle": "round"}
    axes.text(0.02, 0.95, legend, transform=axes.transAxes, va="top", bbox=box)


def _draw_cost(axes: Axes, report: CostReport) -> None:
    days = _every_day(report)
    spent: defaultdict[str | None, defaultdict[date, float]]
    spent = defaultdict(lambda: defaultdict(float))
    full_price: defaultdict[date, float] = defaultdict(float)
    for one in report.days:
        spent[one.company][one.day] += one.cost_eur
        full_price[one.day] += one.synchronous_cost_eur
    floor = [0.0] * len(days)
    handles: list[Patch | Line2D] = []
    for company, colour in _coloured(spent):
        heights = [spent[company][day] for day in days]
        axes.bar(days, heights, 0.8, bottom=floor, color=colour)  # type: ignore[arg-type] # dates
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
        handles.append(Patch(color=colour, label=_company(company)))
    at_full_price = [full_price[day] for day in days]
    (line,) = axes.plot(days, at_full_price, color=_INK, marker="_", markersize=14, linewidth=1)  # type: ignore[arg-type] # dates
    line.set_label("at the full price")
    axes.set_xlim(days[0] - timedelta(days=1), days[-1] + timedelta(days=1))  # type: ignore[arg-type] # dates
    locator = AutoDateLocator(minticks=1, maxticks=10)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("EUR a day (UTC)")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(
        handles=[line, *handles], loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False
    )
    saved = 1 - report.cost_eur / report.synchronous_cost_eur
    axes.set_xlabel(f"{report.cost_eur:,.4g} EUR in all, {saved:.0%} below the full price")


def _every_day(report: CostReport) -> list[date]:
    """From the first to the last day with cost, those without between them, and at least a week."""
    last = report.days[-1].day
    first = min(report.days[0].day, last - timedelta(days=_FEWEST_DAYS - 1))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _coloured(
    spent: "defaultdict[str | None, defaultdict[date, float]]",
) -> list[tuple[str | None, str]]:
    """Companies with their colours: what cost most at the bottom, all others grey on top."""
    named = [company for company in spent if company is not None]
    named.sort(key=lambda company: -sum(spent[company].values()))
    coloured: list[tuple[str | None, str]] = list(zip(named, _COLOURS, strict=False))
    return [*coloured, (None, _COLOURS[-1])] if None in spent else coloured


def _company(company: str | None) -> str:
    name = "all others" if company is None else escaped(company)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _draw_comparison(axes: Axes, paces: Sequence[OperationPace]) -> None:
    places = range(len(paces))
    for place, pace in zip(places, paces, strict=True):
        if pace.original_seconds is not None and pace.optimized_seconds is not None:
            ends = [pace.original_seconds, pace.optimized_seconds]
            axes.plot(ends, [place, place], color=_FAINT, linewidth=4, zorder=1)
    for label, colour, seconds in (
        ("original", _COLOURS[1], [pace.original_seconds for pace in paces]),
        ("optimized", _COLOURS[0], [pace.optimized_seconds for pace in paces]),
    ):
        known = [(one, place) for one, place in zip(seconds, places, strict=True) if one]
        axes.scatter(
            [one for one, _ in known],
            [place for _, place in known],
            color=colour,
            label=label,
            zorder=2,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _seconds(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(list(places), [pace.operation for pace in paces])
    axes.set_ylim(len(paces) - 0.5, -0.5)
    axes.tick_params(axis="y", labelsize=9 if len(paces) <= 16 else 8)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    compared = sum(pace.has_both for pace in paces)
    axes.set_xlabel(f"seconds a call; {compared} of {len(paces)} operations were measured in both")


def _seconds(value: float) -> str:
    return f"{value * 1_000:.3g} ms" if value < 1 else f"{value:.3g} s"

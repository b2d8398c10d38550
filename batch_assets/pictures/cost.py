"""What each day has cost, company on company, and what it would have cost live."""

from collections import defaultdict
from datetime import date, timedelta

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from batch_assets.domain.display import escaped
from batch_assets.domain.report_data import CostReport
from batch_assets.pictures.canvas import COLOURS, INK, card

_LONGEST_NAME = 26
_FEWEST_DAYS = 7


def cost_picture(report: CostReport, days: int) -> bytes:
    """A PNG: a bar a day, the companies that cost most in colours, the live price as a line."""
    with card(f"Cost by company, last {days} days") as drawn:
        if not report.days:
            drawn.say(f"Nothing was spent in the last {days} days.")
        else:
            _draw(drawn.axes, report)
    return drawn.png


def _draw(axes: Axes, report: CostReport) -> None:
    days = _every_day(report)
    spent: defaultdict[str | None, defaultdict[date, float]]
    spent = defaultdict(lambda: defaultdict(float))
    live: defaultdict[date, float] = defaultdict(float)
    for one in report.days:
        spent[one.company][one.day] += one.cost_eur
        live[one.day] += one.live_cost_eur
    floor = [0.0] * len(days)
    handles: list[Patch | Line2D] = []
    for company, colour in _coloured(spent):
        heights = [spent[company][day] for day in days]
        axes.bar(days, heights, 0.8, bottom=floor, color=colour)  # type: ignore[arg-type] # dates
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
        handles.append(Patch(color=colour, label=_shown(company)))
    at_live = [live[day] for day in days]
    (line,) = axes.plot(days, at_live, color=INK, marker="_", markersize=14, linewidth=1)  # type: ignore[arg-type] # dates
    line.set_label("at live prices")
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
    saved = 1 - report.cost_eur / report.live_cost_eur
    axes.set_xlabel(f"{report.cost_eur:,.4g} EUR in all, {saved:.0%} below live prices")


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
    coloured: list[tuple[str | None, str]] = list(zip(named, COLOURS, strict=False))
    return [*coloured, (None, COLOURS[-1])] if None in spent else coloured


def _shown(company: str | None) -> str:
    name = "all others" if company is None else escaped(company)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

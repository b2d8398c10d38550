"""Charts are drawn whatever there is to show, and are small enough to be kept with an event."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from io import BytesIO

import pytest
from matplotlib.image import imread

from batch_assets.assets.report_charts import (
    comparison_chart,
    cost_chart,
    duration,
    turnaround_chart,
)
from batch_assets.domain.report_data import (
    CostReport,
    DayCost,
    OperationPace,
    TurnaroundReport,
    TurnaroundStep,
)
from batch_assets.store.strategy.records import HAVE_TWO

MOST_BYTES = 60_000

STEPS = [TurnaroundStep(1.25**step, 1.25 ** (step + 1), 100 - abs(step - 32)) for step in range(60)]
COMPANIES = ["Zorggroep Oost", "A $1 & $2 company", "x" * 80, "日本の会社", *"abcd", None]
DAYS = [
    DayCost(date(2026, 11, 1) + timedelta(days=day), company, 1.0 + day % 7, 2.0 + 2 * (day % 7))
    for day in range(30)
    for company in COMPANIES
]
PACES = [
    OperationPace(operation, None if number % 3 else 0.5, 0.004 * (number + 1))
    for number, operation in enumerate(sorted(HAVE_TWO))
]

FULL: dict[str, Callable[[], bytes]] = {
    "turnaround": lambda: turnaround_chart(TurnaroundReport(STEPS, 60, 600, 6_000), 7),
    "one batch": lambda: turnaround_chart(TurnaroundReport(STEPS[9:10], 8, 8, 8), 7),
    "cost": lambda: cost_chart(CostReport(DAYS), 30),
    "one day's cost": lambda: cost_chart(CostReport(DAYS[:1]), 30),
    "comparison": lambda: comparison_chart(PACES, 7),
}
EMPTY: dict[str, Callable[[], bytes]] = {
    "turnaround": lambda: turnaround_chart(TurnaroundReport([]), 7),
    "cost": lambda: cost_chart(CostReport([]), 30),
    "comparison": lambda: comparison_chart([], 7),
}


@cache
def drawn(name: str) -> bytes:
    return FULL[name]()


def colours(png: bytes) -> int:
    """How many different colours a chart has; fails if it is no PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(BytesIO(png), format="png")
    assert pixels.shape[0] > 300
    assert pixels.shape[1] > 600
    return len({pixel.tobytes() for pixel in pixels.reshape(-1, pixels.shape[-1])[::7]})


@pytest.mark.parametrize("name", FULL)
def test_a_chart_shows_something_and_is_small(name: str) -> None:
    png = drawn(name)
    assert len(png) < MOST_BYTES
    assert colours(png) > 20


@pytest.mark.parametrize("name", EMPTY)
def test_a_chart_of_nothing_says_so(name: str) -> None:
    nothing = EMPTY[name]()
    assert len(nothing) < MOST_BYTES
    assert colours(nothing) > 5
    assert nothing != drawn(name)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.5, "0.5 s"), (90, "90 s"), (150, "2.5 min"), (5_400, "90 min"), (86_400, "24 h")],
)
def test_durations_are_said_as_people_say_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown

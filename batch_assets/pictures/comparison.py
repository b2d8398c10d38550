"""Original and optimized beside each other, operation by operation."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from batch_assets.domain.report_data import OperationPace
from batch_assets.pictures.canvas import COLOURS, FAINT, card


def comparison_picture(paces: Sequence[OperationPace], days: int) -> bytes:
    """A PNG: a dot an implementation on a logarithmic scale of seconds a call."""
    with card(f"Original and optimized, last {days} days") as drawn:
        if not paces:
            drawn.say(f"No operation was measured in the last {days} days.")
        else:
            _draw(drawn.axes, paces)
    return drawn.png


def _draw(axes: Axes, paces: Sequence[OperationPace]) -> None:
    places = range(len(paces))
    for place, pace in zip(places, paces, strict=True):
        if pace.original_seconds is not None and pace.optimized_seconds is not None:
            ends = [pace.original_seconds, pace.optimized_seconds]
            axes.plot(ends, [place, place], color=FAINT, linewidth=4, zorder=1)
    for label, colour, seconds in (
        ("original", COLOURS[1], [pace.original_seconds for pace in paces]),
        ("optimized", COLOURS[0], [pace.optimized_seconds for pace in paces]),
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

"""How every picture looks: an opaque card, legible on the light and on the dark theme alike."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS: Final = (
    *("#2563a8", "#e07b39", "#3a9a5b", "#b0457b", "#7a5cc0", "#c2a014", "#2f9e9e", "#8c6d4f"),
    "#9aa3ad",
)
"""Eight that people with colour blindness tell apart in this order, and a grey for all others."""
INK: Final = "#1f2933"
FAINT: Final = "#d7dce1"

_STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "figure.facecolor": "#ffffff",
    "font.size": 10,
    "grid.color": FAINT,
    "text.color": INK,
    # A company may have a dollar in its name.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
_INCHES: Final = (8.0, 4.2)
_DPI: Final = 84


@dataclass
class Card:
    """A picture while it is drawn; `png` is there afterwards."""

    axes: Axes
    png: bytes = field(default=b"", repr=False)

    def say(self, sentence: str) -> None:
        """Write a sentence where there is nothing to draw."""
        self.axes.set_axis_off()
        self.axes.text(
            0.5, 0.5, sentence, ha="center", va="center", fontsize=13, transform=self.axes.transAxes
        )


@contextmanager
def card(title: str) -> Iterator[Card]:
    """Draw a picture with this title."""
    with rc_context(_STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks shows as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        drawn = Card(figure.add_subplot())
        drawn.axes.set_title(title)
        yield drawn
        buffer = BytesIO()
        figure.savefig(buffer, format="png")
        drawn.png = buffer.getvalue()


def duration(seconds: float) -> str:
    """`90 s`, `12 min`, `3.5 h`: two digits and a unit that people read at once."""
    for size, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"

"""Words that several measures use."""

from batch_assets.domain.alerts.records import Limits


def too_few(count: int | None, what: str, limits: Limits) -> str:
    """That a rate would be over too few things, or that nobody has counted them."""
    if count is None:
        return no_figures(limits)
    return (
        f"Not enough to say: {count:,} {what} within {window(limits)}, "
        f"of which there must be {limits.min_requests:,}."
    )


def no_figures(limits: Limits) -> str:
    """That no run has recorded what is asked for."""
    return f"Not enough to say: no run within {window(limits)} has recorded it."


def window(limits: Limits) -> str:
    """The time that sums are over."""
    return f"the last {limits.window_minutes:g} minutes"


def duration(seconds: float) -> str:
    """So many seconds, in the unit that suits them."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"

"""The tables in docs/benchmarks.md, between two markers; what stands around them is kept."""

from collections.abc import Sequence
from pathlib import Path

from batch_assets.domain.errors import BatchAssetsError
from benchmarks.comparison.tables import Table

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN = "<!-- make bench-docs: from here -->"
END = "<!-- make bench-docs: to here -->"


def write_document(origin: str, tables: Sequence[Table], path: Path) -> None:
    """Replace what stands between the markers: where the figures are from, and the tables.

    Raises:
        BatchAssetsError: There are no such markers.
    """
    text = path.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise BatchAssetsError(f"{path.name} lacks the markers that the tables go between.")
    shown = "\n\n".join([origin, *map(markdown, tables)])
    path.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}", encoding="utf-8")


def markdown(table: Table) -> str:
    """A heading and a table, in columns for those who read it as text."""
    lines = [table.headings, *table.lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = [
        "-" * width if number < table.words else "-" * (width - 1) + ":"
        for number, width in enumerate(widths)
    ]
    rows = [_row(line, widths, table.words) for line in (table.headings, rule, *table.lines)]
    note = ["", table.note] if table.note else []
    return "\n".join([f"### {table.title}", "", *rows, *note])


def _row(cells: Sequence[str], widths: Sequence[int], words: int) -> str:
    padded = [
        cell.ljust(width) if number < words else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"

"""The tables in docs/benchmarks.md, between two markers; what stands around them is kept."""

from collections.abc import Sequence
from pathlib import Path

from batch_assets.domain.errors import BatchAssetsError
from benchmarks.comparison.tables import HEADINGS, WORDS, Table

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN = "<!-- make bench: from here -->"
END = "<!-- make bench: to here -->"


def write_document(tables: Sequence[Table], path: Path) -> None:
    """Replace what stands between the markers."""
    text = path.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise BatchAssetsError(f"{path.name} lacks the markers that the tables go between.")
    shown = "\n\n".join(map(markdown, tables))
    path.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}", encoding="utf-8")


def markdown(table: Table) -> str:
    """A heading and a table, in columns for those who read it as text."""
    lines = [HEADINGS, *table.lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = [
        "-" * width if number < WORDS else "-" * (width - 1) + ":"
        for number, width in enumerate(widths)
    ]
    rows = [_row(line, widths) for line in (HEADINGS, rule, *table.lines)]
    return "\n".join([f"### {table.size}", "", *rows])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if number < WORDS else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"

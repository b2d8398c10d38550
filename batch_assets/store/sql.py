"""Loads named statements from `.sql` files that lie beside the module that runs them.

A statement starts at a line `-- name: some_name` and ends at the next one. Parameters are bound
(`:name`), tables are qualified with their schema, columns are named.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import TextClause, text

_HEADING = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(path: Path) -> Mapping[str, TextClause]:
    """The statements of one file, by name, in the file's order."""
    parts = _HEADING.split(path.read_text(encoding="utf-8"))
    return {
        name: text(statement.strip())
        for name, statement in zip(parts[1::2], parts[2::2], strict=True)
    }

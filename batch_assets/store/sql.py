"""Loads named statements from `.sql` files that lie beside the module that runs them.

A statement starts at a line `-- name: some_name` and ends at the next one. Parameters are bound
(`:name`), tables are qualified with their schema, columns are named. What several statements have
in common is a part: it starts at a line `-- part: some_name`, and each line `-- here: some_name`
stands for it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import TextClause, text

_HEADING = re.compile(r"^-- (name|part): (\w+)$", re.MULTILINE)
_HERE = re.compile(r"^ *-- here: (\w+)$", re.MULTILINE)


def load(path: Path, *, parts_of: Path | None = None) -> Mapping[str, TextClause]:
    """The statements of one file, by name, in the file's order.

    Its parts are its own, and those of the other file if one is given. LookupError if one is
    missing.
    """
    sections = _sections(path)
    others = [] if parts_of is None else _sections(parts_of)
    parts = {name: body for kind, name, body in [*others, *sections] if kind == "part"}
    return {
        name: text(_HERE.sub(lambda place: parts[place[1]], body))
        for kind, name, body in sections
        if kind == "name"
    }


def _sections(path: Path) -> list[tuple[str, str, str]]:
    """Kind, name and text of each section."""
    found = _HEADING.split(path.read_text(encoding="utf-8"))[1:]
    bodies = (body.strip("\n") for body in found[2::3])
    return list(zip(found[0::3], found[1::3], bodies, strict=True))

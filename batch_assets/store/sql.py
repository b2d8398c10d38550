"""Loads named statements from `.sql` files that lie beside the module that runs them.

A statement starts at a line `-- name: some_name` and ends at the next one. Parameters are bound
(`:name`), tables are qualified with their schema, columns are named. What several statements have
in common is a part: it starts at a line `-- part: some_name`, and each line `-- here: some_name`
stands for it. Those of `parts.sql` are there for every file.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import TextClause, text

_HEADING = re.compile(r"^-- (name|part): (\w+)$", re.MULTILINE)
_HERE = re.compile(r"^ *-- here: (\w+)$", re.MULTILINE)
_SHARED = Path(__file__).with_name("parts.sql")


def load(path: Path, *, parts_of: Sequence[Path] = ()) -> Mapping[str, TextClause]:
    """The statements of one file, by name, in the file's order.

    Its parts are its own, those of `parts.sql`, and those of the other files that are given.

    Raises:
        LookupError: one is missing.
    """
    sections = _sections(path)
    every = [section for other in (_SHARED, *parts_of) for section in _sections(other)] + sections
    parts = {name: body for kind, name, body in every if kind == "part"}
    return {name: text(_whole(body, parts)) for kind, name, body in sections if kind == "name"}


def _whole(body: str, parts: Mapping[str, str]) -> str:
    """A statement with its parts in their places; parts may have parts."""
    return _HERE.sub(lambda place: _whole(parts[place[1]], parts), body)


def _sections(path: Path) -> list[tuple[str, str, str]]:
    """Kind, name and text of each section."""
    found = _HEADING.split(path.read_text(encoding="utf-8"))[1:]
    bodies = (body.strip("\n") for body in found[2::3])
    return list(zip(found[0::3], found[1::3], bodies, strict=True))

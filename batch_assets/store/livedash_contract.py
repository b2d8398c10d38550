"""Whether LiveDash's tables are there, and as this version needs them.

A run needs fewer columns than `migrate` asks for: one that no statement of a run names may go and
stops none. The statements that look first ask whether those are there.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from sqlalchemy import Boolean, Column, Connection, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ENUM, INET, JSONB, REAL, TIMESTAMP, VARCHAR

from batch_assets.domain.errors import MigrationRefusedError
from batch_assets.store.sql import load
from batch_assets.store.tables import livedash
from batch_assets.store.tables.base import ENUM_TYPES
from batch_assets.store.tables.livedash import LIVEDASH_TABLES, NOT_NEEDED
from batch_assets.store.urls import describe

SQL = load(Path(__file__).with_suffix(".sql"))
_NAMED_AT_MOST: Final = 5

# How the catalog calls the types; an enum type has one name everywhere.
_CATALOG_NAMES: Final[dict[type[object], str]] = {
    Text: "text",
    Integer: "int4",
    REAL: "float4",
    Boolean: "bool",
    JSONB: "jsonb",
    INET: "inet",
    TIMESTAMP: "timestamptz",
}


def livedash_is_present(connection: Connection) -> bool:
    """Whether LiveDash's tables are there, all of them and fit to work on; False if none is.

    Extra tables, columns and enum values are LiveDash's own affair.

    Raises:
        MigrationRefusedError: it is anything between, or the database is used by something else.
    """
    columns = _columns(connection)
    where = describe(connection.engine.url)
    if not any(table.name in columns for table in LIVEDASH_TABLES):
        _refuse_occupied(connection, where)
        return False
    faults = _faults(connection, columns)
    if faults:
        raise MigrationRefusedError(
            f"The {where} holds a LiveDash that this version cannot work on: {listed(faults)}. "
            "Nothing was changed: bring LiveDash up to date there, or check DATABASE_URL."
        )
    return True


def faults_of(connection: Connection) -> list[str]:
    """In what LiveDash's tables are not as this version needs them; no table is locked for it.

    Nothing where there is none of them: that is not LiveDash's database, or not yet.
    """
    columns = _columns(connection)
    is_there = any(table.name in columns for table in LIVEDASH_TABLES)
    return _faults(connection, columns) if is_there else []


def computed_columns(connection: Connection) -> list[str]:
    """LiveDash's columns that the server computes itself, which a write of ours may not set."""
    known = {table.name: table.columns.keys() for table in LIVEDASH_TABLES}
    return [
        f'the server computes the column "{row.table_name}"."{row.column_name}" itself'
        for row in connection.execute(SQL["computed"])
        if row.column_name in known.get(row.table_name, ())
    ]


def _faults(connection: Connection, columns: "_Columns") -> list[str]:
    return [
        *_column_faults(columns),
        *_label_faults(connection),
        *_unique_faults(connection, columns),
    ]


def _refuse_occupied(connection: Connection, where: str) -> None:
    names = connection.execute(SQL["occupants"]).scalars().all()
    if names:
        quoted = listed([f'"{name}"' for name in names])
        raise MigrationRefusedError(
            f"The {where} is neither LiveDash's nor empty: its schema public holds {quoted}. "
            "Nothing was changed: give LiveDash's database or an empty one in DATABASE_URL."
        )


_Columns = dict[str, dict[str, tuple[str, int | None]]]
"""By table and column: the type's name in the catalog and, for a limited varchar, its length."""


def _columns(connection: Connection) -> _Columns:
    found: _Columns = {}
    for row in connection.execute(SQL["columns"]):
        found.setdefault(row.table_name, {})[row.column_name] = (row.type_name, row.width)
    return found


def _column_faults(found: _Columns) -> Iterator[str]:
    for table in LIVEDASH_TABLES:
        if table.name not in found:
            yield f'the table "{table.name}" is missing'
            continue
        for column in table.columns:
            if column.info == NOT_NEEDED:
                continue
            there = found[table.name].get(column.name)
            if there is None:
                yield f'the column "{table.name}"."{column.name}" is missing'
            elif not _fits(column, *there):
                yield (
                    f'the column "{table.name}"."{column.name}" has the type '
                    f"{_type_text(*there)}, not {_wanted(column)}"
                )


def _fits(column: Column[object], type_name: str, width: int | None) -> bool:
    if not isinstance(column.type, VARCHAR):
        return type_name == _wanted(column)
    # A wider column, or one without a limit, takes everything that we write.
    roomy = width is None or width >= (column.type.length or 0)
    return type_name == "text" or (type_name == "varchar" and roomy)


def _wanted(column: Column[object]) -> str:
    if isinstance(column.type, ENUM):
        return f"{column.type.name}"
    if isinstance(column.type, VARCHAR):
        return _type_text("varchar", column.type.length)
    return _CATALOG_NAMES[type(column.type)]


def _type_text(type_name: str, width: int | None) -> str:
    return type_name if width is None else f"{type_name}({width})"


def _label_faults(connection: Connection) -> Iterator[str]:
    found = {(row.type_name, row.label) for row in connection.execute(SQL["labels"])}
    for enum in ENUM_TYPES:
        for label in enum.enums:
            if (enum.name, label) not in found:
                yield f'the enum "{enum.name}" lacks the value {label}'


def _unique_faults(connection: Connection, found: _Columns) -> Iterator[str]:
    uniques = {
        (row.table_name, frozenset(row.column_names)) for row in connection.execute(SQL["uniques"])
    }
    for table in LIVEDASH_TABLES:
        for columns in _unique_columns(table) if table.name in found else ():
            if (table.name, frozenset(columns)) not in uniques:
                quoted = ", ".join(f'"{name}"' for name in columns)
                yield f'"{table.name}" has no unique index on ({quoted})'


def _unique_columns(table: Table) -> Iterator[Sequence[str]]:
    yield table.primary_key.columns.keys()
    for index in table.indexes:
        if index.unique:
            yield index.columns.keys()


def listed(parts: Sequence[str]) -> str:
    """The first of these, and how many more there are."""
    named = ", ".join(parts[:_NAMED_AT_MOST])
    more = len(parts) - _NAMED_AT_MOST
    return named if more <= 0 else f"{named} and {more} more"


_NAMED: Final = {
    livedash.company: "id name status",
    livedash.session: (
        "id companyId startTime endTime language messagesSent sentiment escalated forwardedHr"
        " category summary updatedAt"
    ),
    livedash.message: "sessionId timestamp role content order createdAt",
    livedash.ai_processing_request: (
        "id sessionId openaiRequestId model serviceTier systemFingerprint promptTokens"
        " completionTokens totalTokens cachedTokens audioTokensPrompt reasoningTokens"
        " audioTokensCompletion acceptedPredictionTokens rejectedPredictionTokens promptTokenCost"
        " completionTokenCost totalCostEur processingType success errorMessage requestedAt"
        " completedAt processingStatus batchId"
    ),
    livedash.ai_batch_request: (
        "id companyId openaiBatchId inputFileId outputFileId errorFileId status createdAt"
        " completedAt processedAt"
    ),
    livedash.ai_model: "id name",
    livedash.ai_model_pricing: (
        "aiModelId promptTokenCost completionTokenCost effectiveFrom effectiveUntil"
    ),
    livedash.session_processing_status: (
        "id sessionId stage status startedAt completedAt errorMessage retryCount metadata"
    ),
    livedash.question: "id content",
    livedash.session_question: "id sessionId questionId order",
}
_PAIRS: Final = [(table.name, name) for table, names in _NAMED.items() for name in names.split()]

NEEDS: Final = {
    "needed_tables": [table for table, _ in _PAIRS],
    "needed_columns": [column for _, column in _PAIRS],
}
"""The parameters of the part `livedash_lacks`."""


def named(lacking: Sequence[str]) -> list[str]:
    """What is missing, as `migrate` would say it: a table once, and not by its columns."""
    said: list[str] = []
    for table, names in groupby(lacking, key=lambda name: name.partition(".")[0]):
        columns = [name.partition(".")[2] for name in names]
        if len(columns) == NEEDS["needed_tables"].count(table):
            said.append(f'the table "{table}"')
        else:
            said += [f'the column "{table}"."{column}"' for column in columns]
    return said

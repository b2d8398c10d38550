"""What a person reads when an op fails: one sentence, without our inner workings or any data."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, Final, NoReturn

import dagster as dg
import psycopg
from sqlalchemy.exc import DBAPIError

from batch_assets.domain.display import escaped, listed
from batch_assets.domain.errors import ApiError, BatchAssetsError
from batch_assets.domain.hosts import run_out, run_out_by_words
from batch_assets.ops.reporting import log_of, show, shown
from batch_assets.store import counting
from batch_assets.store.connection_failures import is_lost

FAILURE: Final = "failure"
NOT_BEGUN_AFTER: Final = "not_begun_after"
STOPPED: Final = frozenset({FAILURE, NOT_BEGUN_AFTER})
"""What the metadata of an op's output have instead of what it did."""

_PACKAGE = Path(__file__).parents[1]


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turn what a person has to put right into Dagster's `Failure`; for use as a decorator.

    The cause is not kept: a database error may quote the row that it is about, and Dagster stores
    whatever it is told. Retrying the op would not help; the next run carries on.

    Raises:
        Failure: With the sentence; any other error passes as it is.
    """
    try:
        yield
    except BatchAssetsError as error:
        raise _failure(str(error)) from None
    except ApiError as error:
        raise _failure(api_sentence(error)) from None
    except (DBAPIError, psycopg.Error) as error:
        raise _failure(database_sentence(error)) from None
    except (OSError, MemoryError) as error:
        sentence = run_out(error)
        if sentence is None:
            raise
        raise _failure(sentence) from None


def attempt(context: dg.OpExecutionContext, work: Callable[[], None]) -> str:
    """Do something that may fail; why it has, in a sentence, or nothing.

    An interruption is no failure: it ends the run. Whoever would end the process does not: the run
    has to be closed.
    """
    shows: Mapping[str, Any] = {}
    try:
        with clear_failures():
            work()
    except dg.Failure as failure:
        sentence = str(failure.description)
    except (Exception, SystemExit) as error:
        sentence = (
            f"It ended with {type(error).__name__}: the metadata of its output have the traceback."
        )
        shows = {"traceback": dg.MetadataValue.json(_lines_of(error))}
    else:
        return ""
    log_of(context).error("%s", sentence)
    show(context, {FAILURE: sentence, **shows})
    return sentence


def fail_op(sentence: str) -> NoReturn:
    """Fail an op whose failure was handed on.

    Raises:
        Failure: Always.
    """
    raise _failure(sentence)


def fail_run(failures: Mapping[str, str]) -> NoReturn:
    """Fail a run: say why which op has failed, each reason once.

    Raises:
        Failure: Always; its metadata have the sentence of each op.
    """
    ops = by_sentence(failures)
    said = " ".join(f"{listed(those)}: {sentence}" for sentence, those in ops.items())
    raise _failure(said, failures)


def by_sentence(failures: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Which ops have failed with the same sentence, from the sentence of each."""
    ops: dict[str, list[str]] = {}
    for op, sentence in failures.items():
        ops.setdefault(sentence, []).append(op)
    return ops


def api_sentence(error: ApiError) -> str:
    """What the API refused, and what to do about it."""
    return error.sentence("the next run tries again")


def database_sentence(error: DBAPIError | psycopg.Error) -> str:
    """What the database refused: names and codes only, since its own message may quote a row.

    A COPY raises the driver's error as it is.
    """
    if is_lost(error):
        meant = run_out_by_words(str(error))
        if meant is not None:
            return meant
        return "The connection to the database was lost: the next run carries on."
    cause = error.orig if isinstance(error, DBAPIError) else error
    diagnosis = getattr(cause, "diag", None)
    parts = {
        "SQLSTATE": getattr(cause, "sqlstate", None),
        "table": getattr(diagnosis, "table_name", None),
        "column": getattr(diagnosis, "column_name", None),
        "constraint": getattr(diagnosis, "constraint_name", None),
        "sent by": _sender(error),
    }
    known = ", ".join(f"{name} {value}" for name, value in parts.items() if value)
    return f"The database refused a statement: {type(cause).__name__} ({known})."


def _failure(sentence: str, entries: Mapping[str, str] | None = None) -> dg.Failure:
    """The failure of an op, in a sentence that is one line whatever it quotes."""
    return dg.Failure(escaped(sentence), metadata=shown(entries or {}), allow_retries=False)


def _lines_of(error: BaseException) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()


def _sender(error: Exception) -> str:
    """Where in our code the statement was sent: file, line and function."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(PurePath(frame.filename))]
    return "".join(f"{PurePath(at.filename).name}:{at.lineno} {at.name}" for at in ours[-1:])


def _is_ours(path: PurePath) -> bool:
    """Whether it is a place of our code; the cursors that count see every statement of everyone."""
    return path.is_relative_to(_PACKAGE) and path != Path(counting.__file__)

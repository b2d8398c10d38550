"""What batches are made with: endpoint, completion window, expiry of their files, metadata.

Some servers do not take all of it. Which parameter one refuses is known by its answer, and left out
from then on: a call that is refused for a parameter has made nothing and bought nothing.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Final

from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.profiles import Profile

EXPIRY: Final = "output_expires_after"
UPLOAD_EXPIRY: Final = "expires_after"
METADATA: Final = "metadata"
OPTIONAL: Final = frozenset({EXPIRY, METADATA})

_SECONDS: Final = {"h": 3_600, "d": 86_400}
_QUOTES = "[\"'`]"


class BatchParameters:
    """The parameters of what is made on one server, without those that it has refused."""

    def __init__(self, profile: Profile, window_seconds: float) -> None:
        """`window_seconds`: within which a batch is to be done, as far as that can be asked for."""
        self._profile = profile
        self._window_seconds = window_seconds
        self._left_out: set[str] = set()

    def of(
        self, input_file_id: str, metadata: Mapping[str, str], output_expires_after_seconds: int
    ) -> dict[str, object]:
        """The parameters for one batch, as JSON has them.

        The server is to delete files that the batch makes so long after its creation, or as near to
        that as it allows to ask for.
        """
        asked: dict[str, object] = {
            "input_file_id": input_file_id,
            "endpoint": self._profile.endpoint,
            "completion_window": completion_window(
                self._profile.completion_windows, self._window_seconds
            ),
        }
        expiry = self._profile.expires_after(output_expires_after_seconds)
        if expiry is not None and EXPIRY not in self._left_out:
            asked[EXPIRY] = {"anchor": "created_at", "seconds": expiry}
        if self._profile.has_metadata and METADATA not in self._left_out:
            asked[METADATA] = dict(metadata)
        return asked

    def of_upload(self, expires_after_seconds: int | None) -> dict[str, object]:
        """The fields of one upload's form that the server can do without: when it deletes it."""
        if expires_after_seconds is None or UPLOAD_EXPIRY in self._left_out:
            return {}
        expiry = self._profile.expires_after(expires_after_seconds)
        if expiry is None:
            return {}
        return {UPLOAD_EXPIRY: {"anchor": "created_at", "seconds": expiry}}

    def leave_out(self, refused: Set[str]) -> ApiError:
        """Leave these parameters out from now on; the error of the creation that they spoiled."""
        self._left_out |= refused
        names = " and ".join(sorted(refused))
        reason = f"the server does not take {names}, which is left out now"
        failure = Failure(FailureKind.PERMANENT, error_codes.PARAMETER_REFUSED, reason)
        return ApiError(Operation.CREATE_BATCH, failure)


def completion_window(offered: Sequence[str], seconds: float) -> str:
    """Choose of some, shortest first, the longest within so much time, or else the shortest."""
    fitting = [one for one in offered if seconds_of_window(one) <= seconds]
    return fitting[-1] if fitting else offered[0]


def seconds_of_window(window: str) -> int:
    """How long a completion window is, which is so many hours or days."""
    return int(window[:-1]) * _SECONDS[window[-1]]


def refused_parameters(text: str, sent: Iterable[str]) -> frozenset[str]:
    """Find which of the parameters that were sent the body of a 400 or 422 names as wrong.

    It does where the error has it as its `param`, or the framework's list of errors as the place,
    or where a message quotes it. That a request is repeated somewhere in the body says nothing.
    """
    try:
        said = list(_said(json.loads(text)))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(name for name in sent if any(_names(one, name) for one in said))


def _said(body: object) -> Iterator[str]:
    """Messages, parameters and places in an error, in the shapes that servers give it."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list):
        for one in body:
            yield from _said(one)
    elif isinstance(body, Mapping):
        yield from _quoted(body.get("param"))
        yield from _quoted(*_places(body.get("loc")))
        for key in ("error", "detail", "message", "msg"):
            yield from _said(body.get(key))


def _quoted(*names: object) -> Iterator[str]:
    """A name that is one by its place, in the way in which a message has it."""
    return (f"'{name}'" for name in names if isinstance(name, str))


def _places(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _names(said: str, name: str) -> bool:
    """Whether a name is quoted; one of several words is none of prose, and needs no quotes."""
    quoted = rf"{_QUOTES}{name}(?:[.\[][^\"'`]*)?{_QUOTES}"
    plain = rf"(?<!\w){name}(?!\w)"
    return re.search(f"{quoted}|{plain}" if "_" in name else quoted, said) is not None

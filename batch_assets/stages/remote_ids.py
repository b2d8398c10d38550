"""How what we make on the server is named, and what its lists show under our name.

By these names it is found again, and known as ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from batch_assets.domain.errors import ApiError
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.client import BatchApi
from batch_assets.store.intents import Named

_INSTALLATION = "batch_assets_installation"
_BATCH = "batch_assets_batch"
_PREFIX = "batch-assets"
_ANCHOR = "anchor-"
_LONGEST_CALL_ID = 512

CLOCK_MARGIN: Final = timedelta(minutes=5)
"""How far the server's clock and ours may be apart beyond what its answers say."""
_DYING: Final = frozenset({"cancelling", "cancelled", "failed"})
_NO_LIST: Final = frozenset({error_codes.NOT_FOUND, error_codes.UNSUPPORTED})
_UNDATED: Final = datetime.max.replace(tzinfo=UTC)
Batches = Mapping[str, Sequence[RemoteBatch]]
Files = Mapping[str, Sequence[RemoteFile]]


def metadata_of(installation_id: str, batch_id: str) -> Mapping[str, str]:
    """Make the metadata that travels with a batch."""
    return {_INSTALLATION: installation_id, _BATCH: batch_id}


def file_name(installation_id: str, batch_id: str) -> str:
    """Make the name of a batch's input file."""
    return f"{_PREFIX}_{installation_id}_{batch_id}.jsonl"


def batch_of(remote: RemoteBatch, installation_id: str) -> str | None:
    """Read the batch id that a remote batch carries, if it is this installation's."""
    if remote.metadata.get(_INSTALLATION) != installation_id:
        return None
    return remote.metadata.get(_BATCH)


def batch_of_file(remote: RemoteFile, installation_id: str) -> str | None:
    """Read the batch id that an input file was uploaded for, if it is this installation's."""
    carried = _carried(remote, installation_id)
    return None if carried is None or carried.startswith(_ANCHOR) else carried


def whose(remote: RemoteBatch) -> str | None:
    """Read the batch id that a remote batch carries, whichever installation's it is."""
    return remote.metadata.get(_BATCH) if _INSTALLATION in remote.metadata else None


def whose_file(remote: RemoteFile) -> str | None:
    """Read the batch id that an input file was uploaded for, whichever installation's it is."""
    start, _, rest = remote.name.removesuffix(".jsonl").partition("_")
    _, _, carried = rest.partition("_")
    return carried if start == _PREFIX and carried and not carried.startswith(_ANCHOR) else None


def is_of_another(remote: RemoteBatch, installation_id: str) -> bool:
    """Whether a remote batch carries the id of another installation of this project."""
    return remote.metadata.get(_INSTALLATION, installation_id) != installation_id


def anchor_name(installation_id: str, account: str) -> str:
    """Make the name of a file that is uploaded with an account only to be seen in its list."""
    return file_name(installation_id, f"{_ANCHOR}{account}")


def account_of_anchor(remote: RemoteFile, installation_id: str) -> str | None:
    """Read the account that such a file was uploaded with; `None` for any other one."""
    carried = _carried(remote, installation_id)
    if carried is None or not carried.startswith(_ANCHOR):
        return None
    return carried.removeprefix(_ANCHOR)


def _carried(remote: RemoteFile, installation_id: str) -> str | None:
    start = f"{_PREFIX}_{installation_id}_"
    if not (remote.name.startswith(start) and remote.name.endswith(".jsonl")):
        return None
    return remote.name.removeprefix(start).removesuffix(".jsonl")


def call_id(batch_id: str, request_id: str) -> str:
    """Make the name of a synchronous request, in ASCII: the server's people find it by that."""
    return f"{batch_id}/{quote(request_id, safe='')}"[:_LONGEST_CALL_ID]


def our_batches(api: BatchApi, installation_id: str, since: datetime, files: Files) -> Batches:
    """List our batches that were made since then; of several the first that may still give results.

    One that carries no id is known by its input file, if that is among `files`.

    Raises:
        ApiError: The list cannot be read to its end.
    """
    owners = {file.id: batch_id for batch_id, some in files.items() for file in some}
    found: defaultdict[str, list[RemoteBatch]] = defaultdict(list)
    for remote in api.list_batches(created_after=since):
        batch_id = batch_of(remote, installation_id)
        if batch_id is None and not is_of_another(remote, installation_id):
            batch_id = owners.get(remote.input_file_id or "")
        if batch_id is not None:
            found[batch_id].append(remote)
    return {batch_id: best_first(remotes) for batch_id, remotes in found.items()}


def best_first(remotes: Sequence[RemoteBatch]) -> list[RemoteBatch]:
    """Sort batches of one intent: those that may still give results first, of these the oldest.

    Of one second that which is listed last: most lists are newest first.
    """
    found = list(remotes)[::-1]
    found.sort(key=lambda remote: (remote.status in _DYING, remote.created_at or _UNDATED))
    return found


def our_files(api: BatchApi, installation_id: str, since: datetime) -> Files:
    """List our input files that were made since then.

    Raises:
        ApiError: The list cannot be read to its end.
    """
    found: defaultdict[str, list[RemoteFile]] = defaultdict(list)
    for remote in api.list_files(created_after=since):
        batch_id = batch_of_file(remote, installation_id)
        if batch_id is not None:
            found[batch_id].append(remote)
    return found


def lists_no_files(error: ApiError) -> bool:
    """Whether a server has no list of files, and will not have one later."""
    return error.failure.code in _NO_LIST


def named_of(
    installation_id: str,
    batches: Iterable[RemoteBatch],
    files: Mapping[str, RemoteFile],
    clock_ahead: timedelta,
) -> list[Named]:
    """Pick from these batches and files, by the server's ids, what carries our batches' ids."""
    found: defaultdict[str, list[RemoteBatch | RemoteFile]] = defaultdict(list)
    for file in files.values():
        batch_id = batch_of_file(file, installation_id)
        if batch_id is not None:
            found[batch_id].append(file)
    for batch in batches:
        batch_id = batch_of(batch, installation_id)
        input_file = files.get(batch.input_file_id or "")
        if batch_id is None and input_file and not is_of_another(batch, installation_id):
            batch_id = batch_of_file(input_file, installation_id)
        if batch_id is not None:
            found[batch_id].append(batch)
    return named(found, clock_ahead)


def named(
    found: Mapping[str, Sequence[RemoteBatch | RemoteFile]], clock_ahead: timedelta
) -> list[Named]:
    """List what carries the ids of batches of ours, with the time of its making by our clock."""
    return [
        Named(one.id, batch_id, one.created_at and one.created_at - clock_ahead)
        for batch_id, some in found.items()
        for one in some
    ]

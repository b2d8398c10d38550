"""What the server lists under our name, by our batches' ids."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from batch_assets.domain.records import RemoteBatch
from batch_assets.openai_batch.client import BatchApi
from batch_assets.stages.naming import batch_of, batch_of_file

CLOCK_MARGIN: Final = timedelta(minutes=5)
"""How far the server's clock and ours may be apart."""

_DYING: Final = frozenset({"cancelling", "cancelled", "failed"})


def our_batches(
    api: BatchApi, installation_id: str, since: datetime
) -> Mapping[str, Sequence[RemoteBatch]]:
    """Ours that were made since then; of several the first that may still give results."""
    found: defaultdict[str, list[RemoteBatch]] = defaultdict(list)
    for remote in api.list_batches(created_after=since):
        batch_id = batch_of(remote, installation_id)
        if batch_id is not None:
            found[batch_id].append(remote)
    for remotes in found.values():
        remotes.reverse()  # the list is newest first
        remotes.sort(key=lambda remote: remote.status in _DYING)
    return found


def our_files(api: BatchApi, installation_id: str, since: datetime) -> Mapping[str, Sequence[str]]:
    """The ids of our input files that were made since then."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for remote in api.list_files(created_after=since):
        batch_id = batch_of_file(remote, installation_id)
        if batch_id is not None:
            found[batch_id].append(remote.id)
    return found

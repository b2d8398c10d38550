"""How what we make on the server is named, so that it is found again and known as ours."""

from collections.abc import Mapping
from urllib.parse import quote

from batch_assets.domain.records import RemoteBatch, RemoteFile

_INSTALLATION = "batch_assets_installation"
_BATCH = "batch_assets_batch"
_PREFIX = "batch-assets"
_LONGEST_CALL_ID = 512


def metadata_of(installation_id: str, batch_id: str) -> Mapping[str, str]:
    """The metadata that travels with a batch."""
    return {_INSTALLATION: installation_id, _BATCH: batch_id}


def file_name(installation_id: str, batch_id: str) -> str:
    """The name of a batch's input file."""
    return f"{_PREFIX}_{installation_id}_{batch_id}.jsonl"


def batch_of(remote: RemoteBatch, installation_id: str) -> str | None:
    """The batch id that a remote batch carries, if it is this installation's."""
    if remote.metadata.get(_INSTALLATION) != installation_id:
        return None
    return remote.metadata.get(_BATCH)


def batch_of_file(remote: RemoteFile, installation_id: str) -> str | None:
    """The batch id that an input file was uploaded for, if it is this installation's."""
    start = f"{_PREFIX}_{installation_id}_"
    if not (remote.name.startswith(start) and remote.name.endswith(".jsonl")):
        return None
    return remote.name.removeprefix(start).removesuffix(".jsonl")


def call_id(batch_id: str, request_id: str) -> str:
    """The name of a live call, in ASCII: the server's people find it by that."""
    return f"{batch_id}/{quote(request_id, safe='')}"[:_LONGEST_CALL_ID]

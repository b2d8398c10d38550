"""How what we make on the server is named, so that it is found again and known as ours."""

from collections.abc import Mapping
from urllib.parse import quote

from batch_assets.domain.records import RemoteBatch, RemoteFile

_INSTALLATION = "batch_assets_installation"
_BATCH = "batch_assets_batch"
_PREFIX = "batch-assets"
_ANCHOR = "anchor-"
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
    carried = _carried(remote, installation_id)
    return None if carried is None or carried.startswith(_ANCHOR) else carried


def whose(remote: RemoteBatch) -> str | None:
    """The batch id that a remote batch carries, whichever installation's it is."""
    return remote.metadata.get(_BATCH) if _INSTALLATION in remote.metadata else None


def whose_file(remote: RemoteFile) -> str | None:
    """The batch id that an input file was uploaded for, whichever installation's it is."""
    start, _, rest = remote.name.removesuffix(".jsonl").partition("_")
    _, _, carried = rest.partition("_")
    return carried if start == _PREFIX and carried and not carried.startswith(_ANCHOR) else None


def is_of_another(remote: RemoteBatch, installation_id: str) -> bool:
    """Whether a remote batch carries the id of another installation of this project."""
    return remote.metadata.get(_INSTALLATION, installation_id) != installation_id


def anchor_name(installation_id: str, account: str) -> str:
    """The name of a file that is uploaded with an account only to be seen in its list."""
    return file_name(installation_id, f"{_ANCHOR}{account}")


def account_of_anchor(remote: RemoteFile, installation_id: str) -> str | None:
    """The account that such a file was uploaded with; `None` for any other one."""
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
    """The name of a live call, in ASCII: the server's people find it by that."""
    return f"{batch_id}/{quote(request_id, safe='')}"[:_LONGEST_CALL_ID]

"""A file of no content that is uploaded only to be seen: what lists it is our account's list.

It is needed where nothing else of ours is on the server, as after the very first upload. It is
deleted once nothing is looked for any more.
"""

from datetime import timedelta
from typing import Final

from batch_assets.domain.failures import ApiError
from batch_assets.domain.logs import open_log
from batch_assets.openai_batch.spool import Spool
from batch_assets.stages.naming import account_of_anchor, anchor_name
from batch_assets.stages.pipeline import Pipeline
from batch_assets.store.searches import Search

log = open_log(__name__)

_AGAIN_AFTER: Final = timedelta(days=1)
"""A server that does not list it will not list the next one either."""


def make(pipeline: Pipeline, installation_id: str, search: Search) -> None:
    """Upload one for the account that is used now, unless that was done a short while ago.

    What fails is tried again by the next run; before that is known, one may be on the server.
    """
    if search.anchored_at is not None and search.opened_at - search.anchored_at < _AGAIN_AFTER:
        return
    search.anchored_at = search.opened_at - _AGAIN_AFTER
    pipeline.searches.keep(search, is_over=True)
    try:
        with Spool(pipeline.spool_dir) as spool:
            with spool.input_file() as file:
                file.add("anchor", {"model": "none", "messages": []})
            pipeline.api.upload(file.path, anchor_name(installation_id, search.account))
    except ApiError as error:
        log.warning("No file can be uploaded to be seen in the server's list: %s", error)
    else:
        search.anchored_at = search.opened_at
        pipeline.searches.keep(search, is_over=True)


def clear(pipeline: Pipeline, installation_id: str) -> None:
    """Delete them all; what cannot be deleted now is left to a later run."""
    try:
        for file in pipeline.api.list_files():
            if account_of_anchor(file, installation_id) is not None:
                pipeline.api.delete_file(file.id)
    except ApiError as error:
        log.warning("A file that was uploaded only to be seen is left behind: %s", error)
        return
    search = pipeline.searches.open(pipeline.api.account)
    search.anchored_at = None
    pipeline.searches.keep(search, is_over=True)

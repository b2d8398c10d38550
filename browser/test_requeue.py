"""A control, used as a person on call uses it: tried wrongly, tried without effect, then done."""

from typing import Final

import psycopg

from browser.launchpad import Launchpad
from browser.pages import WORK
from browser.window import Window

JOB: Final = "requeue_job"
CODE: Final = "invalid_request_error"
"""Why the server refused requests during the demo; it would take them now."""

DEAD: Final = "SELECT request_id FROM batch_assets.dead_letter WHERE code = %s"
STATES: Final = """
    SELECT DISTINCT "processingStatus"::text FROM public."AIProcessingRequest" WHERE id = ANY(%s)
"""


def config(*lines: str) -> str:
    """The configuration of the control, with these lines in it."""
    within = "".join(f"      {line}\n" for line in lines)
    return f"ops:\n  requeue_requests:\n    config:\n{within}"


def test_a_wrong_config_is_explained_and_cannot_be_launched(window: Window) -> None:
    launchpad = Launchpad(window, JOB)

    launchpad.type(config(f"coed: {CODE}", "dry_run: false"))
    said = launchpad.complaint("coed")
    assert 'Received unexpected config entry "coed" at path' in said
    assert "requeue_requests:config" in said

    launchpad.type(config(f"code: {CODE}", "dry_run: perhaps"))
    assert "dry_run" in launchpad.complaint("dry_run")


def test_requests_that_were_refused_are_sent_again_and_processed(
    window: Window, database: psycopg.Connection
) -> None:
    refused = [request for (request,) in database.execute(DEAD, [CODE])]
    assert refused

    launchpad = Launchpad(window, JOB)
    launchpad.type(config(f"code: {CODE}"))
    _, ended = launchpad.run()
    assert ended == "Success"
    window.wait_for(f"{len(refused)} requests")
    assert states(database, refused) == {"PROCESSING_FAILED"}

    launchpad = Launchpad(window, JOB)
    launchpad.type(config(f"code: {CODE}", "dry_run: false"))
    requeued, ended = launchpad.run()
    assert ended == "Success"
    window.wait_for(f"{len(refused)} requests")
    assert states(database, refused) == {"PENDING_BATCHING"}

    for _ in ("sent", "read"):
        _, ended = Launchpad(window, WORK).run()
        assert ended == "Success"
    assert states(database, refused) == {"PROCESSING_COMPLETE"}
    assert window.complaints() == []

    window.open("/runs", requeued[:8])
    assert f"batch_assets/requests: {len(refused)}" in window.text()


def states(database: psycopg.Connection, requests: list[str]) -> set[str]:
    """In which states these requests are."""
    return {state for (state,) in database.execute(STATES, [requests])}

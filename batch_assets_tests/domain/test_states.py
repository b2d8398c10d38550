"""LiveDash's nearest word for what the server says of a batch."""

import pytest

from batch_assets.domain.states import LiveDashBatchStatus, livedash_status


@pytest.mark.parametrize(
    ("server", "readable", "livedash"),
    [
        ("validating", False, "VALIDATING"),
        ("in_progress", False, "IN_PROGRESS"),
        ("finalizing", False, "FINALIZING"),
        ("cancelling", False, "IN_PROGRESS"),
        ("scheduling", False, "IN_PROGRESS"),
        ("a word of tomorrow", True, "IN_PROGRESS"),
        ("completed", True, "COMPLETED"),
        ("expired", True, "COMPLETED"),
        ("cancelled", True, "COMPLETED"),
        ("failed", True, "COMPLETED"),
        ("completed", False, "FAILED"),
        ("expired", False, "FAILED"),
        ("failed", False, "FAILED"),
        ("cancelled", False, "CANCELLED"),
    ],
)
def test_livedash_gets_the_nearest_of_its_own_words(
    server: str, readable: bool, livedash: str
) -> None:
    assert livedash_status(server, readable=readable) is LiveDashBatchStatus(livedash)

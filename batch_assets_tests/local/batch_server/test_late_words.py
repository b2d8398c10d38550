"""What a batch's own words leave out for a while: file ids, counts, its end."""

from typing import Any

import pytest

from batch_assets_tests.local.batch_server.support import Lab, row, rows, wait_until

MIXED = [row("good"), row("bad", temperature=3)]


def ids(lab: Lab, batch_id: str) -> tuple[bool, bool]:
    """Which file ids a look shows: the output file's, the error file's."""
    batch = lab.client.batches.retrieve(batch_id)
    return bool(batch.output_file_id), bool(batch.error_file_id)


def ended(lab: Lab) -> str:
    """A batch with both files that nobody has looked at since it ended."""
    batch_id = lab.create(MIXED).id
    wait_until(lambda: not lab.server.service.batches.running_ids())
    return batch_id


def test_each_file_id_comes_after_its_own_number_of_looks(lab: Lab) -> None:
    lab.configure(quirks={"late_output_file": {"looks": 2}, "late_error_file": {"looks": 1}})
    first = ended(lab)
    assert [ids(lab, first) for _ in range(4)] == [
        (False, False),
        (False, True),
        (True, True),
        (True, True),
    ]
    assert ids(lab, ended(lab)) == (False, False), "another batch is looked at anew"


def test_a_look_at_the_list_is_one_too(lab: Lab) -> None:
    lab.configure(quirks={"late_output_file": {"looks": 1}})
    batch_id = ended(lab)
    assert lab.client.batches.list(limit=1).data[0].output_file_id is None
    assert ids(lab, batch_id) == (True, True)


@pytest.mark.parametrize("end_as", ["expired", "cancelled"])
def test_file_ids_of_every_end_come_late(lab: Lab, end_as: str) -> None:
    late = {"late_output_file": {"seconds": 60}, "late_error_file": {"seconds": 120}}
    fate = {"end_as": end_as, "after_rows": 1}
    lab.configure(quirks=late, batches=[fate])
    batch_id = lab.run(rows(3)).id
    shown = [ids(lab, batch_id)]
    for seconds in (61, 121):
        lab.configure(quirks=late, timing={"clock_offset_seconds": seconds})
        shown.append(ids(lab, batch_id))
    assert shown == [(False, False), (True, False), (True, True)]


def test_late_file_ids_may_be_empty_strings(lab: Lab) -> None:
    lab.configure(quirks={"empty_string_file_ids": True, "late_output_file": {"looks": 1}})
    assert lab.client.batches.retrieve(ended(lab)).output_file_id == ""


def test_file_ids_that_the_list_never_shows(lab: Lab) -> None:
    lab.configure(quirks={"lists": {"without_file_ids": True}})
    batch_id = ended(lab)
    (listed, *_) = lab.client.batches.list(limit=1).data
    assert (listed.id, listed.status) == (batch_id, "completed")
    assert (listed.output_file_id, listed.error_file_id) == (None, None)
    assert ids(lab, batch_id) == (True, True)


@pytest.mark.parametrize(
    ("quirk", "wanted"),
    [
        ({"zero_request_counts": True}, {"total": 0, "completed": 0, "failed": 0}),
        ({"null_batch_fields": ["request_counts"]}, None),
    ],
)
def test_counts_that_say_nothing(lab: Lab, quirk: dict[str, Any], wanted: object) -> None:
    lab.configure(quirks=quirk)
    assert lab.run(MIXED).to_dict()["request_counts"] == wanted


def test_metadata_that_does_not_come_back(lab: Lab) -> None:
    lab.configure(quirks={"null_batch_fields": ["metadata"]})
    made = lab.create(rows(1), metadata={"k": "v"})
    assert made.metadata is None
    assert lab.client.batches.list(limit=1).data[0].to_dict()["metadata"] is None
    lab.configure()
    assert lab.client.batches.retrieve(made.id).metadata == {"k": "v"}


def test_a_list_that_learns_of_an_end_when_the_batch_is_retrieved(lab: Lab) -> None:
    lab.configure(quirks={"moves_on_retrieve": True})
    batch_id = ended(lab)

    def listed() -> tuple[str, str | None]:
        batch = lab.client.batches.list(limit=1).data[0]
        return batch.status, batch.output_file_id

    assert [listed(), listed()] == [("in_progress", None)] * 2
    done = lab.client.batches.retrieve(batch_id)
    assert listed() == ("completed", done.output_file_id)

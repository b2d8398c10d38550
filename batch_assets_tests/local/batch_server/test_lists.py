"""Lists that prove little: another order, other people's items, cursors that are not heard."""

from itertools import islice
from typing import Any

import openai
import pytest
from openai import OpenAI

from batch_assets_tests.local.batch_server.support import ENDPOINT, Lab, row

FOREIGN = [
    {"id": f"batch_foreign{number}", "object": "batch", "status": "completed"}
    for number in range(3)
]


def make(lab: Lab, number: int) -> list[str]:
    """So many batches, oldest first."""
    return [lab.create([row("r1")]).id for _ in range(number)]


def listed(lab: Lab, limit: int) -> list[str]:
    return [batch.id for batch in lab.client.batches.list(limit=limit)]


def test_lists_that_are_oldest_first(fresh_lab: Lab) -> None:
    fresh_lab.configure(quirks={"lists": {"oldest_first": True}})
    made = make(fresh_lab, 4)
    assert listed(fresh_lab, 2) == listed(fresh_lab, 100) == made
    files = [file.id for file in fresh_lab.client.files.list(purpose="batch")]
    inputs = [fresh_lab.client.batches.retrieve(batch_id).input_file_id for batch_id in made]
    assert files == inputs


def test_a_cursor_that_is_ignored_gives_the_same_page_for_ever(fresh_lab: Lab) -> None:
    fresh_lab.configure(quirks={"lists": {"ignore_after": True}})
    made = make(fresh_lab, 3)
    first_pages = [batch.id for batch in islice(fresh_lab.client.batches.list(limit=2), 6)]
    assert first_pages == made[:0:-1] * 3
    files = [file.id for file in islice(fresh_lab.client.files.list(limit=1), 3)]
    assert len(set(files)) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("own", [0, 3])
def test_items_of_others_are_shown_as_they_stand(fresh_lab: Lab, own: int, limit: int) -> None:
    odd: list[dict[str, Any]] = [*FOREIGN, {"id": "batch_odd", "created_at": "yesterday"}]
    made = make(fresh_lab, own)
    fresh_lab.configure(quirks={"lists": {"foreign_batches": odd}})
    assert listed(fresh_lab, limit) == [item["id"] for item in odd] + made[::-1]
    page = fresh_lab.client.batches.list(limit=100)
    assert [batch.to_dict(warnings=False) for batch in page.data[:4]] == odd
    with pytest.raises(openai.NotFoundError):
        fresh_lab.client.batches.retrieve("batch_odd")


def test_files_of_others_are_listed(fresh_lab: Lab) -> None:
    foreign = [{"id": "file-theirs", "object": "file", "filename": "theirs.jsonl"}]
    fresh_lab.configure(quirks={"lists": {"foreign_files": foreign}})
    ours = fresh_lab.upload([row("r1")]).id
    assert [file.id for file in fresh_lab.client.files.list()] == ["file-theirs", ours]


def test_lists_that_are_empty(lab: Lab) -> None:
    lab.configure(quirks={"lists": {"are_empty": True}})
    (made,) = make(lab, 1)
    assert (lab.client.batches.list().data, lab.client.files.list().data) == ([], [])
    assert lab.client.batches.retrieve(made).id == made


def test_a_list_of_files_with_a_smaller_limit(lab: Lab) -> None:
    lab.configure(quirks={"lists": {"most_files": 100}})
    lab.upload([row("r1")])
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.files.list(limit=10_000)
    assert refused.value.param == "limit"
    assert lab.client.files.list(limit=100).data


def test_a_key_of_another_project_finds_nothing_that_is_not_its_own(lab: Lab) -> None:
    done = lab.run([row("r1")])
    lab.configure(keys={"of_another_project": ["other"]})
    with OpenAI(api_key="other", base_url=lab.server.base_url, max_retries=0) as other:
        assert (other.batches.list().data, other.files.list().data) == ([], [])
        for call in (
            lambda: other.batches.retrieve(done.id),
            lambda: other.batches.cancel(done.id),
            lambda: other.files.retrieve(done.input_file_id),
            lambda: other.files.content(done.output_file_id or ""),
            lambda: other.files.delete(done.input_file_id),
        ):
            with pytest.raises(openai.NotFoundError, match=r"No (batch found|such File object)"):
                call()
    assert lab.client.batches.retrieve(done.id).id == done.id


def test_a_file_that_has_to_be_processed_first(lab: Lab) -> None:
    quirks = {"file_processing_seconds": 60}
    lab.configure(quirks=quirks)
    file = lab.upload([row("r1")])
    wanted = {"input_file_id": file.id, "endpoint": ENDPOINT, "completion_window": "24h"}
    assert file.to_dict()["status"] == "pending"
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.post("/batches", cast_to=object, body=wanted)
    assert refused.value.code == "invalidPayload"
    lab.configure(quirks=quirks, timing={"clock_offset_seconds": 61})
    assert lab.client.files.retrieve(file.id).status == "processed"
    lab.client.post("/batches", cast_to=object, body=wanted)


@pytest.mark.parametrize(
    "parameter",
    [
        {"metadata": {"k": "v"}},
        {"output_expires_after": {"anchor": "created_at", "seconds": 7200}},
    ],
    ids=lambda parameter: next(iter(parameter)),
)
def test_parameters_that_are_not_known(lab: Lab, parameter: dict[str, Any]) -> None:
    (name,) = parameter
    lab.configure(quirks={"unknown_parameters": [name]})
    with pytest.raises(openai.BadRequestError) as refused:
        lab.create([row("r1")], **parameter)
    assert (refused.value.param, refused.value.code) == (name, "unknown_parameter")
    lab.create([row("r1")])


def test_a_files_lifetime_that_is_not_known(lab: Lab) -> None:
    lab.configure(quirks={"unknown_parameters": ["expires_after"]})
    lifetime: Any = {"anchor": "created_at", "seconds": 7200}
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.files.create(file=("a.jsonl", b"{}"), purpose="batch", expires_after=lifetime)
    assert refused.value.code == "unknown_parameter"
    assert list((lab.server.state_dir / "spool").iterdir()) == []

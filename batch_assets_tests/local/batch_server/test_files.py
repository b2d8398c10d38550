"""Files, as the openai SDK sees them."""

import io
import os
import stat
from collections.abc import Iterator

import httpx2
import openai
import pytest

from batch_assets_tests.local.batch_server.support import Lab, row


def test_a_file_comes_back_as_it_was_sent(lab: Lab) -> None:
    content = b'{"a": "\xc3\xa9"}\r\n--not-a-boundary\n'
    made = lab.client.files.create(file=("in put.jsonl", content), purpose="batch")

    assert made.id.startswith("file-")
    assert (made.object, made.purpose, made.status) == ("file", "batch", "processed")
    assert (made.filename, made.bytes) == ("in put.jsonl", len(content))
    assert made.expires_at == made.created_at + 30 * 24 * 3600
    assert lab.client.files.retrieve(made.id) == made
    assert lab.client.files.content(made.id).read() == content


def test_a_file_is_downloaded_as_a_stream(lab: Lab) -> None:
    content = os.urandom(700_000).hex().encode()
    made = lab.upload(content)
    with lab.client.files.with_streaming_response.content(made.id) as response:
        assert response.headers["content-length"] == str(len(content))
        assert b"".join(response.iter_bytes()) == content


def test_only_the_owner_can_read_what_is_stored(lab: Lab) -> None:
    made = lab.upload([row("r1")])
    state_dir = lab.server.state_dir
    stored = state_dir / "files" / made.id
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state_dir.glob("*.sqlite3*")} == {0o600}


def test_expires_after_is_kept_and_checked(lab: Lab) -> None:
    made = lab.client.files.create(
        file=("a.jsonl", b"{}"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert made.expires_at == made.created_at + 3600
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.files.create(
            file=("a.jsonl", b"{}"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 60},
        )
    assert refused.value.code == "integer_below_min_value"
    assert refused.value.param == "expires_after.seconds"


def test_an_expired_file_is_gone(lab: Lab) -> None:
    made = lab.upload([row("r1")])
    lab.configure(timing={"clock_offset_seconds": 31 * 24 * 3600})
    with pytest.raises(openai.NotFoundError):
        lab.client.files.retrieve(made.id)
    assert made.id not in {file.id for file in lab.client.files.list()}


def test_a_deleted_file_is_gone_but_still_a_cursor(fresh_lab: Lab) -> None:
    first, second, third = (fresh_lab.upload([row(f"r{n}")]) for n in range(3))
    deleted = fresh_lab.client.files.delete(second.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (second.id, True, "file")
    with pytest.raises(openai.NotFoundError, match=f"No such File object: {second.id}"):
        fresh_lab.client.files.content(second.id)
    with pytest.raises(openai.NotFoundError):
        fresh_lab.client.files.delete(second.id)
    assert not (fresh_lab.server.state_dir / "files" / second.id).exists()
    assert [file.id for file in fresh_lab.client.files.list(after=second.id)] == [first.id]
    assert [file.id for file in fresh_lab.client.files.list()] == [third.id, first.id]


def test_lists_are_filtered_ordered_and_paged(fresh_lab: Lab) -> None:
    files = fresh_lab.client.files
    batch = [fresh_lab.upload([row(f"r{n}")]).id for n in range(5)]
    vision = files.create(file=("picture.png", b"x"), purpose="vision")
    assert vision.expires_at is None

    assert [file.id for file in files.list()] == [vision.id, *reversed(batch)]
    assert [file.id for file in files.list(purpose="batch", order="asc", limit=2)] == batch
    page = files.list(purpose="batch", order="asc", limit=2)
    assert ([file.id for file in page.data], page.has_more) == (batch[:2], True)
    assert files.list(purpose="batch", limit=5).has_more is False
    assert files.list(purpose="assistants").data == []


@pytest.mark.parametrize("limit", [0, 10_001])
def test_a_list_of_files_has_a_limit(lab: Lab, limit: int) -> None:
    with pytest.raises(openai.BadRequestError, match="Invalid 'limit': integer"):
        lab.client.files.list(limit=limit)


def test_a_batch_file_must_be_jsonl(lab: Lab) -> None:
    with pytest.raises(openai.BadRequestError, match=r"Must be \.jsonl"):
        lab.client.files.create(file=("input.json", b"{}"), purpose="batch")


def test_an_unknown_purpose_is_refused(lab: Lab) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        lab.client.files.create(file=("a.jsonl", b"{}"), purpose="fun")  # type: ignore[arg-type] # wrong on purpose
    assert (refused.value.param, refused.value.code) == ("purpose", "invalid_value")


def test_a_file_that_is_too_large_is_refused_and_not_kept(fresh_lab: Lab) -> None:
    fresh_lab.configure(limits={"max_file_bytes": 1000})
    with pytest.raises(openai.APIStatusError) as refused:
        fresh_lab.client.files.create(file=("a.jsonl", io.BytesIO(b"x" * 500_000)), purpose="batch")
    assert refused.value.status_code == 413
    assert fresh_lab.client.files.list().data == []
    assert list((fresh_lab.server.state_dir / "spool").iterdir()) == []


def test_a_form_without_a_file_is_refused(lab: Lab) -> None:
    answer = httpx2.post(
        f"{lab.server.base_url}/files",
        headers={"authorization": "Bearer local"},
        files={"purpose": (None, "batch")},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "missing_required_parameter"


def test_an_upload_that_breaks_off_leaves_nothing(fresh_lab: Lab) -> None:
    def broken() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        yield b"x" * 100_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        httpx2.post(
            f"{fresh_lab.server.base_url}/files",
            headers={
                "authorization": "Bearer local",
                "content-type": "multipart/form-data; boundary=x",
            },
            content=broken(),
        )
    assert fresh_lab.client.files.list().data == []
    assert list((fresh_lab.server.state_dir / "files").iterdir()) == []

"""Downloads that are no result files, and rules that know the file that a call is about."""

from typing import Any

import httpx2
import openai
import pytest

from batch_assets_tests.local.batch_server.support import Lab, row, rows


def content_rule(effect: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"operation": "files.content", "effect": effect, **parts}


def download(lab: Lab, file_id: str | None) -> httpx2.Response:
    """The answer to a download as it came over the wire."""
    return httpx2.get(
        f"{lab.server.base_url}/files/{file_id}/content", headers={"authorization": "Bearer local"}
    )


def custom_ids(lab: Lab, file_id: str | None) -> set[str]:
    return {line["custom_id"] for line in lab.lines(file_id)}


@pytest.mark.parametrize(
    ("effect", "status", "content_type", "content"),
    [
        ({}, 200, "text/html; charset=utf-8", "<p>busy</p>\n" * 20),
        ({"status": 404, "content": "<h1>x</h1>"}, 404, "text/html; charset=utf-8", "<h1>x</h1>"),
        ({"content": "", "content_type": "application/octet-stream"}, 200, None, ""),
        (
            {"content": '{"error": {"code": "busy"}}', "content_type": "application/json"},
            *(200, "application/json", '{"error": {"code": "busy"}}'),
        ),
    ],
)
def test_a_body_of_no_api(
    lab: Lab, effect: dict[str, Any], status: int, content_type: str | None, content: str
) -> None:
    done = lab.run(rows(2))
    lab.configure(calls=[content_rule({"kind": "body", **effect}, count=1)])
    answer = download(lab, done.output_file_id)
    assert (answer.status_code, answer.text) == (status, content)
    assert content_type is None or answer.headers["content-type"] == content_type
    assert custom_ids(lab, done.output_file_id) == {"r1", "r2"}


def test_a_file_that_is_short_by_whole_lines(lab: Lab) -> None:
    done = lab.run(rows(5))
    lab.configure(calls=[content_rule({"kind": "first_lines", "lines": 2}, count=1)])
    assert len(lab.lines(done.output_file_id)) == 2
    assert len(lab.lines(done.output_file_id)) == 5


def test_the_lines_of_another_batch(lab: Lab) -> None:
    lab.configure(rows=[{"lines": [1], "effect": {"kind": "invalid_json"}}])
    done = lab.run(rows(3))
    whole = download(lab, done.output_file_id).text
    lab.configure(calls=[content_rule({"kind": "other_lines"}, count=1)])
    other = download(lab, done.output_file_id).text
    assert other.count("\n") == whole.count("\n") == 3
    assert ('"custom_id": "other-r2"' in other, '"custom_id": "r2"' in other) == (True, False)


def test_a_refusal_stays_one_whatever_lines_were_wanted(lab: Lab) -> None:
    lab.configure(calls=[content_rule({"kind": "other_lines"})])
    with pytest.raises(openai.NotFoundError):
        lab.client.files.content("file-unknown")


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413, 451])
def test_each_file_is_refused_so_many_times(lab: Lab, status: int) -> None:
    first, second = lab.run(rows(1)), lab.run(rows(1))
    lab.configure(
        calls=[content_rule({"kind": "answer", "status": status}, per_object=True, count=1)]
    )
    answers = [
        download(lab, done.output_file_id).status_code
        for done in (first, first, second, second, first)
    ]
    assert answers == [status, 200, status, 200, 200]


def test_only_files_of_certain_names(lab: Lab) -> None:
    done = lab.run([row("good"), row("bad", temperature=3)])
    lab.configure(calls=[content_rule({"kind": "answer", "status": 410}, filename="_error")])
    assert download(lab, done.output_file_id).status_code == 200
    assert download(lab, done.error_file_id).status_code == 410
    assert download(lab, done.input_file_id).status_code == 200


def test_a_gateway_with_a_smaller_limit(lab: Lab) -> None:
    effect = {"kind": "body", "status": 413, "content": "<h1>413</h1>"}
    lab.configure(calls=[{"operation": "files.create", "min_bytes": 10_000, "effect": effect}])
    lab.upload(b"x" * 5_000)
    with pytest.raises(openai.APIStatusError) as refused:
        lab.upload(b"x" * 10_000)
    assert (refused.value.status_code, refused.value.body) == (413, "<h1>413</h1>")
    assert list((lab.server.state_dir / "spool").iterdir()) == []

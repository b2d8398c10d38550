"""Who is let in, and what the others are told."""

from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI

from batch_assets_local.batch_server import running_server
from batch_assets_tests.local.batch_server.support import Lab, row

SECRET = "sk-secret-0123456789"


def client(lab: Lab, key: str = SECRET) -> OpenAI:
    return lab.client.with_options(api_key=key)


def test_any_key_is_let_in_at_first(lab: Lab) -> None:
    assert client(lab).models.list().data


def test_a_missing_key_is_refused(lab: Lab) -> None:
    for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}):
        answer = httpx2.get(f"{lab.server.base_url}/batches", headers=headers)
        assert answer.status_code == 401
        assert "didn't provide an API key" in answer.json()["error"]["message"]
        assert answer.headers["x-request-id"]


def test_a_refused_key_is_not_repeated(lab: Lab) -> None:
    lab.configure(keys={"refused": [SECRET]})
    with pytest.raises(openai.AuthenticationError) as refused:
        client(lab).batches.list()
    assert refused.value.code == "invalid_api_key"
    assert SECRET not in str(refused.value)
    assert SECRET[-4:] not in str(refused.value)


def test_only_accepted_keys_are_let_in(lab: Lab) -> None:
    lab.configure(keys={"accepted": ["sk-good"]})
    assert client(lab, "sk-good").models.list().data
    with pytest.raises(openai.AuthenticationError):
        client(lab).models.list()


def test_a_refused_upload_is_heard_to_its_end(lab: Lab) -> None:
    lab.configure(keys={"refused": [SECRET]})
    with pytest.raises(openai.AuthenticationError):
        client(lab).files.create(file=("a.jsonl", b"x" * 5_000_000), purpose="batch")


def test_a_key_without_permission(lab: Lab) -> None:
    lab.configure(keys={"forbidden": [SECRET]})
    with pytest.raises(openai.PermissionDeniedError):
        client(lab).batches.list()


def test_a_key_without_quota_may_read_but_not_spend(lab: Lab) -> None:
    file = lab.upload([row("r1")])
    lab.configure(keys={"without_quota": [SECRET]})
    poor = client(lab)
    assert poor.batches.list().object == "list"  # type: ignore[attr-defined] # a field of the JSON
    with pytest.raises(openai.RateLimitError) as refused:
        poor.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    assert (refused.value.type, refused.value.code) == ("insufficient_quota", "insufficient_quota")
    with pytest.raises(openai.RateLimitError):
        poor.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
        )


def test_unknown_routes_and_methods(lab: Lab) -> None:
    with pytest.raises(openai.NotFoundError, match=r"Invalid URL \(GET /v1/nonesuch\)") as unknown:
        lab.client.get("/nonesuch", cast_to=object)
    assert unknown.value.type == "invalid_request_error"
    assert unknown.value.request_id is not None
    with pytest.raises(openai.APIStatusError, match="Not allowed to PUT") as wrong:
        lab.client.put("/batches", cast_to=object)
    assert wrong.value.status_code == 405


def test_a_key_in_the_state_directory_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    with running_server(tmp_path) as server:
        own, other = (
            OpenAI(api_key=key, base_url=server.base_url, max_retries=0)
            for key in (SECRET, "sk-of-a-real-account")
        )
        with own, other:
            assert own.models.list().data
            with pytest.raises(openai.AuthenticationError):
                other.models.list()

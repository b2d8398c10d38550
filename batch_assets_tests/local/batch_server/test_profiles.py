"""The local server as other servers are on the wire, asked by the SDK and by plain HTTP."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any, get_args

import httpx2
import pytest

from batch_assets_local.batch_server import ServerConfig
from batch_assets_local.batch_server.profiles.played import PLAYED, Server
from batch_assets_tests.local.batch_server.support import Lab

SERVERS = get_args(Server)
KEY = {"authorization": "Bearer sk-test"}
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def played(lab: Lab, request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    """A client at the place where the server that is played has its API."""
    name, server = request.param, lab.server
    quirks: dict[str, Any] = {"quirks": {"file_processing_seconds": 0}}
    server.set_config(ServerConfig.instant(plays=name, **(quirks if "azure" in name else {})))
    origin = server.base_url.removesuffix("/v1")
    with httpx2.Client(base_url=origin + PLAYED[name].path, headers=KEY) as client:
        yield client


def upload(client: httpx2.Client, purpose: str, *, path: str = "/files", where: bool = True) -> Any:
    endpoint = {"method": "POST", "url": "/v1/chat/completions"} if where else {}
    line = json.dumps({"custom_id": "1", **endpoint, "body": BODY}).encode()
    files = {"file": ("input.jsonl", io.BytesIO(line + b"\n"))}
    return client.post(path, data={"purpose": purpose}, files=files)


def test_each_server_can_be_put_in_force_and_comes_back(lab: Lab) -> None:
    for name in SERVERS:
        config = ServerConfig.instant(plays=name)
        lab.server.set_config(config)
        assert ServerConfig.model_validate(json.loads(config.model_dump_json())) == config
        assert lab.server.service.config.current.plays == name


def test_quirks_that_are_given_go_before_those_that_are_usual() -> None:
    usual = ServerConfig(plays="azure").quirks
    assert usual.file_processing_seconds == 2
    assert usual.empty_error_file
    given = ServerConfig.model_validate(
        {"plays": "azure", "quirks": {"file_processing_seconds": 0}}
    ).quirks
    assert given.file_processing_seconds == 0
    assert given.empty_error_file


@pytest.mark.parametrize("played", ["together"], indirect=True)
def test_its_purpose_its_place_and_its_words(played: httpx2.Client) -> None:
    assert upload(played, "batch-api").status_code == 404
    assert upload(played, "batch", path="/files/upload", where=False).status_code == 400
    file = upload(played, "batch-api", path="/files/upload", where=False).json()
    asked = {
        "input_file_id": file["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    made = played.post("/batches", json=asked).json()
    assert set(made) == {"job", "warning"}
    assert made["job"]["status"] == made["job"]["status"].upper()
    assert made["job"]["created_at"].endswith("+00:00")
    assert "metadata" not in made["job"]
    listed = played.get("/batches").json()
    assert isinstance(listed, list)
    assert listed[0]["id"] == made["job"]["id"]
    assert played.post("/batches", json=asked | {"metadata": {}}).status_code == 400


@pytest.mark.parametrize("played", ["azure-dated"], indirect=True)
def test_a_dated_api_wants_a_version_and_a_header(played: httpx2.Client) -> None:
    version = {"api-version": "2024-10-21"}
    own_header = {"api-key": "sk-test"}
    assert played.get("/batches").status_code == 404
    assert played.get("/batches", params=version).status_code == 404
    assert played.get("/batches", headers=own_header).status_code == 404
    assert played.get("/batches", params=version, headers=own_header).status_code == 200
    live = played.post(
        "/deployments/gpt-4o-mini/chat/completions", params=version, headers=own_header, json=BODY
    )
    assert live.status_code == 200


@pytest.mark.parametrize("played", ["azure"], indirect=True)
def test_codes_are_in_camel_case_and_nothing_expires(played: httpx2.Client) -> None:
    file = upload(played, "batch").json()
    asked = {
        "input_file_id": file["id"],
        "endpoint": "/chat/completions",
        "completion_window": "24h",
    }
    refused = played.post("/batches", json=asked | {"endpoint": "/v1/chat/completions"}).json()
    assert refused["error"]["code"] == "invalidValue"
    made = played.post("/batches", json=asked).json()
    assert made["expires_at"] > time.time() + 365 * 86_400
    give_up_at = time.monotonic() + 60
    while (batch := played.get(f"/batches/{made['id']}").json())["status"] != "failed":
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    assert [error["code"] for error in batch["errors"]["data"]] == ["urlMismatch"]


@pytest.mark.parametrize("played", ["groq"], indirect=True)
def test_windows_are_those_of_the_server(played: httpx2.Client) -> None:
    file = upload(played, "batch").json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions"}
    for window, status in (("24h", 200), ("7d", 200), ("3d", 400)):
        answer = played.post("/batches", json=asked | {"completion_window": window})
        assert answer.status_code == status


@pytest.mark.parametrize("played", ["openrouter"], indirect=True)
def test_a_server_without_files_has_none(played: httpx2.Client) -> None:
    assert upload(played, "batch").status_code == 404
    assert played.get("/files").status_code == 404

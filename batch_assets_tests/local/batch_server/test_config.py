"""The configuration document: read, replaced while the server runs, refused when wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch_assets.domain.errors import ConfigurationError
from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.local.batch_server.support import Lab, echo


def test_the_document_is_shown_and_replaced(fresh_lab: Lab) -> None:
    shown = fresh_lab.control("GET", "config").json()
    assert shown["timing"]["validation_seconds"] == 0
    assert shown["limits"]["max_requests"] == 50_000
    wanted = {"limits": {"max_requests": 5}}
    assert fresh_lab.control("PUT", "config", json=wanted).status_code == 200
    shown = fresh_lab.control("GET", "config").json()
    assert shown["limits"]["max_requests"] == 5
    assert shown["timing"]["validation_seconds"] == 0.5, "what is left out has its default again"


def test_the_document_outlives_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path, config={"keys": {"refused": ["x"]}}, answerer=echo):
        pass
    assert json.loads((tmp_path / "config.json").read_text()) == {"keys": {"refused": ["x"]}}
    with running_server(tmp_path, answerer=echo) as server:
        assert server.service.config.current.keys.refused == ("x",)


@pytest.mark.parametrize(
    ("document", "telling"),
    [
        ({"timing": {"validation_second": 1}}, "timing.validation_second: Extra inputs"),
        ({"callz": []}, "callz: Extra inputs"),
        (
            {"calls": [{"operation": "batch.create", "effect": {"kind": "drop"}}]},
            "calls.0.operation",
        ),
        ({"calls": [{"operation": "*", "effect": {"kind": "explode"}}]}, "calls.0.effect"),
        (
            {"rows": [{"custom_id": "(", "effect": {"kind": "refusal"}}]},
            "rows.0.custom_id: Value error, not a regular expression",
        ),
        (
            {"rows": [{"where": "live", "effect": {"kind": "missing"}}]},
            "the effect 'missing' exists in batches only",
        ),
        (
            {"rows": [{"where": "live", "lines": [1], "effect": {"kind": "refusal"}}]},
            "a synchronous call has no custom_id and no line",
        ),
        ({"limits": {"max_requests": -1}}, "limits.max_requests"),
        (
            {"calls": [{"operation": "*", "effect": {"kind": "other_lines"}}]},
            "the effect 'other_lines' exists for files.content only",
        ),
    ],
)
def test_a_wrong_document_is_refused(lab: Lab, document: dict[str, Any], telling: str) -> None:
    refused = lab.control("PUT", "config", json=document)
    assert refused.status_code == 400
    assert telling in refused.json()["error"]["message"]
    assert lab.control("GET", "config").json()["timing"]["validation_seconds"] == 0


def test_a_wrong_document_in_the_state_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with (
        pytest.raises(ConfigurationError, match="configuration is not valid"),
        running_server(tmp_path, answerer=echo),
    ):
        pass
    (tmp_path / "config.json").unlink()
    with running_server(tmp_path, answerer=echo) as server:
        assert server.service.config.current == ServerConfig(), "no lock was left behind"


def test_the_defaults_fit_a_demo() -> None:
    timing = ServerConfig().timing
    life = timing.validation_seconds + timing.processing_seconds + timing.finalizing_seconds
    assert 2 <= life <= 4

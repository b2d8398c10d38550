"""The command on the way back: it waits with progress, can be interrupted, and goes on."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, text

from batch_assets.cli import drain as command
from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_local.batch_server.config import Timing
from batch_assets_tests.cli.conftest import Outcome, Type
from batch_assets_tests.cli.test_errors import assert_one_sentence
from batch_assets_tests.factories import make_company, make_requests

NAME = "Zorggroep Oost"


@pytest.fixture
def type_(typed: Type, configured: dict[str, str], engine: Engine, api: RunningServer) -> Type:
    """Types a command while a batch of two requests runs on the server, which ends none."""
    with engine.begin() as connection:
        make_requests(connection, make_company(connection, name=NAME), 2)
        connection.execute(
            text("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
        )

    def type_here(*arguments: str, **environ: str) -> Outcome:
        return typed(*arguments, **{**configured, **environ})

    timing = Timing.instant().model_copy(update={"hold_after_rows": 0})
    api.set_config(ServerConfig.model_validate({"timing": timing}))
    create_dagster_schema(configured["DATABASE_URL"])
    assert type_here("force", NAME, "--yes").code == 0
    return type_here


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Lets something happen where the command waits."""

    def let(happen: Callable[[], None]) -> None:
        fake = SimpleNamespace(sleep=lambda _seconds: happen())
        monkeypatch.setattr(command, "time", fake)

    return let


def test_it_waits_until_all_is_read_and_says_how_far_it_is(
    type_: Type, api: RunningServer, while_waiting: Callable[[Callable[[], None]], None]
) -> None:
    refused = type_("migrate", "--downgrade", "base")
    assert_one_sentence(refused, 8, "has work of this project under way (1 batch)")
    assert "`batch-assets drain --hand-over`" in refused.err
    assert "Under way would" not in type_("drain", "--dry-run").out
    assert "Nothing was changed." in type_("drain", "--dry-run").out

    while_waiting(lambda: api.set_config(ServerConfig.instant()))
    outcome = type_("drain")
    said = " ".join(outcome.out.split())
    assert (outcome.code, outcome.err) == (0, "")
    assert said.startswith("Submissions are stopped, until `batch-assets drain --resume`.")
    assert "Under way: 1 batch (1 on the server)." in said
    assert "Drained: nothing of this project is under way any more." in said
    assert "`batch-assets migrate --downgrade base`" in said

    held = " ".join(type_("status").out.split())
    assert "Nothing is submitted now. It is drained:" in held
    planned = " ".join(type_("plan").out.split())
    assert "Nothing. It is drained:" in planned, "it gives no other reason"
    assert "Submissions go on with the next run." in type_("drain", "--resume").out
    assert "It is drained" not in type_("status").out
    assert "Done: it was at revision" in type_("migrate", "--downgrade", "base").out


def test_it_can_be_interrupted_and_goes_on(
    type_: Type, while_waiting: Callable[[Callable[[], None]], None]
) -> None:
    def press_ctrl_c() -> None:
        raise KeyboardInterrupt

    while_waiting(press_ctrl_c)
    outcome = type_("drain")
    assert outcome.code == 130
    assert "Submissions stay stopped" in " ".join(outcome.out.split())
    assert "It is drained" in " ".join(type_("status").out.split())
    left = type_("drain", "--no-wait", "--json")
    assert left.code == 1
    document = json.loads(left.out)
    assert (document["drained"], document["left"]["running"]) == (False, 1)


def test_handing_over_is_asked_for_and_says_what_livedash_will_do(type_: Type) -> None:
    asked = type_("drain", "--hand-over")
    assert_one_sentence(asked, 2, "There is no terminal to ask on")
    assert "It is drained" not in type_("status").out, "nothing has begun"
    foreseen = " ".join(type_("drain", "--hand-over", "--dry-run").out.split())
    assert "1 batch would be LiveDash's, as IN_PROGRESS." in foreseen
    said = " ".join(type_("drain", "--hand-over", "--yes").out.split())
    assert "1 batch is LiveDash's, as IN_PROGRESS." in said
    assert_one_sentence(type_("drain", "--resume", "--hand-over"), 2, "--resume lets")
    assert "Nothing to do" not in type_("drain", "--resume", "--json").out

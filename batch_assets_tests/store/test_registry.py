"""Which installation this database is, and why nothing may be submitted from it now."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from batch_assets.domain.policy import Cooldown
from batch_assets.store.breakers import Cooldowns
from batch_assets.store.engine import open_engine
from batch_assets.store.migrate import upgrade
from batch_assets.store.registry import Registry
from batch_assets_tests.factories import make_company, make_external_batch

QUIET_SECONDS = 900.0


@pytest.fixture
def registry(database_url: str) -> Iterator[Registry]:
    """Of a database that counts as installed under another name, since it was cloned."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE batch_assets.installation SET database_name = 'where it was made'")
        )
    yield Registry(engine, QUIET_SECONDS)
    engine.dispose()


@pytest.fixture
def livedash_registry(livedash_database_url: str) -> Iterator[Registry]:
    """Of a database that LiveDash made and our migrations found."""
    upgrade(livedash_database_url)
    engine = open_engine(livedash_database_url)
    yield Registry(engine, QUIET_SECONDS)
    engine.dispose()


def external_batch(engine: Engine, age: timedelta = timedelta(0)) -> str:
    with engine.begin() as connection:
        return make_external_batch(connection, make_company(connection), age=age)


def test_a_copy_holds_everything_and_says_what_to_do(registry: Registry) -> None:
    installation = registry.installation()
    assert not installation.is_at_home
    reason = str(installation.hold_reason)
    assert "where it was made" in reason
    assert "confirm --moved" in reason
    assert "confirm --copy" in reason


def test_another_server_with_the_same_name_is_a_copy_too(registry: Registry) -> None:
    registry.make_home("me", as_copy=False)
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE batch_assets.installation SET system_identifier = '7'"))
    assert not registry.installation().is_at_home


def test_a_moved_database_stays_the_installation_that_it_was(registry: Registry) -> None:
    before = registry.installation().id
    registry.make_home("me", as_copy=False)
    after = registry.installation()
    assert (after.id, after.is_at_home, after.hold_reason) == (before, True, None)


def test_a_copy_becomes_an_installation_of_its_own(registry: Registry) -> None:
    before = registry.installation().id
    registry.make_home("me", as_copy=True)
    after = registry.installation()
    assert after.id != before
    assert (after.is_at_home, after.hold_reason) == (True, None)


def test_a_database_of_livedashs_own_waits_for_a_confirmation(
    livedash_registry: Registry,
) -> None:
    installation = livedash_registry.installation()
    assert (installation.is_at_home, installation.is_confirmed) == (True, False)
    reason = str(installation.hold_reason)
    assert "plan --dry-run" in reason
    assert "batch-assets confirm" in reason
    livedash_registry.confirm("me")
    assert livedash_registry.installation().hold_reason is None
    with livedash_registry.engine.begin() as connection:
        confirmed_by = text("SELECT confirmed_by FROM batch_assets.installation")
        assert connection.execute(confirmed_by).scalar_one() == "me"


def test_nothing_is_submitted_while_livedash_submits_beside_us(registry: Registry) -> None:
    registry.make_home("me", as_copy=False)
    external_batch(registry.engine, timedelta(seconds=QUIET_SECONDS + 60))
    assert registry.installation().hold_reason is None
    external_batch(registry.engine, timedelta(seconds=QUIET_SECONDS - 60))
    external_batch(registry.engine)
    installation = registry.installation()
    assert installation.external_batches == 2
    reason = str(installation.hold_reason)
    assert "its create timer has bought batches (2 seen)" in reason
    assert "Start LiveDash's server without OPENAI_API_KEY" in reason
    assert "BATCH_PROCESSING_ENABLED" not in reason, "nothing in LiveDash reads it"


def test_a_batch_that_we_watch_for_livedash_is_still_livedashs(registry: Registry) -> None:
    registry.make_home("me", as_copy=False)
    batch_id = external_batch(registry.engine)
    insert = """
        INSERT INTO batch_assets.batch (id, installation_id, company_id, state, requests)
        SELECT :id, :installation, l."companyId", 'claimed', 0
        FROM public."AIBatchRequest" AS l WHERE l.id = :id
    """
    with registry.engine.begin() as connection:
        connection.execute(text(insert), {"id": batch_id, "installation": None})
    assert registry.installation().external_batches == 1
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE batch_assets.batch SET installation_id = 'ours'"))
    assert registry.installation().external_batches == 0


PAUSES: dict[str, Callable[[Registry, Cooldown], None]] = {
    "model": lambda registry, rest: registry.cool_model("m", rest),
    "account": lambda registry, rest: registry.cool_account(rest),
}


@pytest.mark.parametrize("what", PAUSES)
class TestRests:
    """Of a model and of the account alike."""

    def left(self, registry: Registry, what: str) -> float:
        left = f"SELECT extract(epoch FROM until - now())::float8 FROM batch_assets.{what}_cooldown"
        with registry.engine.begin() as connection:
            return float(connection.execute(text(left)).scalar_one())

    def let_go_by(self, registry: Registry, what: str, interval: str) -> None:
        ended = f"UPDATE batch_assets.{what}_cooldown SET until = now() - interval '{interval}'"
        with registry.engine.begin() as connection:
            connection.execute(text(ended))

    def test_the_longer_one_stays(self, registry: Registry, what: str) -> None:
        for asked, left in ((600, 600), (60, 600), (1_200, 1_200)):
            PAUSES[what](registry, Cooldown(asked, 21_600, "why"))
            assert self.left(registry, what) == pytest.approx(left, abs=10)

    def test_one_that_follows_upon_another_is_twice_as_long(
        self, registry: Registry, what: str
    ) -> None:
        for left in (600, 1_200, 2_400, 4_800, 9_000, 9_000):
            PAUSES[what](registry, Cooldown(600, 9_000, "why"))
            PAUSES[what](registry, Cooldown(600, 9_000, "why"))
            assert self.left(registry, what) == pytest.approx(left, abs=10), "asked twice is once"
            self.let_go_by(registry, what, "59 minutes")

    def test_after_a_while_it_begins_anew(self, registry: Registry, what: str) -> None:
        PAUSES[what](registry, Cooldown(600, 21_600, "why"))
        self.let_go_by(registry, what, "61 minutes")
        PAUSES[what](registry, Cooldown(600, 21_600, "why"))
        assert self.left(registry, what) == pytest.approx(600, abs=10)


def test_an_account_that_rests_holds_submissions(registry: Registry) -> None:
    registry.make_home("a test", as_copy=False)
    assert registry.installation().hold_reason is None
    registry.cool_account(Cooldown(600, 600, "insufficient_quota"))
    held = registry.installation().hold_reason
    assert held is not None
    assert held.startswith(
        "The API refuses the account (insufficient_quota), so it is in cooldown until 20"
    )
    assert "`batch-assets reset account`" in held
    assert Cooldowns(registry.engine).end_account_cooldown()
    assert registry.installation().hold_reason is None
    assert not Cooldowns(registry.engine).end_account_cooldown()

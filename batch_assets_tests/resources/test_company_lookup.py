"""How long an answer lives, when the database is asked, and a file that cannot be used."""

import itertools
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batch_assets.domain.errors import BatchAssetsError, DatabaseUnavailableError
from batch_assets.domain.records import Company
from batch_assets.resources import company_lookup
from batch_assets.resources.company_file import CompanyFile, Instant
from batch_assets.resources.company_lookup import ActiveCompanies, CompanyCache
from batch_assets_local import locks

CANARY = "canary-61fa"
DATABASE = f"postgresql://livedash:{CANARY}@db.example.com/livedash"
START = Instant(wall_seconds=1_000_000, uptime_seconds=5_000)
LIFETIME_SECONDS = 300.0


@dataclass
class Host:
    """A host with a clock that the test sets, and a database whose companies it decides."""

    directory: Path
    at: Instant = START
    active: list[str] = field(default_factory=lambda: ["c1", "c2"])
    asked: int = 0
    is_down: bool = False
    warnings: list[str] = field(default_factory=list)

    def later(self, seconds: float) -> None:
        self.at = Instant(self.at.wall_seconds + seconds, self.at.uptime_seconds + seconds)

    def ask(self) -> list[Company]:
        self.asked += 1
        if self.is_down:
            raise DatabaseUnavailableError(CANARY)
        return [Company(one, f"Company {one}") for one in self.active]

    def cache(self, *, url: str = DATABASE, lifetime: float = LIFETIME_SECONDS) -> CompanyCache:
        """That of a new run."""
        return CompanyCache(
            CompanyFile(self.directory, url),
            self.ask,
            lifetime_seconds=lifetime,
            warn=self.warnings.append,
            now=lambda: self.at,
            wait_seconds=0.1,
        )

    def look_up(self, *, url: str = DATABASE) -> ActiveCompanies:
        """A new run, and what it finds."""
        return self.cache(url=url).active()

    @property
    def file(self) -> Path:
        (found,) = self.directory.glob("*.json")
        return found

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While it lasts, another process holds the lock."""
        (path,) = self.directory.glob("*.lock")
        descriptor = locks.try_lock(path)
        assert descriptor is not None
        try:
            yield
        finally:
            os.close(descriptor)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "spool" / "companies")


@pytest.fixture
def warm(host: Host) -> Host:
    """With an answer that was asked for just now."""
    assert host.look_up().misses == 1
    host.asked = 0
    return host


def ids(found: ActiveCompanies) -> list[str]:
    return [company.id for company in found.companies]


def test_a_first_run_asks_and_reports_every_number(host: Host) -> None:
    assert host.look_up().numbers == {
        "active_companies": 2,
        "lookup_hits": 0,
        "lookup_misses": 1,
        "lookup_refreshes": 1,
        "lookup_age_seconds": 0.0,
        "lookup_wait_seconds": pytest.approx(0, abs=0.1),
        "lookup_bytes": host.file.stat().st_size,
    }
    assert host.look_up().hits == 1
    assert host.asked == 1


@pytest.mark.parametrize(
    ("age", "hits", "asked"), [(150, 1, 0), (150.1, 1, 1), (299.9, 1, 1), (300, 0, 1), (1e6, 0, 1)]
)
def test_an_answer_is_given_until_its_life_is_over(
    warm: Host, age: float, hits: int, asked: int
) -> None:
    warm.later(age)
    found = warm.look_up()
    assert (found.hits, found.misses) == (hits, 1 - hits)
    assert found.age_seconds == pytest.approx(age if hits else 0)
    assert found.refreshes == warm.asked == asked
    again = warm.look_up()
    assert again.hits == 1
    assert again.age_seconds == pytest.approx(0 if asked else age)
    assert warm.asked == asked


@pytest.mark.parametrize(
    ("wall", "uptime", "hits"),
    [(100, 100, 1), (-100, 200, 0), (100, 400, 0), (400, 10, 0), (100, -4_000, 0), (-1, -1, 0)],
    ids=["as usual", "set back", "set back a bit", "saved and restored", "booted", "all future"],
)
def test_no_clock_makes_an_answer_live_longer(
    warm: Host, wall: float, uptime: float, hits: int
) -> None:
    warm.at = Instant(START.wall_seconds + wall, START.uptime_seconds + uptime)
    assert warm.look_up().hits == hits


def test_an_answer_is_as_old_as_its_question(host: Host) -> None:
    def ask_slowly() -> list[Company]:
        found = host.ask()
        host.later(200)
        return found

    cache = CompanyCache(
        CompanyFile(host.directory, DATABASE),
        ask_slowly,
        lifetime_seconds=LIFETIME_SECONDS,
        warn=host.warnings.append,
        now=lambda: host.at,
    )
    cache.active()
    assert host.look_up().age_seconds == 200


def test_a_change_is_seen_once_the_answer_before_it_is_too_old(warm: Host) -> None:
    warm.active = ["c3"]
    warm.later(LIFETIME_SECONDS - 1)
    with warm.busy():
        assert ids(warm.look_up()) == ["c1", "c2"]
    warm.later(1)
    assert ids(warm.look_up()) == ["c3"]


def test_a_change_is_seen_at_once_after_a_refresh(warm: Host) -> None:
    warm.active = ["c3"]
    assert ids(warm.look_up()) == ["c1", "c2"]
    refreshed = warm.cache().refresh()
    assert (refreshed.misses, refreshed.refreshes) == (1, 1)
    assert ids(refreshed) == ids(warm.look_up()) == ["c3"]


def test_no_company_is_an_answer_too(warm: Host) -> None:
    warm.active = []
    warm.cache().refresh()
    found = warm.look_up()
    assert (found.hits, found.companies) == (1, ())


def test_only_one_process_asks_ahead(warm: Host) -> None:
    warm.later(200)
    with warm.busy():
        found = warm.look_up()
    assert (found.hits, found.refreshes, found.wait_seconds) == (1, 0, 0.0)
    assert warm.asked == 0
    assert warm.look_up().refreshes == 1


def test_nobody_waits_long_for_a_process_that_hangs(warm: Host) -> None:
    warm.later(LIFETIME_SECONDS)
    with warm.busy():
        found = warm.look_up()
    assert (found.misses, found.refreshes) == (1, 0)
    assert 0.1 <= found.wait_seconds < 1
    assert warm.look_up().misses == 1


def test_a_refresh_waits_for_who_asks_already(warm: Host) -> None:
    holding, end = threading.Event(), threading.Event()

    def hold() -> None:
        with warm.busy():
            holding.set()
            end.wait(10)
            # What it was told before the change comes into the file after it.
            warm.file.write_bytes(old)

    old = warm.file.read_bytes()
    other = threading.Thread(target=hold)
    other.start()
    holding.wait(10)
    warm.active = ["c3"]
    threading.Timer(0.2, end.set).start()
    assert ids(warm.cache().refresh()) == ["c3"]
    other.join()
    assert ids(warm.look_up()) == ["c3"]


def test_a_refresh_says_when_it_cannot_be_done(warm: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company_lookup, "REFRESH_WAIT_SECONDS", 0.1)
    with warm.busy(), pytest.raises(BatchAssetsError, match="Another process has been asking"):
        warm.cache().refresh()
    assert warm.asked == 0
    warm.directory.chmod(0o755)
    with pytest.raises(BatchAssetsError, match="the directory is open to other users"):
        warm.cache().refresh()


def test_a_database_that_is_down_is_told_only_when_it_is_needed(warm: Host) -> None:
    warm.is_down = True
    warm.later(200)
    found = warm.look_up()
    assert (found.hits, found.refreshes) == (1, 0)
    (warning,) = warm.warnings
    assert "(DatabaseUnavailableError)" in warning
    assert CANARY not in warning
    warm.later(100)
    for look_up in (warm.look_up, warm.cache().refresh):
        with pytest.raises(DatabaseUnavailableError):
            look_up()
    warm.is_down = False
    assert warm.look_up().refreshes == 1


def test_after_a_refresh_that_failed_the_old_answer_is_gone(warm: Host) -> None:
    warm.is_down = True
    with pytest.raises(DatabaseUnavailableError):
        warm.cache().refresh()
    warm.is_down = False
    assert warm.look_up().misses == 1


def test_a_lifetime_of_nothing_keeps_nothing(host: Host) -> None:
    for _ in range(2):
        found = host.cache(lifetime=0).active()
        assert (found.misses, found.refreshes, found.bytes) == (1, 0, 0)
    host.cache(lifetime=0).refresh()
    assert host.asked == 3
    assert not list(host.directory.glob("*.json"))


def test_nobody_else_may_read_it_and_it_holds_ids_and_names_only(warm: Host) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in warm.directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {Path(name).suffix for name in modes} == {".json", ".lock"}
    for directory in (warm.directory, warm.directory.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    content = json.loads(warm.file.read_bytes())
    assert set(content) == {"form", "database", "asked_at", "companies"}
    assert content["companies"][0] == {"id": "c1", "name": "Company c1"}
    assert CANARY not in warm.file.read_text()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://livedash@db.example.com/other",
        "postgresql://livedash@db.example.org/livedash",
        "postgresql://livedash@db.example.com:5433/livedash",
        "postgresql://another@db.example.com/livedash",
        "postgresql://livedash@/livedash?host=/run/postgresql",
    ],
)
def test_another_database_never_sees_it(warm: Host, url: str) -> None:
    assert warm.look_up(url=url).misses == 1
    assert warm.look_up(url=DATABASE).hits == 1


def test_the_environment_may_lead_to_another_database(
    warm: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for server in ("one.example.com", "another.example.com"):
        monkeypatch.setenv("PGHOST", server)
        found.append(warm.look_up(url="postgresql:///livedash").misses)
    assert found == [1, 1]


def test_a_new_password_leads_to_the_same_database(warm: Host) -> None:
    assert warm.look_up(url="postgresql://livedash:new@db.example.com:5432/livedash").hits == 1


def damage(host: Host) -> None:
    host.file.write_bytes(host.file.read_bytes()[:-20])


def give_another_form(host: Host) -> None:
    host.file.write_text(host.file.read_text().replace('"form":1', '"form":2'))


def bring_from_elsewhere(host: Host) -> None:
    (own,) = host.directory.glob("*.json")
    host.look_up(url="postgresql://livedash@db.example.com/other")
    (other,) = set(host.directory.glob("*.json")) - {own}
    other.replace(own)


def open_file(host: Host) -> None:
    host.file.chmod(0o644)


def put_link(host: Host) -> None:
    path = host.file
    path.symlink_to(path.rename(host.directory.parent / "real"))


def put_directory(host: Host) -> None:
    path = host.file
    path.unlink()
    path.mkdir()


def put_lock_directory(host: Host) -> None:
    (lock,) = host.directory.glob("*.lock")
    lock.unlink()
    lock.mkdir()
    host.file.unlink()


def open_directory(host: Host) -> None:
    host.directory.chmod(0o755)


def put_file_for_directory(host: Host) -> None:
    host.directory.rename(host.directory.with_name("moved"))
    host.directory.write_bytes(b"")


HEALS = [damage, give_another_form, bring_from_elsewhere, open_file, put_link]
STAYS = [put_directory, put_lock_directory, open_directory, put_file_for_directory]


@pytest.mark.parametrize(
    ("spoil", "heals"),
    [*zip(HEALS, itertools.repeat(True)), *zip(STAYS, itertools.repeat(False))],
)
def test_a_file_that_cannot_be_used_is_told_and_the_database_asked(
    warm: Host, spoil: Callable[[Host], None], heals: bool
) -> None:
    spoil(warm)
    warm.asked = 0
    found = warm.look_up()
    assert ids(found) == ["c1", "c2"]
    assert (found.misses, found.refreshes, warm.asked) == (1, int(heals), 1)
    (warning,) = warm.warnings
    assert warning.startswith(f"The file of the active companies in {warm.directory} cannot be")
    assert "Company c" not in warning
    assert warm.look_up().hits == int(heals)


def test_another_users_file_is_not_read(warm: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: warm.file.stat().st_uid + 1)
    assert warm.look_up().misses == 1
    assert "the directory belongs to another user" in warm.warnings[0]

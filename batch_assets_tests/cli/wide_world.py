"""A database whose names, ids and numbers are longer than terminals are wide, and hostile."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine

from batch_assets.store.dagster_schema import create_dagster_schema
from batch_assets.store.strategy import choose_queries
from batch_assets.store.urls import application_url
from batch_assets_local.batch_server import RunningServer, ServerConfig
from batch_assets_local.batch_server.config import Timing
from batch_assets_tests.cli.conftest import KEY
from batch_assets_tests.cli.terminals import Typist, typing
from batch_assets_tests.factories import make_company, make_requests
from batch_assets_tests.store.queries.support import PERMANENT, Desk, failed

LONG = r"=\x1b[2J\x9b2J\u202e[red]<b>**@here$x$`%s" + "Krankenhausverbundgesellschaft" * 4
"""As it is shown: more than 120 characters without a blank."""
SPACED = "Stichting Samenwerkende Zorggroepen van Noord- en Midden-Limburg en Omstreken"
WIDE = "東京介護サービス株式会社"
COMBINING = "Cre\u0300che Noe\u0308l d'E\u0301te\u0301"
NAMES = (LONG, SPACED, WIDE, COMBINING)
"""As commands show them."""
KEPT_AS = {
    LONG: LONG.encode().decode("unicode_escape"),
    SPACED: SPACED.replace(" ", "\n", 1).replace(" ", "\r", 1).replace(" ", "\u2028", 1),
}
"""How those are in the database that are shown otherwise."""
TOKENS = 1_234_567_890_123
"""Of thirteen digits."""
TOKENS_SHOWN = "1,234,567.89 M"


@dataclass
class World:
    """What was made, and the environment that leads to it."""

    environ: dict[str, str]
    company_ids: dict[str, str] = field(default_factory=dict)
    """By name; the last one has 60 characters."""
    dead: list[str] = field(default_factory=list)
    """Dead letters of the company with the long name; ids of 60 characters."""
    waiting: list[str] = field(default_factory=list)
    """Requests of the company with the wide name that wait; ids of 60 characters."""
    lost: str = ""
    """A request that says it is in a batch and is in none."""
    batch_id: str = ""
    """On the server, of the company with the long name."""
    openai_id: str = ""
    month: str = ""
    """In which that was sent."""

    @property
    def words(self) -> list[str]:
        """Names, ids and paths that no width may break."""
        ids = [*self.company_ids.values(), *self.dead, *self.waiting, self.lost]
        paths = [self.environ["DAGSTER_HOME"], self.environ["BATCH_SPOOL_DIR"]]
        return [*NAMES, *ids, self.batch_id, self.openai_id, *paths]


def make_world(
    typist: Typist, database_url: str, api: RunningServer, home: str, spool: Path
) -> World:
    """Fill a migrated database: dead letters, what waits and is under way, and a violation."""
    world = World(
        {
            "DATABASE_URL": database_url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": api.base_url,
            "DAGSTER_HOME": home,
            "BATCH_SPOOL_DIR": str(spool),
            "BATCH_MAX_WAIT_MINUTES": "10080",
        }
    )
    create_dagster_schema(database_url)
    engine = create_engine(application_url(database_url), connect_args={"prepare_threshold": None})
    desk = Desk(engine, choose_queries(engine, optimized=True))
    desk.do("UPDATE batch_assets.installation SET confirmed_at = CURRENT_TIMESTAMP")
    with engine.begin() as connection:
        for name in NAMES:
            company_id = _id_of_60("company") if name == COMBINING else None
            made = make_company(connection, name=KEPT_AS.get(name, name), company_id=company_id)
            world.company_ids[name] = made
        long_id = world.company_ids[LONG]
        world.dead = make_requests(connection, long_id, 3, prefix=_id_of_60("dead")[:-3])
    _kill(desk, long_id, world.dead)
    with engine.begin() as connection:
        make_requests(connection, long_id, 2)
        wide_id = world.company_ids[WIDE]
        world.waiting = make_requests(connection, wide_id, 9, prefix=_id_of_60("wait")[:-3])
        (world.lost,) = make_requests(
            connection, world.company_ids[COMBINING], 1, prefix=_id_of_60("lost")[:-3]
        )
    timing = Timing.instant().model_copy(update={"hold_after_rows": 0})
    api.set_config(ServerConfig.model_validate({"timing": timing}))
    _force(typist, world, long_id)
    with engine.begin() as connection:
        make_requests(connection, world.company_ids[SPACED], 14)
    desk.do(
        'UPDATE public."AIProcessingRequest" SET "processingStatus" = \'BATCHING_IN_PROGRESS\''
        " WHERE id = :id",
        id=world.lost,
    )
    desk.do(
        "UPDATE batch_assets.batch SET prompt_tokens = :tokens, cost_eur = 98765432.1,"
        " synchronous_cost_eur = 197530864.2,"
        " cancelled_at = clock_timestamp() - interval '50 hours'"
        " WHERE id = :id",
        tokens=TOKENS,
        id=world.batch_id,
    )
    world.month = desk.value(
        "SELECT to_char(b.claimed_at AT TIME ZONE 'UTC', 'YYYY-MM') FROM batch_assets.batch AS b"
        " WHERE b.id = :id",
        id=world.batch_id,
    )
    engine.dispose()
    return world


def _id_of_60(kind: str) -> str:
    return f"{kind}-" + "0123456789abcdef" * 3 + "x" * (60 - len(kind) - 1 - 48)


def _kill(desk: Desk, company_id: str, request_ids: list[str]) -> None:
    """Let the company's requests fail for good in a batch."""
    desk.queries.notice_pending(10_000)
    (claimed,) = desk.claim(company_id).batches
    desk.upload(claimed.lease)
    desk.submit(claimed)
    desk.end(desk.in_flight(claimed.id))
    lease = desk.take(claimed.id).lease
    desk.write(lease, [failed(request_id, PERMANENT) for request_id in request_ids])
    desk.finalize(lease)


def _force(typist: Typist, world: World, company_id: str) -> None:
    """Send a company's requests in a batch, which the server does not begin with."""
    with typing(typist, None, world.environ) as type_:
        sent = type_("force", company_id, "--yes", "--json")
    (batch,) = json.loads(sent.text)["batches_sent"]
    world.batch_id, world.openai_id = batch["batch_id"], batch["openai_batch_id"]

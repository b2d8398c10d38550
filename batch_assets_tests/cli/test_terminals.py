"""Every command on a terminal of 80 and of 50 columns, and in a pipe: all is there, and fits.

The world's names and ids are longer than these terminals are wide, and one would steer them.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from wcwidth import wcswidth

from batch_assets.project_files import PROJECT_DIR
from batch_assets_local.batch_server import ServerConfig, running_server
from batch_assets_tests.cli.dev_program import free_port
from batch_assets_tests.cli.every_command import every_command
from batch_assets_tests.cli.terminals import Environ, PipedTyping, Seen, Typing, Typist, typing
from batch_assets_tests.cli.wide_world import (
    COMBINING,
    KEPT_AS,
    LONG,
    NAMES,
    SPACED,
    TOKENS_SHOWN,
    WIDE,
    World,
    make_world,
)
from batch_assets_tests.databases import TestDatabases
from batch_assets_tests.hostile_text import hidden_in

pytestmark = pytest.mark.xdist_group("terminals")

WIDTHS = [80, 50, None]
STACK = "of-the-tests-of-terminals"
LOCAL = {"BATCH_LOCAL_STACK": STACK}
EXCEPTION = ("Traceback", "Error:", "Exception", "unexpected error")


@dataclass(frozen=True)
class Case:
    """A command; what has to be read in what it says, and its exit code."""

    command: str
    code: int = 0
    parts: tuple[str, ...] = ()
    answer: str = ""
    environ: Environ = field(default_factory=dict)
    code_in_pipe: int | None = None


CASES = [
    Case("status", parts=(*NAMES, TOKENS_SHOWN, " submitted (")),
    Case(
        "status",
        2,
        parts=("DAGSTER_HOME is 'here': it must be an absolute path.",),
        environ={"DAGSTER_HOME": "here"},
    ),
    Case(
        "status",
        parts=("Batches an hour:", "no other batch is created before 20", "BATCH_HOURLY_BATCHES"),
        environ={"BATCH_HOURLY_BATCHES": "1"},
    ),
    Case("doctor", 10, parts=("Attention. ", "No daemon has ever run", "To do:")),
    Case("doctor", 11, parts=("Not well.", "a whole number"), environ={"BATCH_MIN_SIZE": "x"}),
    Case("settings", parts=("BATCH_MIN_SIZE", "a whole number from 1 to 50,000", "none")),
    Case(
        "settings DATABASE_URL BATCH_DEPLOYMENTS",
        parts=("DATABASE_URL", "set", "Prisma's URL", "mine=gpt-4o"),
        environ={"BATCH_DEPLOYMENTS": "mine=gpt-4o"},
    ),
    Case("settings BATCH_MINSIZE", 2, parts=("'BATCH_MINSIZE'", "BATCH_MIN_SIZE.")),
    Case("plan --dry-run", parts=("What a run of the job would send now", SPACED)),
    Case("plan --dryrun", 2, parts=("--dryrun", "--dry-run")),
    Case("force", 2, parts=("COMPANY",)),
    Case("plan", parts=("What a run of the job would send now", SPACED)),
    Case("companies --refresh", parts=(*NAMES, "{long_id}", "{combining_id}")),
    Case("companies", parts=(*NAMES, "{long_id}", "{combining_id}", "4 companies are active")),
    Case("companies --company {long_id}", parts=(LONG, "{long_id}", "ACTIVE", "1 company.")),
    Case("companies --since 1h --state active", parts=(LONG, "{long_id}")),
    Case("batches", parts=("{batch}", "{openai}", LONG, "submitted", "Claimed")),
    Case("batches --state open --limit 1", parts=("perhaps of more",)),
    Case("batches --company {long_id} --format csv", parts=("openai_batch_id", "{batch}")),
    Case("alerts", parts=("raised.",)),
    Case("runs --company {long_id}", parts=("batch-assets logs RUN",)),
    Case("logs none", 2, parts=("No run has the id 'none'",)),
    Case("audit", 1, parts=(*NAMES, "in_batch_without_batch: 1", "{lost}", "cost_eur of")),
    Case("batch {batch}", parts=("{batch}", "{openai}", LONG, TOKENS_SHOWN)),
    Case("batch {batch_begins}", parts=("{batch}", "{openai}", LONG)),
    Case("batch {openai_begins}", parts=("{batch}", "{openai}", LONG)),
    Case("batch none", 2, parts=("No batch has the id 'none'", "`batch-assets batches` lists")),
    Case("cancel {batch} --dry-run", parts=("{batch}", "{openai}", LONG)),
    Case(
        "cancel {openai}",
        1,
        parts=("Cancel this batch? [y/N]:", "{batch}", "{openai}", LONG),
        answer="n",
        code_in_pipe=2,
    ),
    Case("abandon {batch} --older-than 0m", 1, parts=("{batch}", LONG, "it is not lost")),
    Case(
        "abandon {openai} --force --older-than 0m",
        1,
        parts=("{batch}", LONG, "2 d after it was cancelled", "for about", "Give this batch up?"),
        answer="n",
        code_in_pipe=2,
    ),
    Case(
        "abandon {batch} --force --older-than 0m",
        1,
        parts=("{batch}", LONG, "(BATCH_STUCK_HOURS), `batch-assets abandon"),
        environ={"BATCH_STUCK_HOURS": "72"},
    ),
    Case("force {wide} --dry-run", parts=("Would send 9 requests", WIDE)),
    Case(
        "force {spaced_id} --yes",
        2,
        parts=("/proc/nowhere", "set BATCH_SPOOL_DIR to another place."),
        environ={"BATCH_SPOOL_DIR": "/proc/nowhere"},
    ),
    Case("force {long_id}", 0, parts=(f"Nothing of {LONG} waits to be sent.",)),
    Case(
        "force {spaced_id} --yes --max-requests 1", parts=("Sent 1 request of", "OpenAI", "batch_")
    ),
    Case("mode", parts=("Runs use the optimized queries while they are faster and succeed",)),
    Case("mode quick", 2, parts=("There is no mode 'quick'",)),
    Case("compare", parts=("statistics", "Nothing was changed.")),
    Case("reset --dry-run", parts=("Nothing to do",)),
    Case("reset-stages --dry-run", parts=("Nothing to do: each stage says",)),
    Case("drain --dry-run", parts=("Submissions would be stopped.", "under way")),
    Case("dead-letters list", parts=("{dead0}", "{dead1}", "{dead2}", LONG, "refused")),
    Case("dead-letters list --limit 1", parts=("--after {dead2}", "1 of 3 dead letters.")),
    Case("dead-letters show {dead0}", parts=("{dead0}", LONG, "The model refused to answer.")),
    Case("dead-letters requeue --all --dry-run", parts=(LONG, "Nothing was changed")),
    Case("dead-letters requeue {wait0}", 1, parts=("{wait0}", "is no dead letter")),
    Case("synchronous --all --dry-run", parts=(LONG, "Synchronous requests are off")),
    Case("live --all --dry-run", parts=("is called `batch-assets synchronous`", LONG)),
    Case("prune --dry-run", parts=("Would delete what is older than",)),
    Case("prune", 1, parts=("Nothing was deleted.",), answer="n", code_in_pipe=2),
    Case("confirm", parts=("are allowed already",)),
    Case("migrate", parts=("Nothing to do: it is at revision",)),
    Case("export --from 7d", parts=('"metrics"',)),
    Case("export --format csv --companies", parts=("company_id",)),
    Case("export --by month,company,model", parts=('"billed_eur"',)),
    Case(
        "reconcile --month {month} --usd 150",
        1,
        parts=("They differ: the invoice has", "gpt-4o-mini", "EUR not all USD are known"),
    ),
    Case("reconcile --month 2020-01 --usd 0", parts=("Nothing was sent in 2020-01.",)),
    Case("account", 2, parts=("list", "assign")),
    Case("account list", parts=("default", "All other companies")),
    Case("account assign {long_id} default", parts=(LONG, "is served by the account default")),
    Case("budgets", parts=("No budget is set", "`batch-assets budget set month 250 --all`")),
    Case("budget", 2, parts=("set", "clear", "import")),
    Case("budget set month 0.0001 --company {long_id}", parts=(LONG, "may spend 0.0001 EUR")),
    Case("budget set day 25000000 --all", parts=("All companies may spend 25,000,000.00 EUR",)),
    Case("budgets", parts=(LONG, "all companies", "25,000,000.00", "Begins anew")),
    Case("budget clear month --company {long_id}", parts=(LONG, "is taken back")),
    Case("budget clear day --all", parts=("is taken back: it was 25,000,000.00 EUR",)),
    Case("budget clear day --all", 2, parts=("There is no budget of all companies for a day",)),
    Case("budget import /proc/nowhere.csv", 2, parts=("/proc/nowhere.csv cannot be read",)),
    Case("local stop", parts=(f"The local stack {STACK} is stopped",), environ=LOCAL),
    Case("local reset", parts=(f"There is no local stack {STACK}",), environ=LOCAL),
    Case("dev --port {port}", 2, parts=("Port {port} of 127.0.0.1 is in use",)),
    Case("exporter --port {port}", 2, parts=("Port {port} of 127.0.0.1 is in use",)),
    Case("serve --port {port}", 2, parts=("Port {port} of 127.0.0.1 is in use",)),
    Case("serve --port 0", 2, parts=("'0' is no",)),
    Case("code-server --port {port}", 2, parts=("Port {port} of 127.0.0.1 is in use",)),
    Case("budgets", parts=("No budget is set",)),
    Case("budget set month 1000000 --company {long_id}", parts=(LONG,)),
    Case("budget clear month --company {long_id}", parts=(LONG,)),
    Case("budget import /proc/nowhere", 2, parts=("/proc/nowhere",)),
    Case("webserver --port {port}", 2, parts=("Port {port} of 127.0.0.1 is in use",)),
    Case("webserver --host fe80::1", 2, parts=("'fe80::1' is no address of this machine",)),
    Case(
        "webserver --port {free}",
        3,
        parts=("does not answer: start the server, or check host and port in DATABASE_URL.",),
        environ={"DATABASE_URL": "postgresql://livedash@127.0.0.1:9/livedash"},
    ),
    Case(
        "daemon",
        2,
        parts=("OPENAI_API_KEY is missing although", "for the local stack."),
        environ={"OPENAI_API_KEY": None},
    ),
    Case(
        "run",
        parts=("ingest_results", "check_row_conservation"),
        environ={"BATCH_RUN_MAX_REQUESTS": "0"},
    ),
]
TYPED_ELSEWHERE = {"", "demo"}
"""The help that is shown where nothing is typed, and what has tests of its own. What else goes on
until it is ended is typed here where it cannot."""


@pytest.fixture(scope="module")
def world(
    databases: TestDatabases, typist: Typist, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    url = databases.clone_migrated()
    place = tmp_path_factory.mktemp("terminals")
    home = place / "dagster"
    home.mkdir()
    text = (PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(text.replace(".local/dagster", str(home)), encoding="utf-8")
    with running_server(place / "server", config=ServerConfig.instant()) as api:
        yield make_world(typist, url, api, str(home), place / "spool")
    databases.drop(url)


@pytest.fixture(scope="module", params=WIDTHS, ids=["80 columns", "50 columns", "pipe"])
def type_(
    request: pytest.FixtureRequest, typist: Typist, world: World
) -> Iterator[Typing | PipedTyping]:
    with typing(typist, request.param, world.environ) as opened:
        yield opened


@pytest.fixture(scope="module")
def filled(world: World, used_port: int) -> Callable[[str], str]:
    """Puts the world's ids into a text."""
    numbered = {f"dead{number}": one for number, one in enumerate(world.dead)}

    def fill(text: str) -> str:
        return text.format(
            batch=world.batch_id,
            batch_begins=world.batch_id[:9],
            openai_begins=world.openai_id[:20],
            openai=world.openai_id,
            lost=world.lost,
            long_id=world.company_ids[LONG],
            combining_id=world.company_ids[COMBINING],
            spaced_id=world.company_ids[SPACED],
            wide=WIDE,
            month=world.month,
            wait0=world.waiting[0],
            port=used_port,
            free=free_port(),
            **numbered,
        )

    return fill


@pytest.fixture(scope="module")
def used_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield int(listening.getsockname()[1])


def test_every_command_is_typed_here() -> None:
    typed = {
        name
        for name in every_command()
        if any(f"{case.command} ".startswith(f"{name} ") for case in CASES)
    }
    assert set(every_command()) - typed == TYPED_ELSEWHERE


@pytest.mark.parametrize("command", every_command())
def test_help(type_: Typing | PipedTyping, command: str) -> None:
    seen = type_(*command.split(), "--help")
    assert seen.code == 0
    assert is_read_in(f"Usage: batch-assets {command}".strip(), seen)
    assert "…" not in seen.text.replace("batch_…", "")
    assert max(map(wcswidth, seen.lines)) <= (type_.columns or 80)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command)
def test_what_a_command_says(
    type_: Typing | PipedTyping, world: World, filled: Callable[[str], str], case: Case
) -> None:
    is_terminal = type_.columns is not None
    arguments = filled(case.command).split()
    seen = type_(*arguments, answer=case.answer if is_terminal else "", environ=case.environ)

    code = case.code if is_terminal or case.code_in_pipe is None else case.code_in_pipe
    assert seen.code == code, seen.text
    if code == case.code:
        for part in map(filled, case.parts):
            assert is_read_in(part, seen), (part, seen.text)
    for word in EXCEPTION:
        assert word not in seen.text
    assert hidden_in(seen.text, allowed="\n") == []
    if not (case.command.startswith("export") or "csv" in case.command):
        assert too_wide(seen, world) == []


@pytest.mark.parametrize(
    "environ",
    [
        {"TERM": "dumb"},
        {"TERM": "unknown", "NO_COLOR": "1"},
        {"TERM": "no-such-terminal", "COLUMNS": "0"},
        {"TERM": None, "COLUMNS": "100000"},
        {"TERM": "vt100", "COLUMNS": "-3"},
        {"TERM": "screen", "COLUMNS": "abc"},
        {"CI": "true", "COLUMNS": "1"},
    ],
)
def test_terminals_of_any_kind(type_: Typing | PipedTyping, world: World, environ: Environ) -> None:
    seen = type_("companies", environ=environ)
    assert (seen.code, too_wide(seen, world)) == (0, [])
    for word in (*NAMES, *world.company_ids.values()):
        assert word in seen.text
    usual = type_("companies", "--help")
    assert type_("companies", "--help", environ=environ).text == usual.text or type_.columns is None


def test_an_encoding_without_these_letters(world: World) -> None:
    def said(*options: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "batch_assets.cli", "companies", *options],
            cwd=PROJECT_DIR,
            env={**os.environ, **world.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "0"},
            encoding="ascii",
            capture_output=True,
            check=True,
        ).stdout

    assert WIDE.encode("ascii", "backslashreplace").decode() in said()
    names = {company["name"] for company in json.loads(said("--json"))["active_companies"]}
    assert names == {KEPT_AS.get(name, name) for name in NAMES}


def is_read_in(part: str, seen: Seen) -> bool:
    """Whether a name, an id or a number is there in one piece, and other words in their order."""
    return part in seen.text or (
        " " in part and part not in NAMES and " ".join(part.split()) in " ".join(seen.text.split())
    )


def too_wide(seen: Seen, world: World) -> list[str]:
    """Lines that do not fit, but for names and ids that stand alone since they are too long."""
    if seen.columns is None:
        return []
    return [
        line
        for line in seen.lines
        if wcswidth(line) > seen.columns and line.strip().strip("'.,()") not in world.words
    ]

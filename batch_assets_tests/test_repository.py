"""What is written in files that no compiler reads: the README, the docs, the Makefile."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import typer.main

from batch_assets.cli.app import RENAMED, app
from batch_assets.domain.errors import BatchAssetsError

PROJECT = Path(__file__).resolve().parents[1]
MADE_HERE = {".git", ".hypothesis", ".local", ".venv", "__pycache__"}
# In pieces, so that this file does not hold what it looks for.
REGISTRIES = re.compile("|".join([r"pypi\.(?=org)", r"python" + "hosted", r"/simple" + "/"]))
THIS_MACHINE = re.compile(r"(?<![\w.~])/(?:work|root" + r")/\w")


PROVIDERS = re.compile(
    r"azure|dashscope|aliyun|alibaba|groq|openrouter|together(\.ai|\.xyz|-| AI)",
    re.IGNORECASE,
)
KNOW_THEM = (
    "openai_batch/profiles.py",
    "openai_batch/sdk_clients.py",
    "batch_assets_local/batch_server/profiles/",
)
"""Where the names of providers may stand: what each is like, the SDK's own class for one, and what
plays each."""


def committed_files() -> Iterator[tuple[str, str]]:
    """The path and the text of every file that is not made by a tool."""
    for folder, names, files in os.walk(PROJECT):
        names[:] = [name for name in names if name not in MADE_HERE and not name.endswith("_cache")]
        for name in files:
            path = Path(folder, name)
            yield str(path.relative_to(PROJECT)), path.read_text(encoding="utf-8", errors="replace")


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def targets() -> dict[str, str]:
    """The Makefile's targets and how they explain themselves."""
    lines = re.findall(r"^([a-z-]+):[^#\n]*(?:## (.+))?$", read("Makefile"), re.MULTILINE)
    return dict(lines)


def documents() -> str:
    return "\n".join(map(read, ["README.md", *(f"docs/{p.name}" for p in docs())]))


def docs() -> list[Path]:
    return sorted((PROJECT / "docs").glob("*.md"))


def test_no_registry_and_no_path_of_one_machine_is_in_any_file() -> None:
    offending = [
        f"{path}: {found.group()}"
        for path, text in committed_files()
        for found in (REGISTRIES.search(text), THIS_MACHINE.search(text))
        if found
    ]
    assert offending == []


def test_nothing_but_the_profiles_knows_a_providers_name() -> None:
    offending = [
        f"{path}: {found.group()}"
        for path, text in committed_files()
        if path.startswith(("batch_assets/", "local_stack/")) and path.endswith((".py", ".sql"))
        if not any(place in path for place in KNOW_THEM)
        for found in [PROVIDERS.search(text)]
        if found
    ]
    assert offending == []


def test_every_target_explains_itself() -> None:
    assert [target for target, explanation in targets().items() if not explanation] == []


def test_the_targets_that_are_written_of_exist() -> None:
    written = set(re.findall(r"(?:`|^)make ([a-z-]+)", documents(), re.MULTILINE))
    assert {"demo", "test", "dev"} <= written
    assert written <= set(targets())


def test_the_readme_begins_with_the_demo_and_the_tests() -> None:
    commands = re.findall(r"^make \w+$", read("README.md"), re.MULTILINE)
    assert commands[:3] == ["make demo", "make test", "make dev"]
    assert commands[1] in read(".ci/run").splitlines()


GENERAL_OPTIONS = {"--traceback", "--help", "--version", "--install-completion"}


def test_the_commands_that_are_written_of_exist() -> None:
    known = {*typer.main.get_group(app).commands, *RENAMED, *GENERAL_OPTIONS}
    written = set(re.findall(r"`batch-assets ([a-z-]+)", documents()))
    assert {"confirm", "migrate", "plan", "run", "status"} <= written
    assert written <= known


def test_the_readme_has_every_exit_code() -> None:
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", read("README.md"), re.MULTILINE)}
    kinds: list[type[BatchAssetsError]] = [BatchAssetsError, *BatchAssetsError.__subclasses__()]
    assert written == {kind.exit_code for kind in kinds}


def test_every_package_is_in_the_architecture() -> None:
    named = set(re.findall(r"^\| `(\w+)/`", read("docs/architecture.md"), re.MULTILINE))
    packages = {path.parent.name for path in (PROJECT / "batch_assets").glob("*/__init__.py")}
    assert named == packages | {"local_stack"}


def test_the_layers_in_the_architecture_are_those_of_the_contract() -> None:
    page = read("docs/architecture.md")
    written = dict(re.findall(r"^\| `(\w+)(?:/|\.py)` \| (\d+) \|", page, re.MULTILINE))
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    assert written == {
        name.removeprefix("batch_assets."): str(number)
        for number, layer in enumerate(layers, 1)
        for name in layer.split(" | ")
    }


def test_the_links_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {link}"
        for page in [PROJECT / "README.md", *docs()]
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_the_requirements_fit_the_project() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/check_requirements.py"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")

"""Checks that the four requirements*.txt fit each pyproject.toml, offline.

Each requirement of a pyproject.toml has to be pinned to a version that it allows, every pin has to
carry hashes, those of run time, development and engines have to agree, and no file may name an
address.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
Pins = dict[str, set[str]]


def main() -> int:
    """0 if all fits; else 1, and a line on stderr for each thing that does not."""
    whole = _read(PROJECT)
    project, local_stack = whole["project"], _read(PROJECT / "local_stack")["project"]
    extras = project["optional-dependencies"]
    others = [one for one in local_stack["dependencies"] if one != project["name"]]
    runtime = [*project["dependencies"], *others, *extras["build"]]
    wanted = {
        "requirements.txt": runtime,
        "requirements-dev.txt": [*runtime, *extras["dev"]],
        "requirements-engines.txt": [*runtime, *extras["engines"]],
        "requirements-peer.txt": whole["dependency-groups"]["peer"],
    }
    texts = {name: (PROJECT / name).read_text(encoding="utf-8") for name in wanted}
    complaints = [
        f"{name}: {complaint}"
        for name, text in texts.items()
        for complaint in _complaints(text, wanted[name])
    ]
    pinned = _pins(texts["requirements.txt"])
    for larger in ("requirements-dev.txt", "requirements-engines.txt"):
        pinned_there = _pins(texts[larger])
        complaints += [
            f"{name} is {sorted(versions)} in requirements.txt and "
            f"{sorted(pinned_there.get(name, ()))} in {larger}"
            for name, versions in pinned.items()
            if pinned_there.get(name) != versions
        ]
    for complaint in complaints:
        sys.stderr.write(f"{complaint}\n")
    if complaints:
        sys.stderr.write("Run `make lock` after a change of pyproject.toml.\n")
    return 1 if complaints else 0


def _read(folder: Path) -> dict[str, Any]:
    """What a `pyproject.toml` says."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def _complaints(text: str, wanted: list[str]) -> Iterator[str]:
    if "://" in text or re.search(r"^\s*-", text.replace("--hash=", ""), re.MULTILINE):
        yield "it names an address or holds an option"
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    for block in blocks:
        if "==" in block and "--hash=sha256:" not in block:
            yield f"{block.split()[0]} has no hash"
    pins = _pins(text)
    for requirement in map(Requirement, wanted):
        found = pins.get(canonicalize_name(requirement.name), set())
        if not found or not all(map(requirement.specifier.contains, found)):
            yield f"pyproject.toml asks for {requirement}, pinned is {sorted(found) or 'nothing'}"


def _pins(text: str) -> Pins:
    """The versions of each package; several where they depend on the version of Python."""
    pins: Pins = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE):
        pins.setdefault(canonicalize_name(name), set()).add(version)
    return pins


if __name__ == "__main__":
    sys.exit(main())

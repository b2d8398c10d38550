"""What is in `deploy/`, read as the programs read it that it is for."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from batch_assets.project_files import PROJECT_DIR

DEPLOY: Final = PROJECT_DIR / "deploy"


@cache
def compose() -> dict[str, Any]:
    """The compose file, its anchors resolved."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))


@cache
def helm_values() -> dict[str, Any]:
    """The values for Dagster's chart."""
    return dict(yaml.safe_load((DEPLOY / "helm-values.yaml").read_text(encoding="utf-8")))


def instructions(name: str) -> list[str]:
    """What follows each instruction of this name in the container file, on one line."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^ *{name} +(.+)$", text, re.MULTILINE)


def example_settings(text: str) -> dict[str, str]:
    """The variables of an environment file, those that are commented out among them."""
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE))


def units() -> list[Path]:
    """The units of systemd."""
    return sorted((DEPLOY / "systemd").glob("*.service"))

"""The companies of the demo, from `companies.toml`."""

from functools import cache
from importlib.resources import files
from tomllib import loads
from typing import Final
from uuid import UUID, uuid5

from batch_assets_local.samples.records import SampleCompany

NAMESPACE: Final = UUID("6f1d3c0a-5b0e-4e52-9a53-0c9c1c1f7a11")
"""All ids of the samples are made from this one, so that they are the same on every machine."""


@cache
def sample_companies() -> tuple[SampleCompany, ...]:
    """The companies of the demo, the largest first and the suspended one last."""
    source = files(__package__) / "companies.toml"
    entries = loads(source.read_text(encoding="utf-8"))["companies"]
    return tuple(
        SampleCompany(id=str(uuid5(NAMESPACE, entry["key"])), **entry) for entry in entries
    )

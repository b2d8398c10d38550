"""Which processing types there are: every module in `types/` is one."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType, ModuleType

from batch_assets.analysis import types
from batch_assets.analysis.processing_type import ProcessingType
from batch_assets.analysis.text import shortened
from batch_assets.domain.display import escaped

FALLBACK = "full_analysis"
SHOWN_CHARACTERS = 40


def discovered(package: ModuleType) -> Mapping[str, ProcessingType]:
    """The types that the modules of `package` declare as `TYPE`, by name, in the files' order."""
    found: dict[str, ProcessingType] = {}
    for module_info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        declared = getattr(importlib.import_module(module_info.name), "TYPE", None)
        if not isinstance(declared, ProcessingType):
            raise TypeError(f"{module_info.name} must declare TYPE, a ProcessingType")
        if declared.name in found:
            raise ValueError(f"two modules declare the processing type {declared.name}")
        found[declared.name] = declared
    return MappingProxyType(found)


@cache
def known_types() -> Mapping[str, ProcessingType]:
    """All types by name; read once in a process."""
    return discovered(types)


def is_known(processing_type: str) -> bool:
    """Whether there is a type of this name, so that nothing is asked in its place."""
    return processing_type in known_types()


def type_of(processing_type: str) -> ProcessingType:
    """What is asked for a request of this type: of an unknown one everything, as LiveDash does."""
    kinds = known_types()
    return kinds.get(processing_type) or kinds[FALLBACK]


def shown_if_unknown(processing_type: str) -> str | None:
    """The name of a type that is not known, safe to show and not long; `None` of one that is."""
    if is_known(processing_type):
        return None
    return shortened(escaped(processing_type), SHOWN_CHARACTERS) or "(empty)"


def processing_types() -> tuple[str, ...]:
    """The names of all types."""
    return tuple(known_types())

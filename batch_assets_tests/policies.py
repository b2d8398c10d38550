"""Policies and limits of an empty environment, with what a test has otherwise."""

from dataclasses import replace
from typing import Any, Final

from batch_assets.domain.alerts.records import Limits
from batch_assets.domain.policy import Policy, SynchronousPolicy
from batch_assets.settings import load_settings

_USUAL: Final = load_settings({})


def a_policy(**changes: Any) -> Policy:
    return replace(_USUAL.policy(), **changes)


def a_synchronous_policy(**changes: Any) -> SynchronousPolicy:
    return replace(_USUAL.policy().synchronous, **changes)


def some_limits(**changes: Any) -> Limits:
    return replace(_USUAL.alert_limits(), **changes)

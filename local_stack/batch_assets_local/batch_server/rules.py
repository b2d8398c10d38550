"""Which configured rule strikes: chances that are drawn by seed and counted in the database."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.database import Database
from batch_assets_local.batch_server.fault_rules import (
    BatchRule,
    CallRule,
    Chance,
    DelayEffect,
    InsteadEffect,
    RowEffect,
    RowRule,
)
from batch_assets_local.batch_server.identifiers import fraction

_COUNT = """
INSERT INTO rule_counter (rule, asked, fired) VALUES (:rule, 1, 0)
ON CONFLICT (rule) DO UPDATE SET asked = asked + 1
"""
_READ = "SELECT asked, fired FROM rule_counter WHERE rule = :rule"
_FILENAME = "SELECT filename FROM file WHERE id = :id"
_FIRED = "UPDATE rule_counter SET fired = fired + 1 WHERE rule = :rule"


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What shall happen to one HTTP call; without an outcome it is answered as usual."""

    delay_before: float = 0
    delay_after: float = 0
    outcome: InsteadEffect | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP call as rules match it: about which batch or file, and how much it sends."""

    operation: str
    object_id: str | None = None
    sent_bytes: int = 0


class Rules:
    """Draws from the configured rules; how often each was asked and struck outlives restarts."""

    def __init__(self, database: Database, config: ReloadableConfig) -> None:
        """Draw by the configuration in force, count in the database."""
        self._database = database
        self._config = config

    def reset(self) -> None:
        """Start all counting anew, as when a configuration is put in force."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM rule_counter")

    def for_call(self, call: Call) -> CallPlan:
        """The plan for a call: delays add up, the first other effect is the outcome."""
        struck = [
            rule.effect
            for index, rule in enumerate(self._config.current.calls)
            if self._is_meant(rule, call)
            and self._strikes(index, rule, call.object_id if rule.per_object else None)
        ]
        delays = [effect for effect in struck if isinstance(effect, DelayEffect)]
        outcomes = [effect for effect in struck if not isinstance(effect, DelayEffect)]
        return CallPlan(
            delay_before=sum(delay.seconds for delay in delays if delay.when == "before"),
            delay_after=sum(delay.seconds for delay in delays if delay.when == "after"),
            outcome=outcomes[0] if outcomes else None,
        )

    def _is_meant(self, rule: CallRule, call: Call) -> bool:
        if rule.operation not in {call.operation, "*"} or call.sent_bytes < rule.min_bytes:
            return False
        if rule.filename is None:
            return True
        with self._database.reading() as connection:
            row = connection.execute(_FILENAME, {"id": call.object_id}).fetchone()
        return row is not None and _pattern(rule.filename).search(row["filename"]) is not None

    def for_new_batch(
        self, metadata: dict[str, str] | None, model: Callable[[], str | None]
    ) -> BatchRule | None:
        """The fate of a batch that is being created, or None; `model` reads what it asks for."""
        labels = metadata or {}
        for index, rule in enumerate(self._config.current.batches):
            is_meant = rule.metadata.items() <= labels.items() and (
                rule.model is None or rule.model == model()
            )
            if is_meant and self._strikes(index, rule):
                return rule
        return None

    def for_row(self, batch_seq: int, line: int, custom_id: str) -> RowEffect | None:
        """The effect on a row of a batch, or None; depends on its place alone, not on time."""
        for index, rule in enumerate(self._config.current.rows):
            if rule.where == "batch" and _matches(rule, line, custom_id):
                drawn_for = custom_id if rule.sticky else f"{batch_seq}/{custom_id}"
                if fraction("row", rule.seed, index, drawn_for) < rule.probability:
                    return rule.effect
        return None

    def for_live_row(self, request_id: str, service_tier: str) -> RowEffect | None:
        """The effect on a synchronous call that asks for this tier, or None."""
        for index, rule in enumerate(self._config.current.rows):
            drawn = fraction("row", rule.seed, index, request_id)
            is_meant = rule.where == "live" and rule.service_tier in {None, service_tier}
            if is_meant and drawn < rule.probability:
                return rule.effect
        return None

    def count(self, name: str) -> int:
        """Count an occasion of this name; how many there were, with this one."""
        with self._database.transaction() as connection:
            connection.execute(_COUNT, {"rule": name})
            asked, _ = connection.execute(_READ, {"rule": name}).fetchone()
        return int(asked)

    def counted(self, name: str) -> int:
        """How many occasions of this name there were."""
        with self._database.reading() as connection:
            row = connection.execute(_READ, {"rule": name}).fetchone()
        return 0 if row is None else int(row["asked"])

    def _strikes(self, index: int, rule: Chance, object_id: str | None = None) -> bool:
        if not rule.holds_at(self._config.now()):
            return False
        key = f"{type(rule).__name__} {index} {object_id or ''} {_identity(rule)}"
        own = () if object_id is None else (object_id,)
        with self._database.transaction() as connection:
            connection.execute(_COUNT, {"rule": key})
            asked, fired = connection.execute(_READ, {"rule": key}).fetchone()
            strikes = (
                asked > rule.after
                and (rule.count is None or fired < rule.count)
                and fraction("call", rule.seed, index, asked, *own) < rule.probability
            )
            if strikes:
                connection.execute(_FIRED, {"rule": key})
        return strikes


def _matches(rule: RowRule, line: int, custom_id: str) -> bool:
    if rule.lines is not None and line not in rule.lines:
        return False
    return rule.custom_id is None or _pattern(rule.custom_id).search(custom_id) is not None


@lru_cache(maxsize=128)
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _identity(rule: Chance) -> str:
    return json.dumps(rule.model_dump(mode="json"), sort_keys=True)

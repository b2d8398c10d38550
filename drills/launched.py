"""The process of a launched run: the points are put in, and then it is `batch-assets run`."""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from pydantic import TypeAdapter

from batch_assets.cli.run import run_once
from batch_assets.domain.policy import Policy
from batch_assets.openai_batch.client import BatchApi
from batch_assets.ops import main_path
from batch_assets.settings import Settings
from batch_assets.stages import ingest
from drills import probes
from drills.launching import ORDER
from drills.points import Points, Strike
from drills.probes import put_in
from drills.run import striker
from drills.story import TIMEOUTS
from drills.world import World

_STAGES: Final = (
    (main_path, "check_statuses", "check"),
    (main_path, "recover", "recover"),
    (ingest, "ingest_results", "ingest"),
    (main_path, "retry_failed", "retry"),
    (main_path, "find_due", "find"),
    (main_path, "submit_due", "submit"),
    (main_path, "delete_leftovers", "clean"),
)


def main() -> int:
    """Run the job once under the order in the environment."""
    order = json.loads(os.environ.pop(ORDER))
    strikes = [Strike(**strike) for strike in order["strikes"]]
    act = striker(World(order["database_url"]), order["server_pid"])
    points = Points(order["pipe"], strikes, act)
    probes.install(points)
    for module, name, stage in _STAGES:
        put_in(module, name, _of_stage(getattr(module, name), stage, points))
    policy = TypeAdapter(Policy).validate_python(order["policy"])
    put_in(Settings, "policy", lambda _settings: policy)
    defaults = BatchApi.__init__.__kwdefaults__
    if defaults is not None:
        defaults["timeouts"] = TIMEOUTS
    run_once()
    return 0


def _of_stage(act: Callable[..., Any], stage: str, points: Points) -> Callable[..., Any]:
    @wraps(act)
    def staged(*arguments: Any, **named: Any) -> Any:
        points.stage = stage
        return act(*arguments, **named)

    return staged


if __name__ == "__main__":
    sys.exit(main())

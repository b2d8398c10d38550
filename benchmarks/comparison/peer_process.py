"""One run of batchor as its users would have it, in its own environment: Python 3.12 or newer.

Nothing of this project but the benchmark's own modules is imported: its packages are not there.
`run_peer` writes the JSON file that it is given; it prints what was used as JSON.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import openai.resources.batches
import openai.resources.files  # noqa: F401 (what the SDK loads late is not measured, as with ours)
from batchor import (
    ArtifactPolicy,
    BatchJob,
    BatchRunner,
    JsonlItemSource,
    OpenAIEndpoint,
    OpenAIProviderConfig,
    PostgresStorage,
    PromptParts,
    Run,
)
from pydantic import BaseModel, create_model

from benchmarks.comparison.api_server import let_batches_end
from benchmarks.comparison.usage import Meter

_POLL_SECONDS = 60.0
"""Batches take minutes at least: asked for each second, as by default, they would cost calls."""
_PAGE = 1_000
"""Results are exported by pages: all at once would need 100 MB more."""

_ANALYZE = "ANALYZE batchor.items"
"""What autovacuum does while batches are worked on, which takes minutes at least, and in a run of
seconds may not: without it PostgreSQL sometimes takes an index that costs it ten times the time."""


def main() -> None:
    """Submit, let the server end the batches, unmeasured, then wait and export the results."""
    # Its token counter fetches a table from the internet. Without one batchor takes its documented
    # way out, the characters by four: cheaper than to count, which is in batchor's favour.
    sys.modules["tiktoken"] = None  # type: ignore[assignment]
    task: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    base_url = os.environ["OPENAI_BASE_URL"]
    storage = PostgresStorage(dsn=task["database_url"])
    runner = BatchRunner(storage=storage, temp_root=task["directory"])
    job = _job(task)
    meter = Meter(base_url)
    with meter.running():
        run = runner.start(job)
    let_batches_end(base_url)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(_ANALYZE)
    with meter.running():
        _export(run.wait(), task["results"])
    storage.close()
    print(json.dumps(asdict(meter.usage())))  # noqa: T201 (what the benchmark reads)


def _job(task: dict[str, Any]) -> Any:
    return BatchJob(
        items=JsonlItemSource(
            task["prompts"],
            item_id_from_row=lambda row: row["id"],
            payload_from_row=lambda row: row["text"],
        ),
        build_prompt=lambda item: PromptParts(prompt=item.payload, system_prompt=task["system"]),
        provider_config=OpenAIProviderConfig(
            model=task["model"],
            endpoint=OpenAIEndpoint.CHAT_COMPLETIONS,
            poll_interval_sec=_POLL_SECONDS,
        ),
        structured_output=_answer(task["schema"]),
        schema_name=task["schema_name"],
        # This project does not keep what the server wrote, either.
        artifact_policy=ArtifactPolicy(persist_raw_output_artifacts=False),
    )


def _answer(schema: dict[str, Any]) -> type[BaseModel]:
    """A model of the answers that is sent as this very schema, so that the bodies are the same."""
    fields: dict[str, Any] = {
        name: (_type_of(one), ...) for name, one in schema["properties"].items()
    }
    answer: type[BaseModel] = create_model("Answer", **fields)
    answer.model_json_schema = lambda *_, **__: schema  # type: ignore[method-assign]
    return answer


def _type_of(field: dict[str, Any]) -> Any:
    if "enum" in field:
        return Literal[tuple(field["enum"])]
    return {"string": str, "boolean": bool, "array": list[str]}[field["type"]]


def _export(run: Run, path: str) -> None:
    after = 0
    while True:
        page = run.export_terminal_results(path, after_sequence=after, limit=_PAGE)
        if page.exported_count < _PAGE:
            return
        after = page.next_after_sequence


if __name__ == "__main__":
    main()

"""Answers a chat request: the one entrance for the local server."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from batch_assets.local.analyst.analysis import analyse
from batch_assets.local.analyst.conversation import conversation_in
from batch_assets.local.analyst.schema import SchemaFitter


def answer(messages: Iterable[Mapping[str, Any]], response_format: Mapping[str, Any] | None) -> str:
    """The text of the assistant's answer to a chat request.

    With a `json_schema` response format it is JSON that fits the schema, with `json_object` the
    whole analysis as JSON, otherwise a sentence or two. Raises `ValueError` or `KeyError` for a
    schema that is none, such as one that refers to itself or to what it does not define.
    """
    analysis = analyse(conversation_in(messages))
    kind = response_format.get("type") if response_format else None
    known = {**asdict(analysis), "questions": list(analysis.questions)}
    if response_format and kind == "json_schema":
        fitted = SchemaFitter(response_format["json_schema"]["schema"], known).build()
        return json.dumps(fitted, ensure_ascii=False)
    return json.dumps(known, ensure_ascii=False) if kind == "json_object" else analysis.summary

"""From claimed batches to input files on disk: written all from one read, before any call."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from batch_assets import analysis
from batch_assets.domain.batches import ClaimedBatch
from batch_assets.domain.logs import open_log
from batch_assets.domain.records import Conversation
from batch_assets.openai_batch.spool import InputFile, Spool
from batch_assets.stages.pipeline import Pipeline
from batch_assets.stages.saying import Few

log = open_log(__name__)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A batch's input file on disk, and the rows that did not go into it."""

    file: InputFile
    dropped: tuple[str, ...]
    unknown_types: Counter[str]
    """Its rows whose processing type is not known, by a name that is safe to show."""


class InputFiles:
    """The input files of one wave; a batch that could not be written has none."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.of_batch: dict[str, WrittenFile] = {}
        """By the batch's id."""
        self.broken: dict[str, str] = {}
        """Companies with a request that could not be written, and the error's class."""
        self.unwritten: OSError | None = None
        """Why some files could not be written: their batches' requests wait again."""
        self._pipeline = pipeline

    def write(self, batches: Sequence[ClaimedBatch], spool: Spool) -> None:
        """Write every batch's file, all from one read."""
        company_of = {batch.id: batch.company_id for batch in batches}
        conversations = self._pipeline.queries.conversations([batch.id for batch in batches])
        with Few(log) as few:
            for batch_id, some in groupby(conversations, key=attrgetter("batch_id")):
                try:
                    error = self._write(batch_id, some, spool)
                except OSError as full:
                    self.unwritten = full
                    few.warning("Batch %s cannot be written: %s", batch_id, type(full).__name__)
                else:
                    if error is not None:
                        self.broken[company_of[batch_id]] = error
                        few.warning("Batch %s cannot be written: %s", batch_id, error)

    def _write(
        self, batch_id: str, conversations: Iterable[Conversation], spool: Spool
    ) -> str | None:
        """The class of the error if a request cannot be written; its batch has no file then."""
        dropped = []
        unknown_types: Counter[str] = Counter()
        with spool.input_file(max_bytes=self._pipeline.policy.max_batch_bytes) as file:
            for conversation in conversations:
                try:
                    is_in = bool(conversation.messages) and file.add(
                        conversation.request_id, self._body_of(conversation)
                    )
                except (LookupError, TypeError, ValueError) as error:
                    # Nothing of the error goes on but its class: it may quote the conversation.
                    return type(error).__name__
                unknown_type = analysis.shown_if_unknown(conversation.processing_type)
                if not is_in:
                    dropped.append(conversation.request_id)
                elif unknown_type is not None:
                    unknown_types[unknown_type] += 1
        if file.requests:
            self.of_batch[batch_id] = WrittenFile(file, tuple(dropped), unknown_types)
        return None

    def _body_of(self, conversation: Conversation) -> Mapping[str, Any]:
        model = self._pipeline.policy.model_of(conversation.model)
        return analysis.request_body(conversation, model)

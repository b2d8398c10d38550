"""One wave of claimed batches on its way to the server: upload all, record, create all, record."""

import logging
from collections.abc import Sequence

from batch_assets import analysis
from batch_assets.domain.batches import ClaimedBatch, SubmittedBatch, UploadedBatch
from batch_assets.domain.failures import ApiError, FailureKind
from batch_assets.domain.records import Lease
from batch_assets.openai_batch.spool import InputFile
from batch_assets.stages.leases import LeaseKeeper
from batch_assets.stages.naming import file_name, metadata_of
from batch_assets.stages.pipeline import Budget, Pipeline

log = logging.getLogger(__name__)

_STOPPING = frozenset({FailureKind.ACCOUNT, FailureKind.TRANSIENT})
"""Refused for good, or not reachable at all: the next batch would fare no better."""


class Wave:
    """Sends claimed batches once; afterwards each of them is in exactly one of the lists.

    A batch whose lease is lost on the way is in none: whoever took it over settles it.
    """

    def __init__(self, pipeline: Pipeline, installation_id: str, budget: Budget) -> None:
        self.submitted: list[ClaimedBatch] = []
        self.given_back: list[Lease] = []
        self.unresolved: list[Lease] = []
        self.stopped_by: ApiError | None = None
        """The failure after which nothing more was sent."""
        self._pipeline = pipeline
        self._installation_id = installation_id
        self._budget = budget
        self._full_models: set[str] = set()
        """Models for which the server has no room."""

    def send(self, batches: Sequence[ClaimedBatch]) -> None:
        """Upload and create all of them, in order, as far as the budget's time allows."""
        try:
            self._send(batches)
        except BaseException:
            # Interrupted, or broken off by something unforeseen: whoever recovers need not wait.
            self._pipeline.queries.expire([batch.lease for batch in batches])
            raise

    def _send(self, batches: Sequence[ClaimedBatch]) -> None:
        queries = self._pipeline.queries
        seconds = self._pipeline.policy.lease_seconds
        keeper = LeaseKeeper(
            queries,
            [batch.lease for batch in batches],
            seconds,
            longest_call=self._pipeline.api.timeouts.longest_creating_call,
        )
        uploads = self._upload_all(batches, keeper)
        keeper.renewed(queries.record_uploads(list(uploads.values()), seconds))
        created = self._create_all(batches, uploads, keeper)
        recorded = queries.record_submissions(created)
        self.submitted = [batch for batch in batches if batch.id in recorded]
        queries.release(self.given_back)
        queries.expire(self.unresolved)

    def _upload_all(
        self, batches: Sequence[ClaimedBatch], keeper: LeaseKeeper
    ) -> dict[str, UploadedBatch]:
        uploads = {}
        for batch in batches:
            if self._has_to_wait(batch):
                self._give_back(batch.lease)
            elif keeper.holds(batch.lease):
                try:
                    upload = self._upload(batch)
                except ApiError as error:
                    self._fail(batch, error)
                else:
                    if upload is not None:
                        uploads[batch.id] = upload
        return uploads

    def _create_all(
        self,
        batches: Sequence[ClaimedBatch],
        uploads: dict[str, UploadedBatch],
        keeper: LeaseKeeper,
    ) -> list[SubmittedBatch]:
        created = []
        for batch in batches:
            upload = uploads.get(batch.id)
            if upload is None or not keeper.holds(batch.lease):
                continue
            if self._has_to_wait(batch):
                self._give_back(batch.lease, upload.input_file_id)
                continue
            try:
                remote = self._pipeline.api.create_batch(
                    upload.input_file_id,
                    metadata_of(self._installation_id, batch.id),
                    self._pipeline.policy.output_expires_seconds,
                )
            except ApiError as error:
                self._fail(batch, error, upload.input_file_id)
            else:
                created.append(SubmittedBatch(batch.lease, remote))
        return created

    def _upload(self, batch: ClaimedBatch) -> UploadedBatch | None:
        """Write and upload one input file; `None` if nothing of the batch is left to send."""
        policy = self._pipeline.policy
        dropped = []
        with InputFile(self._pipeline.spool_dir, max_bytes=policy.max_batch_bytes) as spool:
            for conversation in self._pipeline.queries.conversations(batch.id):
                is_in = bool(conversation.messages) and spool.add(
                    conversation.request_id, analysis.request_body(conversation)
                )
                if not is_in:
                    dropped.append(conversation.request_id)
            if spool.requests == 0:
                self._give_back(batch.lease)
                return None
            file_id = self._pipeline.api.upload(
                spool.finish(), file_name(self._installation_id, batch.id)
            )
            return UploadedBatch(batch.lease, file_id, spool.bytes, tuple(dropped))

    def _fail(self, batch: ClaimedBatch, error: ApiError, input_file_id: str | None = None) -> None:
        """Put a batch that was not sent where it belongs, and see whether others may follow."""
        failure = error.failure
        log.warning("Batch %s of company %s: %s", batch.id, batch.company_id, error)
        if failure.kind is FailureKind.INDETERMINATE:
            self.unresolved.append(batch.lease)
            return
        if failure.kind in _STOPPING:
            self.stopped_by = error
        else:
            if failure.kind is FailureKind.CAPACITY:
                self._full_models.add(batch.model)
            seconds = failure.retry_after_seconds or self._pipeline.policy.model_pause_seconds
            self._pipeline.registry.pause_model(batch.model, seconds, failure.code)
        self._give_back(batch.lease, input_file_id)

    @property
    def _is_over(self) -> bool:
        return self.stopped_by is not None or self._budget.is_late

    def _has_to_wait(self, batch: ClaimedBatch) -> bool:
        """Whether another call for this batch would not help or would come too late."""
        return self._is_over or batch.model in self._full_models

    def _give_back(self, lease: Lease, input_file_id: str | None = None) -> None:
        """Let a batch's requests wait again; its uploaded file goes now or with the leftovers."""
        self.given_back.append(lease)
        if input_file_id is not None and not self._is_over:
            try:
                self._pipeline.api.delete_file(input_file_id)
            except ApiError as error:
                log.warning("The input file of batch %s is left behind: %s", lease.batch_id, error)

"""Claimed batches on their way to the server: write and upload, record, create; then record all.

Some at a time: the last ones are created while the next ones are written and uploaded, so that few
files are uploaded for nothing if the server takes no more batches. As many calls are in flight as
the server takes, or those of a set number of companies; what fails for one of them is no other's
failure.
"""

import random
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain, islice

from batch_assets.domain.batches import ClaimedBatch, SubmittedBatch, UploadedBatch
from batch_assets.domain.errors import ApiError, FailureKind
from batch_assets.domain.logs import RateLimitedLogger, open_log
from batch_assets.domain.policy import Cooldown
from batch_assets.domain.records import Lease
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.operations import Operation
from batch_assets.openai_batch.spool import InputFile, Spool
from batch_assets.stages.concurrency import LeaseKeeper, made_ahead, run_per_key
from batch_assets.stages.cooldowns import cool_down_unpaid
from batch_assets.stages.copies import LookReport, meets_another
from batch_assets.stages.input_files import FileWaits, InputFiles, UploadSizes
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.remote_ids import file_name, metadata_of
from batch_assets.store.intents import PendingFile

log = open_log(__name__)

_UPLOADED_AHEAD = 3
"""Such a part of what was sent is uploaded before it is known what the server has taken of it."""

_Call = tuple[ClaimedBatch, Callable[[ClaimedBatch], None]]

_STOPPING = frozenset({FailureKind.ACCOUNT, FailureKind.TRANSIENT})
"""Refused for good, or not reachable at all: the next batch would fare no better."""


class BatchSubmitter:
    """Sends claimed batches once; afterwards each of them is in exactly one of the lists.

    A batch whose lease is lost on the way is in none: whoever took it over finalizes it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        installation_id: str,
        budget: Budget,
        look: LookReport | None = None,
        *,
        taken: int = 0,
    ) -> None:
        """`look` is what was seen of others before these batches were claimed.

        The server has taken so many batches of this run before them.
        """
        self.submitted: list[ClaimedBatch] = []
        self.openai_ids: dict[str, str] = {}
        """The server's ids of what it has created, by our own."""
        self.to_release: list[Lease] = []
        self.returned_requests = 0
        """Requests of those, as far as they were seen to wait again."""
        self.unresolved: list[Lease] = []
        self.put_off: list[tuple[Lease, datetime | None]] = []
        """Batches whose file the server still processes, and since when that is waited for."""
        self.inputs = InputFiles(pipeline)
        """What was written to be uploaded, and what could not be."""
        self.sizes = UploadSizes()
        """What the server takes in one upload, as far as it was met here."""
        self.stopped_by: ApiError | None = None
        """The failure after which nothing more was sent."""
        self.meets_another = False
        """Whether another database was seen to upload under the same id: nothing was created."""
        self._pipeline = pipeline
        self._installation_id = installation_id
        self._budget = budget
        self._look = look or LookReport()
        self._seconds_kept = 0.0
        """Of the budget, for creating what was uploaded."""
        self._full_models: set[str] = set()
        """Models for which the server has no room."""
        self._beyond_tokens: list[str] = []
        """Batches of them for whose tokens it has none."""
        self._is_hour_full = False
        """Whether it has refused to create a batch, and not for another limit than the hour's: none
        is created or uploaded after that."""
        self._taken = taken
        """Batches that the server has taken in the run before these."""
        self._cooldowns: dict[str, Cooldown] = {}
        """Models that are not to be used for a while."""
        self._uploads: dict[str, UploadedBatch] = {}
        self._created: dict[str, SubmittedBatch] = {}
        self._pending: dict[str, PendingFile] = {}
        """Batches that an earlier run has put off."""
        self._files = FileWaits(pipeline.api, pipeline.policy)
        self._limited_log = RateLimitedLogger(log)

    def send(self, batches: Sequence[ClaimedBatch], claimed_at: float) -> None:
        """Upload and create all of them, as far as the budget's time allows.

        They were claimed at `claimed_at`, of `time.monotonic`.

        What is written is uploaded while the others are still written; the read that they are
        written from waits for no call. Nothing is created before its upload is on record. Half of
        the time is kept for creating: what is not uploaded by then waits for another run, and what
        is would else be for nothing, run after run. A company's batches go in their order.
        """
        self._pipeline.require_own(batch.account_name for batch in batches)
        self._seconds_kept = self._budget.seconds_left / 2
        with self._holding(batches, claimed_at):
            with (
                Spool(self._pipeline.spool_dir, self._pipeline.api.profile) as self._spool,
                made_ahead(self.inputs.written(batches, self._spool)) as written,
            ):
                self._upload_and_create(written)
            self._record_submissions(batches)

    def _upload_and_create(self, written: Iterator[ClaimedBatch]) -> None:
        """Create the batches of one part while those of the next are written and uploaded."""
        has_looked = False
        uploaded: list[ClaimedBatch] = []
        while True:
            part: list[ClaimedBatch] = []
            self._each(chain(self._creations(uploaded), self._uploads_of_next(written, part)))
            if not part:
                return
            self._record_uploads(part)
            if self._uploads and not (has_looked or self._is_over):
                has_looked = True
                self.meets_another = meets_another(
                    self._pipeline, self._installation_id, self._look, self._uploads
                )
            uploaded = part

    def _creations(self, batches: Iterable[ClaimedBatch]) -> Iterator[_Call]:
        return ((batch, self._create) for batch in batches)

    def _uploads_of_next(
        self, written: Iterator[ClaimedBatch], part: list[ClaimedBatch]
    ) -> Iterator[_Call]:
        """The uploads of the next part, whose batches are added to `part` as they are written.

        A limit of batches an hour that nobody knows is met by a creation. What is uploaded for
        nothing by then is a part of what the server has taken.
        """
        least = self._pipeline.policy.least_hourly_batches
        sent = self._taken + len(self._uploads)
        size = max(least - sent, least // 2, sent // _UPLOADED_AHEAD, 1)
        for batch in islice(written, size):
            part.append(batch)
            yield batch, self._upload

    def go_on(self, pending: Sequence[PendingFile], taken_at: float) -> None:
        """Create what was uploaded before, and put off until its files were processed.

        It was taken over at `taken_at`, of `time.monotonic`.
        """
        batches = [one.batch for one in pending]
        self._pipeline.require_own(batch.account_name for batch in batches)
        self._pending = {one.batch.id: one for one in pending}
        self._uploads = {
            one.batch.id: UploadedBatch(one.batch.lease, one.input_file_id, input_bytes=0)
            for one in pending
        }
        with self._holding(batches, taken_at):
            self._each(self._creations(batches))
            self._record_submissions(batches)

    @contextmanager
    def _holding(
        self, batches: Sequence[ClaimedBatch], taken_at: float
    ) -> Generator[None, None, None]:
        """Keep the leases of these batches while something is done with them."""
        leases = [batch.lease for batch in batches]
        self._keeper = LeaseKeeper(
            self._pipeline.queries,
            leases,
            self._pipeline.policy.lease_seconds,
            taken_at=taken_at,
            longest_call=self._pipeline.api.timeouts.longest_creating_call,
        )
        try:
            yield
        except BaseException:
            # Interrupted, or broken off by something unforeseen: whoever recovers need not wait.
            self._pipeline.queries.expire(leases)
            raise
        finally:
            self._limited_log.close()

    @property
    def unknown_types(self) -> Counter[str]:
        """Requests of the submitted batches whose type is not known: everything was asked."""
        written = (self.inputs.of_batch.get(batch.id) for batch in self.submitted)
        sent = (one.unknown_types for one in written if one is not None)
        return sum(sent, Counter())

    def _each(self, calls: Iterable[_Call]) -> None:
        companies = self._pipeline.policy.concurrent_companies
        limit = self._pipeline.api.in_flight
        run_per_key(
            calls,
            lambda call: call[0].company_id if companies else call[0].id,
            lambda call: call[1](call[0]),
            at_a_time=companies or limit.most,
            limit=limit,
        )

    def _upload(self, batch: ClaimedBatch) -> None:
        written = self.inputs.of_batch.get(batch.id)
        is_late = self._budget.seconds_left < self._seconds_kept
        if written is None or is_late or self._has_to_wait(batch):
            self._release(batch.lease)
            return
        if not self._keeper.holds(batch.lease):
            return
        try:
            if self.sizes.would_be_refused(written.file):
                self._refuse_size(batch, written.file)
                return
            file_id = self._pipeline.api.upload(
                written.file.path, file_name(self._installation_id, batch.id)
            )
        except ApiError as error:
            if error.failure.code == error_codes.UPLOAD_TOO_LARGE:
                if self._refuse_size(batch, written.file):
                    return
                # Nothing is taken at all: the next one would fare no better.
                self._full_models.add(batch.model)
            self._fail(batch, error)
        else:
            self.sizes.take(written.file)
            self._uploads[batch.id] = UploadedBatch(
                batch.lease,
                file_id,
                written.file.bytes,
                written.dropped,
                is_whole=written.file.requests + len(written.dropped) == batch.requests,
            )
        finally:
            written.file.remove()

    def _refuse_size(self, batch: ClaimedBatch, file: InputFile) -> bool:
        """Let a batch that is too large wait for smaller ones; False if it is not that."""
        is_refused = self.sizes.refuse(batch, file, lambda: self._takes_small_files(batch))
        if is_refused:
            self._limited_log.warning(
                "Batch %s: the server refuses %d bytes in one file", batch.id, file.bytes
            )
            self.to_release.append(batch.lease)
        return is_refused

    def _takes_small_files(self, batch: ClaimedBatch) -> bool:
        """Ask with a file that nothing comes of; it carries a name by which it would be cleared."""
        try:
            with self._spool.input_file() as file:
                file.add("size", b"{}")
            name = file_name(self._installation_id, batch.id)
            self._pipeline.api.delete_file(self._pipeline.api.upload(file.path, name))
        except ApiError as error:
            return error.operation == Operation.DELETE_FILE
        except OSError:
            return False
        return True

    def _record_uploads(self, batches: Sequence[ClaimedBatch]) -> None:
        uploaded = [self._uploads[batch.id] for batch in batches if batch.id in self._uploads]
        seconds = self._pipeline.policy.lease_seconds
        held = self._pipeline.queries.record_uploads(uploaded, seconds)
        self._keeper.lost({batch.lease.batch_id for batch in uploaded} - held)

    def _create(self, batch: ClaimedBatch) -> None:
        upload = self._uploads.get(batch.id)
        if upload is None or not self._keeper.holds(batch.lease):
            return
        if not self._is_processed(batch, upload.input_file_id):
            return
        if self._has_to_wait(batch):
            self._release(batch.lease, upload.input_file_id)
            return
        try:
            remote = self._pipeline.api.create_batch(
                upload.input_file_id,
                metadata_of(self._installation_id, batch.id),
                self._pipeline.policy.output_expires_seconds,
            )
        except ApiError as error:
            if error.failure.code == error_codes.PARAMETER_REFUSED:
                # Nothing was made, and each call leaves out one parameter more.
                self._create(batch)
            elif self._files.came_too_soon(upload.input_file_id, error.failure):
                self._put_off(batch)
            else:
                self._fail(batch, error, upload.input_file_id)
        else:
            self._created[batch.id] = SubmittedBatch(batch.lease, remote)

    def _is_processed(self, batch: ClaimedBatch, file_id: str) -> bool:
        """Whether a batch can be made of its file; else it was put off, or is to be released.

        No creation was called for by then, or it was refused: nothing is to be looked up.
        """
        try:
            if self._files.is_ready(
                file_id, lambda: self._goes_on(batch), self._pending.get(batch.id)
            ):
                return True
        except ApiError as error:
            self._fail(batch, error, file_id)
        else:
            self._put_off(batch)
        return False

    def _goes_on(self, batch: ClaimedBatch) -> bool:
        return not self._is_over and self._keeper.holds(batch.lease)

    def _put_off(self, batch: ClaimedBatch) -> None:
        before = self._pending.get(batch.id)
        self.put_off.append((batch.lease, None if before is None else before.since))

    def _record_submissions(self, batches: Sequence[ClaimedBatch]) -> None:
        queries = self._pipeline.queries
        created = [self._created[batch.id] for batch in batches if batch.id in self._created]
        recorded = queries.record_submissions(created)
        self.submitted = [batch for batch in batches if batch.id in recorded]
        self.openai_ids = {one.lease.batch_id: one.remote.id for one in created}
        if self.to_release:
            self.returned_requests = queries.release(self.to_release)
        if self.unresolved:
            queries.expire(self.unresolved)
        if self.put_off:
            self._pipeline.pending_files.put_off(self.put_off)
        self._keep_allowances()
        for model, cooldown in self._cooldowns.items():
            self._pipeline.registry.cool_model(model, cooldown)
        if self.stopped_by is not None:
            cool_down_unpaid(self._pipeline, self.stopped_by)

    def _fail(self, batch: ClaimedBatch, error: ApiError, input_file_id: str | None = None) -> None:
        """Put a batch that was not sent where it belongs, and see whether others may follow."""
        failure = error.failure
        self._limited_log.warning("Batch %s of company %s: %s", batch.id, batch.company_id, error)
        if failure.kind is FailureKind.INDETERMINATE:
            self.unresolved.append(batch.lease)
            return
        if failure.kind in _STOPPING or failure.advice:
            self.stopped_by = error
        else:
            if failure.kind is FailureKind.CAPACITY:
                self._full_models.add(batch.model)
                self._learn(batch, error)
            cooldown = self._pipeline.policy.cooldown(
                failure.code, random.SystemRandom(), failure.retry_after_seconds
            )
            self._cooldowns.setdefault(batch.model, cooldown)
        self._release(batch.lease, input_file_id)

    def _learn(self, batch: ClaimedBatch, error: ApiError) -> None:
        if error.failure.code == error_codes.TOKEN_LIMIT:
            self._beyond_tokens.append(batch.id)
        elif error.operation == Operation.CREATE_BATCH and error_codes.may_be_of_the_hour(
            error.failure
        ):
            self._is_hour_full = True

    def _keep_allowances(self) -> None:
        """Keep what the server was seen to take; nothing if it has refused nothing."""
        registry = self._pipeline.registry
        if self._beyond_tokens:
            registry.note_tokens_refused(self._beyond_tokens)
        if self._is_hour_full:
            least = self._pipeline.policy.least_hourly_batches
            registry.note_creation_refused(self._pipeline.api.account, least)

    @property
    def _is_over(self) -> bool:
        return self.stopped_by is not None or self._budget.is_late or self.meets_another

    def _has_to_wait(self, batch: ClaimedBatch) -> bool:
        """Whether another call for this batch would not help or would come too late."""
        return self._is_over or self._is_hour_full or batch.model in self._full_models

    def _release(self, lease: Lease, input_file_id: str | None = None) -> None:
        """Let a batch's requests wait again; its uploaded file goes now or with the leftovers."""
        self.to_release.append(lease)
        if input_file_id is not None and (self.meets_another or not self._is_over):
            try:
                self._pipeline.api.delete_file(input_file_id)
            except ApiError as error:
                self._limited_log.warning(
                    "The input file of batch %s is left behind: %s", lease.batch_id, error
                )

"""The Batch API as the stages see it: records in, records out, and `ApiError` when it fails.

Nothing of the SDK leaves this package. The two creating calls send one POST each, whatever happens:
what became of a lost one is looked up by the caller, by the metadata and the name that it gave. A
synchronous request is one POST, too, of which nothing can be looked up afterwards. Reading calls
are tried up to three times unless told otherwise, with the SDK's backoff and the server's
Retry-After.
"""

import functools
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import RemoteBatch, RemoteFile, Response
from batch_assets.openai_batch import error_codes, listings, objects
from batch_assets.openai_batch.account import ApiAccount, Project
from batch_assets.openai_batch.batch_parameters import BatchParameters
from batch_assets.openai_batch.operations import CallGuard, Operation, Timeouts, Unguarded
from batch_assets.openai_batch.profiles import DEFAULT_BASE_URL, Profile
from batch_assets.openai_batch.responses import read_answer
from batch_assets.openai_batch.spool import TimedFile

if TYPE_CHECKING:
    from batch_assets.openai_batch.connections import Connections

_DEFAULT_TIMEOUTS = Timeouts()
_UNGUARDED = Unguarded()
_BATCHES_A_PAGE = 100
_FILES_A_PAGE = (1_000, 100, None)
"""The largest first; servers say in many ways that a page is too large, or take no size at all."""


class BatchApi(ApiAccount):
    """The calls of one account, see `ApiAccount`; threads may share it.

    Raises:
        ConfigurationError: The key is none, or the address is no API's.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = DEFAULT_BASE_URL,
        *,
        profile: Profile | None = None,
        project: Project | None = None,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        reading_retries: int = 2,
        window_seconds: float = 0.0,
        input_expires_seconds: int | None = None,
        guard: CallGuard = _UNGUARDED,
    ) -> None:
        """`input_expires_seconds`: when the server is to delete an input file, if it can be asked.

        `window_seconds`: within which a batch is to be done, as far as that can be asked for.
        """
        super().__init__(
            api_key,
            base_url,
            profile=profile,
            project=project,
            timeouts=timeouts,
            reading_retries=reading_retries,
            guard=guard,
        )
        self._input_expires_seconds = input_expires_seconds
        self._parameters = BatchParameters(self.profile, window_seconds)
        self._files_a_page: tuple[int | None, ...] = _FILES_A_PAGE
        """What was not refused yet."""
        self._pending: set[str] = set()
        """Files that the server has taken and not processed, as far as is known."""

    def upload(self, path: Path, name: str) -> str:
        """Upload an input file under `name`, streamed from disk by one POST; its id.

        It is sent again if the server does not take the field by which it would delete the file
        some day: nothing was kept of it then, and no further one has that field.

        Raises:
            OSError: There is no such file; nothing was sent.
            ApiError: It was not taken, or nobody knows whether it was (INDETERMINATE).
        """
        connections = self._connect()
        with TimedFile(path, self.timeouts.upload) as stream:
            refused: set[str] = set()
            try:
                file = self._upload(connections, stream, name, refused)
            except ApiError:
                if not refused:
                    raise
                self._parameters.leave_out(refused)
                file = self._upload(connections, stream, name, set())
        if file.is_pending:
            self._pending.add(file.id)
        return file.id

    def _upload(
        self, connections: "Connections", stream: TimedFile, name: str, refused: set[str]
    ) -> objects.UploadedFile:
        fields = self._parameters.of_upload(self._input_expires_seconds)
        return connections.call(
            Operation.UPLOAD,
            lambda: connections.upload(stream, name, fields, refused),
            objects.uploaded_file,
        )

    def is_pending(self, file_id: str, *, ask: bool = False) -> bool:
        """Whether the server still processes a file, so that no batch can be made of it yet.

        One call, or none if the answer to the upload was the last word: `ask` for another one.

        Raises:
            ApiError: Its code is `file_failed` if the server will never be done with it.
        """
        if not (ask or file_id in self._pending):
            return False
        connections = self._connect()
        file = connections.call(
            Operation.RETRIEVE_FILE,
            lambda: connections.get("files", file_id),
            objects.uploaded_file,
        )
        if file.has_failed:
            reason = "the server could not process the input file"
            raise ApiError(
                Operation.RETRIEVE_FILE,
                Failure(FailureKind.PERMANENT, error_codes.FILE_FAILED, reason),
            )
        if file.is_pending:
            self._pending.add(file_id)
        else:
            self._pending.discard(file_id)
        return file.is_pending

    def create_batch(
        self,
        input_file_id: str,
        metadata: Mapping[str, str],
        output_expires_after_seconds: int,
    ) -> RemoteBatch:
        """Create a batch, which is what costs money, by one POST.

        Files that it makes are deleted by the server `output_expires_after_seconds` after its
        creation, at the latest, or as soon as it allows to ask for.

        Raises:
            ApiError: There is no batch, or nobody knows whether there is (INDETERMINATE). Its code
                is `parameter_refused` if the server does not take a parameter that it can do
                without: no batch was made, and another call leaves it out.
        """
        connections = self._connect()
        asked = self._parameters.of(input_file_id, metadata, output_expires_after_seconds)
        refused: set[str] = set()
        try:
            return connections.call(
                Operation.CREATE_BATCH,
                lambda: connections.create_batch(asked, refused),
                objects.remote_batch,
            )
        except ApiError as error:
            if not refused or error.failure.kind is not FailureKind.PERMANENT:
                raise
        raise self._parameters.leave_out(refused)

    def complete(
        self, body: Mapping[str, Any], call_id: str, *, by_flex: bool = False
    ) -> tuple[Response, Failure | None]:
        """Send a synchronous request by one POST: its answer, and why that is of no use if so.

        `body` is that of a line of an input file. `call_id`, in ASCII, is kept in the server's
        logs: its people find the call by it, programs cannot. `by_flex` asks for the tier that
        costs less and may take long; without it the server's default is taken.

        Raises:
            ApiError: There is no answer. The kind is INDETERMINATE if it may have been answered and
                paid for. The code is `tier_refused`, of kind CAPACITY, if only the tier was
                refused.
        """
        connections = self._connect()
        operation = Operation.FLEX_COMPLETION if by_flex else Operation.CHAT_COMPLETION
        refused: set[str] = set()
        try:
            return connections.call(
                operation,
                lambda: connections.complete(body, call_id, refused, by_flex=by_flex),
                read_answer,
            )
        except ApiError as error:
            if not refused or error.failure.kind is not FailureKind.PERMANENT:
                raise
        reason = "the server does not answer for this model by flex"
        raise ApiError(operation, Failure(FailureKind.CAPACITY, error_codes.TIER_REFUSED, reason))

    def retrieve(self, batch_id: str) -> RemoteBatch:
        """Ask for a batch as the server sees it now."""
        _check_id(Operation.RETRIEVE_BATCH, batch_id)
        connections = self._connect()
        return connections.call(
            Operation.RETRIEVE_BATCH,
            lambda: connections.get("batches", batch_id),
            objects.remote_batch,
        )

    def cancel(self, batch_id: str) -> RemoteBatch:
        """Ask the server to end a batch; it may run on for ten minutes, and what ran is paid."""
        _check_id(Operation.CANCEL_BATCH, batch_id)
        connections = self._connect()
        return connections.call(
            Operation.CANCEL_BATCH,
            lambda: connections.post("batches", batch_id, "cancel"),
            objects.remote_batch,
        )

    def list_batches(self, *, created_after: datetime | None = None) -> Iterator[RemoteBatch]:
        """Iterate over the batches of the account that were made since then, by our clock.

        Page by page; a list that is seen to be newest first is left once it has come there.

        Raises:
            ApiError: A page cannot be read, or the list does not come to its end.
        """
        return listings.every_item(
            Operation.LIST_BATCHES, self.batches_page, created_after, lambda: self.clock_ahead
        )

    def page_of_batches(self, after: str | None) -> tuple[tuple[RemoteBatch, ...], bool]:
        """Read a page of that list, after a batch or the first; and whether there is more."""
        page = self.batches_page(after)
        return page.items, page.has_more is not False and bool(page.items)

    def batches_page(self, after: str | None = None) -> objects.Page[RemoteBatch]:
        """Read the page of batches that begins after one, or the first, by one call."""
        connections = self._connect()
        query = {"limit": _BATCHES_A_PAGE, **_cursor(after)}
        return connections.call(
            Operation.LIST_BATCHES,
            lambda: connections.get("batches", query=query),
            functools.partial(objects.page, objects.remote_batch),
        )

    def list_files(self, *, created_after: datetime | None = None) -> Iterator[RemoteFile]:
        """Iterate over files with the purpose of input files, as `list_batches` does."""
        return listings.every_item(
            Operation.LIST_FILES, self.files_page, created_after, lambda: self.clock_ahead
        )

    def files_page(self, after: str | None = None) -> objects.Page[RemoteFile]:
        """Read the page of these files that begins after one, or the first.

        One call, and further ones where the server refuses pages of that size, as far as is known.
        """
        sizes = self._files_a_page
        while True:
            try:
                page = self._files_page(after, sizes[0])
            except ApiError as error:
                if len(sizes) == 1 or not _may_be_for_its_size(error.failure):
                    raise
                sizes = sizes[1:]
            else:
                self._files_a_page = sizes
                return page

    def _files_page(self, after: str | None, size: int | None) -> objects.Page[RemoteFile]:
        if not self.profile.has_file_list:
            raise _unsupported(Operation.LIST_FILES)
        connections = self._connect()
        query = {"order": "desc", "purpose": self.profile.purpose, **_cursor(after)}
        if size is not None:
            query["limit"] = str(size)
        return connections.call(
            Operation.LIST_FILES,
            lambda: connections.get("files", query=query),
            functools.partial(objects.page, objects.remote_file),
        )

    def delete_file(self, file_id: str) -> bool:
        """Delete a file. False: there is none (any more); after a lost answer also if we did it.

        Raises:
            ApiError: It was not deleted; the code is `unsupported` if the server deletes none.
        """
        if not self.profile.has_delete:
            raise _unsupported(Operation.DELETE_FILE)
        connections = self._connect()
        try:
            deleted = connections.call(
                Operation.DELETE_FILE,
                lambda: connections.delete("files", file_id),
                objects.is_deleted,
            )
        except ApiError as error:
            if error.failure.code == error_codes.NOT_FOUND:
                return False
            raise
        if not deleted:
            reason = "the server kept the file"
            raise ApiError(
                Operation.DELETE_FILE, Failure(FailureKind.TRANSIENT, "not_deleted", reason)
            )
        return True

    def file_bytes(self, file_id: str) -> int:
        """Ask for the size of a file, by one call; 0 also where the server does not say."""
        connections = self._connect()
        return connections.call(
            Operation.RETRIEVE_FILE,
            lambda: connections.get("files", file_id),
            objects.remote_file,
        ).bytes

    def download(self, file_id: str) -> Generator[bytes, None, None]:
        """Iterate over the lines of a file, without their ends, as they arrive.

        Whoever stops early closes it.

        Raises:
            ApiError: The file is not given, or was cut in the middle: the lines before are whole,
                and a new download begins with the first one again.
        """
        yield from self._connect().lines(file_id)

    def check_account(self) -> None:
        """Make one cheap call.

        Raises:
            ApiError: The kind is ACCOUNT if the key is refused.
        """
        connections = self._connect()
        connections.call(
            Operation.CHECK_ACCOUNT,
            lambda: connections.get("batches", query={"limit": 1}),
            objects.items,
        )


def _cursor(after: str | None) -> dict[str, str]:
    return {} if after is None else {"after": after}


def _may_be_for_its_size(failure: Failure) -> bool:
    no_list = {error_codes.NOT_FOUND, error_codes.UNSUPPORTED}
    return failure.kind is FailureKind.PERMANENT and failure.code not in no_list


def _unsupported(operation: Operation) -> ApiError:
    reason = "the server does not offer this"
    return ApiError(operation, Failure(FailureKind.PERMANENT, error_codes.UNSUPPORTED, reason))


def _check_id(operation: Operation, batch_id: str) -> None:
    """Refuse what LiveDash keeps as the server's id and no server can know: nobody is asked."""
    if not objects.is_id(batch_id):
        reason = "no server has a batch of such an id"
        raise ApiError(operation, Failure(FailureKind.PERMANENT, error_codes.NOT_FOUND, reason))

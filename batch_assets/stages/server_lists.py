"""Reading the server's lists to their end, in any order, for what is unresolved.

A run reads a bounded number of pages, and the next one goes on where it stopped. What a list shows
of batches and files that must be there says that it is the list of the account that they were made
with: only then does it prove anything absent.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from batch_assets.domain.batches import EARLIER_INSTALLATION, UnresolvedBatch
from batch_assets.domain.errors import ApiError, Failure, FailureKind
from batch_assets.domain.records import RemoteBatch, RemoteFile
from batch_assets.openai_batch import error_codes
from batch_assets.openai_batch.listings import endless
from batch_assets.openai_batch.objects import Page
from batch_assets.openai_batch.operations import Operation
from batch_assets.stages.pipeline import Budget, Pipeline
from batch_assets.stages.remote_ids import (
    account_of_anchor,
    batch_of,
    batch_of_file,
    lists_no_files,
    whose,
    whose_file,
)
from batch_assets.store.intents import Intent, Search

_Item = TypeVar("_Item", RemoteBatch, RemoteFile)


class _PlaceForgottenError(Exception):
    """The item after which the next page begins has gone meanwhile."""


class ServerLists:
    """What one run reads of the server's lists."""

    def __init__(
        self,
        pipeline: Pipeline,
        installation_id: str,
        search: Search,
        unresolved: Sequence[UnresolvedBatch],
        budget: Budget,
    ) -> None:
        self.batches: defaultdict[str, list[RemoteBatch]] = defaultdict(list)
        """Ours, by our ids: known by their metadata, else by their input file."""
        self.files: defaultdict[str, list[RemoteFile]] = defaultdict(list)
        """Our input files, by our ids."""
        self.is_whole = False
        """Whether the search has come to the end of what the server lists."""
        self.is_blind = False
        """Whether the list of batches cannot be read to its end."""
        self._has_ended = False
        self._nameless: list[str] = []
        """Batches that say nothing of who made them; by the server's ids."""
        self._pipeline = pipeline
        self._installation_id = installation_id
        self._search = search
        self._budget = budget
        self._pages_left = pipeline.policy.pages_per_search
        self._left_at = search.after
        """Where an earlier run has stopped."""
        self._recorded = {
            one.input_file_id: one.id for one in unresolved if one.input_file_id is not None
        }
        self._sought = frozenset(one.id for one in unresolved)
        self.inherited = frozenset(one.id for one in unresolved if one.is_of_earlier_installation)
        """What is looked for under any installation's id."""
        self._others: dict[str, str] = {}
        """Batches of other installations, by the server's ids: one of them may be lost."""

    def read(self) -> None:
        """Read on from where the search has come to, as far as the bounds allow.

        Raises:
            ApiError: The list of batches cannot be read; what was seen by then is kept.
        """
        try:
            if self._search.reading == "files":
                self._read_files()
            if self._search.reading == "batches":
                self._read_batches()
        except _PlaceForgottenError:
            self._search.begin_anew()
        except ApiError as error:
            if error.failure.code != error_codes.ENDLESS:
                raise
            self.is_blind = True

    def note_shown(self, known: Mapping[str, Intent]) -> None:
        """Keep of which accounts the lists have shown something that we have put there."""
        search = self._search
        search.shown_batches |= _accounts(known, self.batches)
        search.shown_files |= _accounts(known, self.files)
        if self._nameless:
            search.shown_batches |= self._pipeline.intents.accounts_of(self._nameless)
        if (
            self.inherited
            and self._others
            and self._pipeline.earlier_installation.are_named(self._others)
        ):
            search.shown_batches.add(EARLIER_INSTALLATION)

    @property
    def _is_out(self) -> bool:
        return self._pages_left <= 0 or self._budget.is_late

    def _read_files(self) -> None:
        try:
            for files in self._pages(Operation.LIST_FILES, self._pipeline.api.files_page):
                for file in files:
                    self._see_file(file)
        except ApiError as error:
            # What was seen of it is worth as much without the rest.
            if not (lists_no_files(error) or error.failure.code == error_codes.ENDLESS):
                raise
            self._search.lists_files = error.failure.code == error_codes.ENDLESS
            self._has_ended = True
        if self._has_ended:
            self._search.reading, self._search.after = "batches", None

    def _see_file(self, file: RemoteFile) -> None:
        account = account_of_anchor(file, self._installation_id)
        if account is not None:
            self._search.shown_files.add(account)
            return
        batch_id = batch_of_file(file, self._installation_id) or self._recorded.get(file.id)
        if batch_id is None:
            batch_id = whose_file(file)
            if batch_id not in self.inherited:
                return
        self.files[batch_id].append(file)
        if batch_id in self._sought:
            self._search.files[file.id] = batch_id

    def _read_batches(self) -> None:
        for batches in self._pages(Operation.LIST_BATCHES, self._pipeline.api.batches_page):
            for batch in batches:
                self._see_batch(batch)
        self.is_whole = self._has_ended

    def _see_batch(self, batch: RemoteBatch) -> None:
        batch_id = batch_of(batch, self._installation_id)
        if batch_id is None and batch.input_file_id is not None:
            owners = self._recorded | self._search.files
            batch_id = owners.get(batch.input_file_id)
        carried = whose(batch)
        if batch_id is None and carried in self.inherited:
            batch_id = carried
        if batch_id is None:
            self._nameless.append(batch.id)
            if carried is not None:
                self._others[batch.id] = carried
            return
        self.batches[batch_id].append(batch)
        if batch_id in self._sought:
            self._search.batches[batch.id] = batch_id

    def _pages(
        self, operation: Operation, read: Callable[[str | None], Page[_Item]]
    ) -> Iterator[Sequence[_Item]]:
        """The pages from where the search is on, until the list has ended or the bounds are met."""
        search = self._search
        seen: set[str] = set()
        self._has_ended = False
        while not self._is_out:
            page = self._page(read)
            self._pages_left -= 1
            is_repeated = search.after in {item.id for item in page.items}
            fresh = [] if is_repeated else [one for one in page.items if one.id not in seen]
            yield fresh
            if page.has_more is False or (not fresh and page.has_more is None):
                self._has_ended = True
                return
            if not fresh:
                raise endless(operation)
            seen.update(item.id for item in fresh)
            search.after = fresh[-1].id

    def _page(self, read: Callable[[str | None], Page[_Item]]) -> Page[_Item]:
        """One page. `_PlaceForgottenError` if the server does not know where a run has stopped."""
        try:
            return read(self._search.after)
        except ApiError as error:
            if self._search.after is None or not self._is_for_its_place(error.failure, read):
                raise
            raise _PlaceForgottenError from None

    def _is_for_its_place(
        self, failure: Failure, read: Callable[[str | None], Page[_Item]]
    ) -> bool:
        """Whether a page is not given for where it begins: some gateways fail at that, with a 500.

        It is so where the list's beginning is given while what follows a place of long ago is not.
        """
        if failure.kind is FailureKind.PERMANENT:
            return True
        is_unclear = failure.kind is FailureKind.TRANSIENT and failure.code != error_codes.TIMEOUT
        if not is_unclear or self._search.after != self._left_at:
            return False
        try:
            read(None)
        except ApiError:
            return False
        return True


def _accounts(known: Mapping[str, Intent], listed: Collection[str]) -> set[str]:
    return {known[batch_id].account or "" for batch_id in listed if batch_id in known}

"""Scenes of the operations that only read; see `scenes`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from batch_assets_tests.store.queries.support import Desk, terms
from batch_assets_tests.store.strategy.scene import Scene


def active_companies(desk: Desk) -> Scene:
    company_id, _ = desk.company()

    def judge(answer: Any) -> None:
        assert [one.id for one in answer] == [company_id]

    return lambda queries: queries.active_companies(), judge


def model_prices(desk: Desk) -> Scene:
    desk.do(
        'INSERT INTO public."AIModel" (id, name, provider, "maxTokens", "isActive", "updatedAt")'
        " VALUES ('m', 'gpt-4o-mini', 'openai', 1, true, now())"
    )
    desk.do(
        'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
        " \"completionTokenCost\", \"effectiveFrom\") VALUES ('p', 'm', 1e-6, 4e-6, now())"
    )

    def judge(answer: Any) -> None:
        assert list(answer) == ["gpt-4o-mini"]

    return lambda queries: queries.model_prices(), judge


def pending_by_company(desk: Desk) -> Scene:
    company_id, _ = desk.company(3)

    def judge(answer: Any) -> None:
        assert [(one.company_id, one.requests) for one in answer] == [(company_id, 3)]

    return lambda queries: queries.pending_by_company([company_id]), judge


def preview(desk: Desk) -> Scene:
    company_id, ids = desk.company(3, age=timedelta(hours=1))

    def judge(answer: Any) -> None:
        assert [len(draft.candidates) for one in answer for draft in one.drafts] == [3]
        assert desk.statuses(ids) == {"PENDING_BATCHING"}
        assert desk.intake() == set(ids)

    return lambda queries: queries.preview([company_id], terms()), judge


def conversations(desk: Desk) -> Scene:
    (first, ids), (second, more) = desk.claimed(3), desk.claimed(2)

    def judge(answer: Any) -> None:
        assert [one.request_id for one in answer] == [*more, *ids]

    return lambda queries: list(queries.conversations([second.id, first.id])), judge


def batches_in_flight(desk: Desk) -> Scene:
    batch, _ = desk.submitted()

    def judge(answer: Any) -> None:
        assert answer == [batch]

    return lambda queries: queries.batches_in_flight(10), judge


def rows_of(desk: Desk) -> Scene:
    batch, ids = desk.claimed()
    row = (batch.id, ids[0])

    def judge(answer: Any) -> None:
        assert answer == {row: "full_analysis"}

    return lambda queries: queries.rows_of([row, (batch.id, "other")]), judge


def open_rows(desk: Desk) -> Scene:
    batch, ids = desk.claimed(3)

    def judge(answer: Any) -> None:
        assert answer == [(batch.id, request_id) for request_id in sorted(ids)]

    return lambda queries: queries.open_rows([batch.id], 10), judge


def leftovers(desk: Desk) -> Scene:
    batch, _ = desk.ended()
    desk.queries.finalize([batch.lease])

    def judge(answer: Any) -> None:
        assert [one.batch_id for one in answer] == [batch.id]

    return lambda queries: queries.leftovers(10), judge


def statistics(desk: Desk) -> Scene:
    company_id, _ = desk.company(3)

    def judge(answer: Any) -> None:
        assert [(one.company_id, one.waiting) for one in answer] == [(company_id, 3)]

    return lambda queries: queries.statistics(), judge


READING: dict[str, Callable[[Desk], Scene]] = {
    scene.__name__: scene
    for scene in (
        active_companies,
        model_prices,
        pending_by_company,
        preview,
        conversations,
        batches_in_flight,
        rows_of,
        open_rows,
        leftovers,
        statistics,
    )
}

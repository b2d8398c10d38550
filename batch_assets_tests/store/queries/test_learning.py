"""What answers have used is kept when they are written, for the estimates of the next ones."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Row

from batch_assets.domain.batches import BatchOutcomes, EndedBatch
from batch_assets.domain.estimates import HALF_LIFE
from batch_assets.domain.money import Cost
from batch_assets.domain.packing import JSON_BYTES_PER_MESSAGE
from batch_assets.domain.records import RowOutcome
from batch_assets.store.registry import Registry
from batch_assets_tests.store.queries.support import (
    COST,
    POLICY,
    USAGE,
    Desk,
    completed,
    failed,
)

MODEL = "gpt-4o-mini"


def asked(outcome: RowOutcome, name: str = "summary") -> RowOutcome:
    return replace(outcome, processing_type=name)


def used(outcome: RowOutcome, prompt_tokens: int, completion_tokens: int) -> RowOutcome:
    assert outcome.response is not None
    usage = replace(
        USAGE, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, cached_tokens=None
    )
    return replace(outcome, response=replace(outcome.response, usage=usage))


def write(desk: Desk, *results: tuple[EndedBatch, Sequence[RowOutcome]]) -> None:
    outcomes = [BatchOutcomes(batch.lease, rows, model=batch.model) for batch, rows in results]
    written = desk.queries.write_results(outcomes, POLICY)
    assert written.keys() == {batch.id for batch, _ in results}


def learnt(desk: Desk) -> dict[str, Row[tuple[object, ...]]]:
    rows = desk.rows("SELECT * FROM batch_assets.learnt_usage")
    assert {row.model for row in rows} <= {MODEL}
    return {row.processing_type: row for row in rows}


def test_a_claim_keeps_what_each_request_was_estimated_by(desk: Desk) -> None:
    batch, ids = desk.claimed(2)
    (content,) = desk.column(
        'SELECT sum(octet_length(content)) FROM public."Message" WHERE "sessionId" = :id',
        id=desk.session_id(ids[0]),
    )
    attempts = [desk.attempt(one) for one in ids]
    assert {one.text_bytes for one in attempts} == {content + 4 * JSON_BYTES_PER_MESSAGE}
    estimated = sum(one.estimated_cost_eur for one in attempts)
    assert estimated == pytest.approx(desk.batch(batch.id).estimated_cost_eur)


def test_a_model_without_a_price_has_no_estimate(desk: Desk) -> None:
    company_id, ids = desk.company(1)
    desk.claim(company_id, price=None)
    assert desk.attempt(ids[0]).estimated_cost_eur is None


def test_each_answer_adds_what_it_has_used(desk: Desk) -> None:
    batch, ids = desk.ended(4)
    write(
        desk,
        (
            batch,
            [
                asked(used(completed(ids[0]), 500, 80)),
                asked(used(completed(ids[1]), 700, 40)),
                asked(completed(ids[2]), "full_analysis"),
                asked(failed(ids[3], paid=True), "full_analysis"),
            ],
        ),
    )
    rows = learnt(desk)
    size = desk.attempt(ids[0]).text_bytes
    one = rows["summary"]
    assert (one.answers, one.weight, one.text_bytes) == (2, 2, 2 * size)
    assert (one.prompt_tokens, one.completion_tokens, one.cached_tokens) == (1_200, 120, 0)
    assert one.text_bytes_squared == pytest.approx(2 * size**2)
    assert one.text_bytes_by_prompt_tokens == pytest.approx(size * 1_200)
    assert one.completion_tokens_squared == pytest.approx(80**2 + 40**2)
    estimated = 2 * desk.attempt(ids[0]).estimated_cost_eur
    assert one.estimated_eur == pytest.approx(estimated)
    assert one.billed_eur == pytest.approx(2 * COST.eur)
    assert one.off_eur == pytest.approx(abs(estimated - 2 * COST.eur))
    other = rows["full_analysis"]
    assert (other.answers, other.cached_tokens) == (2, 2 * 1_024), "also of what could not be used"


def test_nothing_is_learnt_of_what_was_not_answered_or_not_asked_by_us(desk: Desk) -> None:
    batch, ids = desk.ended(3)
    desk.do("UPDATE batch_assets.attempt SET text_bytes = NULL WHERE request_id = :id", id=ids[2])
    rows = [asked(failed(ids[0])), RowOutcome(ids[1]), asked(completed(ids[2]))]
    write(desk, (batch, rows))
    assert learnt(desk) == {}


def test_an_answer_without_a_cost_says_what_it_has_used_and_nothing_of_the_error(
    desk: Desk,
) -> None:
    batch, ids = desk.ended(1)
    write(desk, (batch, [asked(completed(ids[0], cost=Cost(is_known=False)))]))
    one = learnt(desk)["summary"]
    assert (one.answers, one.prompt_tokens) == (1, USAGE.prompt_tokens)
    assert (one.estimated_eur, one.billed_eur, one.off_eur) == (0, 0, 0)


def test_a_line_that_comes_twice_is_learnt_once(desk: Desk) -> None:
    batch, ids = desk.ended(1)
    twice = [asked(completed(ids[0])), asked(completed(ids[0]))]
    write(desk, (batch, twice))
    write(desk, (batch, twice))
    assert learnt(desk)["summary"].answers == 1


def test_an_answer_to_a_request_that_is_gone_counts_too(desk: Desk) -> None:
    batch, ids = desk.ended(2)
    desk.delete_session(ids[0])
    write(desk, (batch, [asked(completed(one)) for one in ids]))
    assert learnt(desk)["summary"].answers == 2


def test_batches_of_one_write_count_one_after_the_other(desk: Desk, registry: Registry) -> None:
    first, ids = desk.ended(1)
    second, more = desk.ended(1)
    write(
        desk,
        (first, [asked(used(completed(ids[0]), 400, 80))]),
        (second, [asked(used(completed(more[0]), 600, 80))]),
    )
    keeps = 0.5 ** (1 / HALF_LIFE)
    one = registry.snapshot().learnt_usage[MODEL]["summary"]
    assert one.answers == 2
    assert one.weight == pytest.approx(1 + keeps, rel=1e-12)
    assert one.prompt_tokens == pytest.approx(600 + 400 * keeps, rel=1e-12)


def test_what_was_there_before_counts_less_and_never_becomes_an_error(desk: Desk) -> None:
    batch, ids = desk.ended(1)
    write(desk, (batch, [asked(used(completed(ids[0]), 400, 80))]))
    desk.do("UPDATE batch_assets.learnt_usage SET cached_tokens = 1e-300, weight = 1000")
    batch, ids = desk.ended(1)
    write(desk, (batch, [asked(used(completed(ids[0]), 400, 80))]))
    one = learnt(desk)["summary"]
    assert one.weight == pytest.approx(1_000 * 0.5 ** (1 / HALF_LIFE) + 1)
    assert 0 <= one.cached_tokens < 1e-9


def test_two_writers_that_learn_the_same_do_not_lock_each_other_out(desk: Desk) -> None:
    batches = [desk.ended(4) for _ in range(6)]

    def one_writer(own: list[tuple[EndedBatch, list[str]]], names: list[str]) -> None:
        for batch, ids in own:
            rows = [asked(completed(one), name) for one, name in zip(ids, names, strict=True)]
            write(desk, (batch, rows))

    names = ["summary", "full_analysis", "categorization", "sentiment_analysis"]
    with ThreadPoolExecutor(2) as pool:
        writers = [
            pool.submit(one_writer, batches[:3], names),
            pool.submit(one_writer, batches[3:], names[::-1]),
        ]
        for writer in writers:
            writer.result()
    assert {name: row.answers for name, row in learnt(desk).items()} == dict.fromkeys(names, 6)

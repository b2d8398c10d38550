"""Reading the conversations of a claimed batch."""

from datetime import timedelta

from batch_assets.domain.records import Conversation
from batch_assets_tests.factories import make_request, make_session
from batch_assets_tests.store.queries.support import Desk


def test_conversations_come_oldest_first_with_their_lines_in_order(desk: Desk) -> None:
    company_id, (young,) = desk.company(1, messages=[("user", "Hoi"), ("assistant", "Dag")])
    (old,) = desk.more(
        company_id, 1, age=timedelta(hours=1), messages=[("user", 'Say "no"\n'), ("bot", "")]
    )
    (batch,) = desk.claim(company_id).batches
    first, second = desk.queries.conversations([batch.id])
    assert (first.request_id, second.request_id) == (old, young)
    assert said(first) == [("user", 'Say "no"\n'), ("bot", "")]
    assert said(second) == [("user", "Hoi"), ("assistant", "Dag")]
    assert first.session_id == desk.session_id(old)
    assert (first.batch_id, first.model, first.processing_type) == (
        batch.id,
        "gpt-4o-mini",
        "full_analysis",
    )


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return list(zip(conversation.roles, conversation.contents, strict=True))


def test_a_message_has_its_time_in_utc_or_that_of_its_writing(desk: Desk) -> None:
    batch, _ = desk.claimed(1, messages=4)
    desk.do(
        """
        UPDATE public."Message" SET
            timestamp = (CAST(:times AS timestamptz[]))["order" + 1],
            "createdAt" = '2026-03-13 00:00:00+00'
        """,
        times=[
            "2026-03-12 23:30:05.9+00",
            "2026-03-13 00:30:05+02",
            None,
            "infinity",
        ],
    )
    (conversation,) = desk.queries.conversations([batch.id])
    assert list(conversation.times) == [
        "2026-03-12 23:30:05",
        "2026-03-12 22:30:05",
        "2026-03-13 00:00:00",
        "",
    ]


def test_lines_are_ordered_by_their_number_not_by_their_writing(desk: Desk) -> None:
    company_id, _ = desk.company()
    with desk.engine.begin() as connection:
        session_id = make_session(connection, company_id, messages=12)
        make_request(connection, session_id)
    desk.do('UPDATE public."Message" SET "order" = 100 - "order"')
    desk.queries.notice_pending(10)
    (batch,) = desk.claim(company_id).batches
    (conversation,) = desk.queries.conversations([batch.id])
    wanted = desk.column('SELECT content FROM public."Message" ORDER BY "order"')
    assert list(conversation.contents) == wanted


def test_a_deleted_session_is_left_out_and_an_emptied_one_comes_empty(desk: Desk) -> None:
    batch, (deleted, emptied, whole) = desk.claimed(3)
    desk.delete_session(deleted)
    desk.do(
        'DELETE FROM public."Message" WHERE "sessionId" = :session',
        session=desk.session_id(emptied),
    )
    found = {one.request_id: len(one.contents) for one in desk.queries.conversations([batch.id])}
    assert found == {emptied: 0, whole: 4}


def test_only_rows_that_are_still_open_are_read(desk: Desk) -> None:
    batch, ids = desk.claimed(2)
    desk.queries.release([batch.lease])
    assert list(desk.queries.conversations([batch.id])) == []
    assert desk.statuses(ids) == {"PENDING_BATCHING"}


def test_two_batches_are_not_mixed(desk: Desk) -> None:
    first, ids_of_first = desk.claimed(2)
    second, ids_of_second = desk.claimed(2)
    for batch, ids in ((first, ids_of_first), (second, ids_of_second)):
        read = [one.request_id for one in desk.queries.conversations([batch.id])]
        assert read == ids
    both = [one.request_id for one in desk.queries.conversations([second.id, first.id])]
    assert both == [*ids_of_second, *ids_of_first], "in the order in which they were asked for"
    assert list(desk.queries.conversations([])) == []


def test_text_never_shows_in_a_repr(desk: Desk) -> None:
    batch, _ = desk.claimed(1, messages=[("user", "my secret")])
    (conversation,) = desk.queries.conversations([batch.id])
    assert "my secret" in conversation.contents
    assert "my secret" not in repr(conversation)

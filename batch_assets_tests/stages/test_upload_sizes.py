"""Uploads that are refused for their size: halved until they are taken, and never for ever."""

from typing import Any

from batch_assets_tests.stages.support import Lab, call_rule, refusal

BYTES = 40_000
"""What the server takes, or the gateway before it; a request of these tests is 13,000 or so."""
LONG: list[tuple[str, str]] = [("user", "x" * 10_000)]
TOO_LONG: list[tuple[str, str]] = [("user", "x" * 60_000)]


def small(lab: Lab) -> None:
    lab.configure(limits={"max_file_bytes": BYTES})


def refuse_all() -> dict[str, Any]:
    return call_rule("files.create", refusal(413))


def test_a_batch_that_is_too_large_is_sent_in_parts(lab: Lab) -> None:
    _, ids = lab.company(12, messages=LONG)
    _, others = lab.company(2)
    small(lab)
    report = lab.submit()
    assert report.requests == 14
    assert report.batches >= 5
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 14}
    assert lab.times_billed([*ids, *others]) == [1] * 14


def test_what_was_learned_holds_for_the_next_run(lab: Lab) -> None:
    company_id, _ = lab.company(12, messages=LONG)
    small(lab)
    assert lab.submit().released > 0
    lab.more(company_id, 12, messages=LONG)
    assert lab.submit().released == 0
    lab.desk.do("UPDATE batch_assets.installation SET upload_bytes_until = clock_timestamp()")
    lab.more(company_id, 12, messages=LONG)
    assert lab.submit().released > 0, "it is asked again some day"
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 36}


def test_a_request_that_is_too_large_alone_is_a_dead_letter_that_says_so(lab: Lab) -> None:
    company_id, good = lab.company(4, messages=LONG)
    bad = lab.more(company_id, 1, messages=TOO_LONG)
    small(lab)
    report = lab.submit()
    assert report.rejected == {"upload_refused": 1}
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 4, "dead": 1}
    assert lab.times_billed([*good, *bad]) == [1, 1, 1, 1, 0]
    (reason,) = lab.desk.column("SELECT reason FROM batch_assets.dead_letter")
    assert "413" in reason


def test_a_request_that_is_too_large_is_found_where_nothing_else_waits(lab: Lab) -> None:
    lab.company(1, messages=TOO_LONG)
    small(lab)
    assert lab.submit().rejected == {"upload_refused": 1}
    assert lab.bucket_counts() == {"dead": 1}
    assert lab.remote_files() == []


def test_a_gateway_that_takes_nothing_is_no_fault_of_any_request(lab: Lab) -> None:
    _, ids = lab.company(12)
    lab.configure(calls=[refuse_all()])
    report = lab.submit()
    assert (report.batches, report.released, report.rejected) == (0, 1, {})
    assert lab.submit().batches == 0, "the model is in cooldown"
    assert lab.bucket_counts() == {"waiting": 12}
    assert lab.pipeline.read_snapshot().upload_bytes is None
    lab.desk.do("DELETE FROM batch_assets.model_cooldown")
    lab.configure()
    assert lab.submit().batches == 1
    lab.read_to_the_end()
    assert lab.times_billed(ids) == [1] * 12


def test_a_cap_is_not_used_up_by_what_was_refused(lab: Lab) -> None:
    _, ids = lab.company(12, messages=LONG)
    small(lab)
    caps = lab.pipeline.policy.caps
    capped = lab.under(caps=type(caps)(run_requests=12))
    assert capped.submit().requests == 12
    lab.read_to_the_end()
    assert lab.times_billed(ids) == [1] * 12


def test_batches_are_as_large_as_the_settings_say_whatever_is_read_at_one_time(lab: Lab) -> None:
    _, ids = lab.company(30, messages=2)
    large = lab.under(max_batch_requests=12, rows_per_look=5, rows_per_claim=4)
    assert large.submit().batches == 3
    sent = "SELECT requests FROM batch_assets.batch ORDER BY claimed_at, requests DESC"
    assert lab.desk.column(sent) == [12, 12, 6]
    lab.read_to_the_end()
    assert lab.bucket_counts() == {"complete": 30}
    assert lab.times_billed(ids) == [1] * 30


def test_files_that_end_at_their_bytes_are_full_to_a_twentieth(lab: Lab) -> None:
    _, ids = lab.company(120, messages=[("user", "word " * 16 + '5"\n')] * 24)
    large = lab.under(max_batch_requests=120, max_batch_bytes=200_000, rows_per_look=5)
    large.submit()
    sent = "SELECT input_bytes FROM batch_assets.batch ORDER BY claimed_at, requests DESC"
    *full, _ = lab.desk.column(sent)
    assert len(full) >= 2
    assert all(190_000 < size <= 200_000 for size in full)
    # There was more to escape than was estimated: what did not fit in goes with the next ones.
    large.submit()
    lab.read_to_the_end()
    assert lab.times_billed(ids) == [1] * 120

"""What LiveDash's older live path left: it was paid for, or it failed, and is never bought."""

from batch_assets_tests.factories import make_company, make_session
from batch_assets_tests.stages.support import Lab
from drills.livedash import Answer, LivePath


def history(lab: Lab, *, answered: int, failed: int) -> list[str]:
    """Rows of synchronous calls, each of a session of its own."""
    with lab.desk.engine.begin() as connection:
        company_id = make_company(connection)
        live_path = LivePath(connection)
        return [
            *(
                live_path.record_answered(make_session(connection, company_id), Answer("{}"))
                for _ in range(answered)
            ),
            *(
                live_path.record_failed(make_session(connection, company_id), "OpenAI API error")
                for _ in range(failed)
            ),
        ]


def test_of_forty_answered_and_ten_failed_ones_none_is_bought(lab: Lab) -> None:
    ids = history(lab, answered=40, failed=10)
    before = lab.desk.everything()["request"]
    assert lab.submit().requests == 0
    assert lab.times_billed(ids) == [0] * 50
    assert lab.desk.everything()["request"] == before


def test_a_new_request_among_them_is_bought_in_the_next_run(lab: Lab) -> None:
    old = history(lab, answered=4, failed=2)
    _, new = lab.company(3)
    assert lab.submit().requests == 3
    lab.read_to_the_end()
    assert lab.times_billed(new) == [1, 1, 1]
    assert lab.times_billed(old) == [0] * 6

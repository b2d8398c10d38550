"""What ops hand on is kept by run and op, and for a day."""

from sqlalchemy import Engine, text

from batch_assets.store.runs import RunStates


def test_an_op_hands_on_by_run_and_op(engine: Engine) -> None:
    states = RunStates(engine)
    assert states.read("run-1", "load_companies") is None
    handed_on = {"seconds": 0.5, "companies": {"c1": "Zorg \u2028 \u00e9"}}
    states.keep("run-1", "load_companies", handed_on)
    states.keep("run-2", "load_companies", {"seconds": 1.0})
    states.keep("run-1", "submit_batches", {"failure": "It is broken."})
    assert states.read("run-1", "load_companies") == handed_on
    states.keep("run-1", "load_companies", {"seconds": 2.0})
    assert states.read("run-1", "load_companies") == {"seconds": 2.0}
    assert states.read("run-2", "load_companies") == {"seconds": 1.0}


def test_what_is_older_than_a_day_goes_by_itself(engine: Engine) -> None:
    states = RunStates(engine)
    states.keep("old", "submit_batches", {})
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE batch_assets.run_state"
                " SET recorded_at = recorded_at - interval '1 day 1 minute'"
            )
        )
    states.keep("new", "submit_batches", {})
    assert states.read("old", "submit_batches") is None
    assert states.read("new", "submit_batches") == {}

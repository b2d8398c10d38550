"""A result finds its request by the name that the request's line was given."""

from hypothesis import given
from hypothesis import strategies as st

from batch_assets.domain.custom_ids import can_be_matched, custom_id_of, request_id_of


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=512))
def test_what_can_be_matched_is_found_again(request_id: str) -> None:
    assert can_be_matched(request_id)
    assert request_id_of(custom_id_of(request_id)) == request_id


@given(st.text() | st.none() | st.integers() | st.binary())
def test_nothing_is_found_by_what_could_not_be_sent(custom_id: object) -> None:
    found = request_id_of(custom_id)
    assert found is None or can_be_matched(found)

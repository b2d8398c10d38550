"""Sentences that several rooms say."""

from batch_assets.domain.wording import of_unknown_types


def test_unknown_types_are_named_the_most_frequent_first() -> None:
    assert of_unknown_types({"poem": 1, "horoscope": 2_000}) == (
        "Of an unknown processing type: 2,001 requests (2,000 horoscope, 1 poem), asked everything "
        "as by full_analysis."
    )
    many = {f"type {number}": number for number in range(1, 9)}
    assert "(8 type 8, 7 type 7, 6 type 6, 5 type 5, 4 type 4, and 3 more types)" in (
        of_unknown_types(many)
    )

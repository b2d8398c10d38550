"""What may not fit has a meaning and stands in the docs."""

import re
from pathlib import Path

from batch_assets.domain.conservation import MEANINGS, Violation

PAGE = Path(__file__).parents[2] / "docs" / "dead_letters.md"


def test_each_kind_has_a_meaning_and_is_in_the_docs() -> None:
    shown = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    warnings = {kind: "(a warning" in means for kind, means in shown if kind in set(Violation)}
    assert warnings == {str(kind): not MEANINGS[kind].is_error for kind in Violation}

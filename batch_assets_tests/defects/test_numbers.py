"""No defect of the replaced system goes without a test."""

import re
from pathlib import Path


def test_each_of_the_25_defects_has_its_test() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    numbers = re.findall(r"^def test_defect_(\d\d)_", sources, flags=re.MULTILINE)
    assert {int(number) for number in numbers} == set(range(1, 26))

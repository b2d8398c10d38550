"""A file of budgets is read as a whole: what is wrong is named with its line."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_assets.domain.budgets import ALL_COMPANIES, Budget, Period
from batch_assets.domain.errors import ConfigurationError
from batch_assets.stages.controls.budgets import read_file
from batch_assets.store.lookups import Lookups
from batch_assets_tests.factories import make_company

NAME = "Zorggroep Oost"
FIRST = "company,period,eur\n"


@pytest.fixture
def lookups(emptied_engine: Engine) -> Lookups:
    with emptied_engine.begin() as connection:
        make_company(connection, name=NAME, company_id="c1")
        make_company(connection, name="Twee, of drie", company_id="c2")
    return Lookups(emptied_engine)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", " has no budget below its first line."),
        (FIRST, " has no budget below its first line."),
        ("company;period;eur\n", ", line 1: the first line has to be company,period,eur."),
        ("c1,month,5\n", ", line 1: the first line has to be"),
        (FIRST + "c1,month,5\n\nc9,month,5\n", ", line 4: no company has the id or the name 'c9'"),
        (FIRST + "zorggroep ost,month,5\n", "the nearest name is 'Zorggroep Oost'"),
        (FIRST + "c1,year,5\n", ", line 2: the period is 'year'"),
        (FIRST + 'c1,month,"1,000"\n', ", line 2: the amount is '1,000'"),
        (FIRST + "c1,month,\n", ", line 2: the amount is ''"),
        (FIRST + "c1,month,-1\n", ", line 2: the amount is '-1'"),
        (FIRST + "c1,month,inf\n", ", line 2: the amount is 'inf'"),
        (FIRST + "c1,month,1_000\n", ", line 2: the amount is '1_000'"),
        (FIRST + "c1,month,\u0661\u0662\n", ", line 2: the amount is "),
        (FIRST + "c1,month,0.00001\n", ", line 2: the amount is '0.00001'"),
        (FIRST + '"c\0001",month,5\n', ", line 2: there is a NUL in the company's name."),
        (FIRST + "c1,month\n", ", line 2: there are 2 cells"),
        (FIRST + "Twee, of drie,month,5\n", ", line 2: there are 4 cells"),
        (FIRST + ",month,5\n", ", line 2: no company is named; all is for all"),
        (
            FIRST + f"c1,month,5\nall,day,1\n{NAME.lower()},MONTH,6\n",
            ", line 4: this is the company and the period of line 2.",
        ),
        (FIRST + 'c1,month,"5\n', ", line 2: unexpected end of data."),
        (FIRST.encode() + b"c1,month,5\n\xff,day,5\n", ", line 3: this is no UTF-8."),
    ],
)
def test_the_first_line_that_is_wrong_is_named(
    lookups: Lookups, tmp_path: Path, content: str | bytes, fault: str
) -> None:
    file = tmp_path / "budgets.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError) as refused:
        read_file(file, lookups)
    assert str(refused.value).startswith(str(file))
    assert fault in str(refused.value)


def test_names_periods_and_columns_are_read_in_any_case(lookups: Lookups, tmp_path: Path) -> None:
    file = tmp_path / "budgets.csv"
    lines = ["\ufeffCompany, Period ,EUR", "", f"{NAME.lower()},Month,250.50", " ALL , day , 0 "]
    file.write_text("\r\n".join(lines), encoding="utf-8")
    assert read_file(file, lookups) == [
        Budget("c1", Period.MONTH, 250.5),
        Budget(ALL_COMPANIES, Period.DAY, 0.0),
    ]

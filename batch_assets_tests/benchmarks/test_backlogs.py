"""The measurements of whole backlogs, in short: all is moved, and each run says what it took."""

from pathlib import Path

import pytest

from benchmarks.comparison import drain, large


def test_runs_work_off_a_backlog_in_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--companies", "3", "--requests", "20", "--messages", "2", "--history", "40"]
    assert drain.main([*arguments, "--rows-per-run", "40"], project_dir=tmp_path) == 0
    *runs, last = capsys.readouterr().out.splitlines()[2:]
    moved = [tuple(int(number.replace(",", "")) for number in run.split()[-2:]) for run in runs]
    assert moved == [(0, 0), (40, 40), (20, 60)]
    assert last.startswith("A request: ")


def test_one_company_has_its_backlog_in_one_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--requests", "60", "--messages", "2", "--type", "sentiment_analysis"]
    assert large.main(arguments, project_dir=tmp_path) == 0
    created, files, checked, ingested, done = capsys.readouterr().out.splitlines()
    assert files.startswith("1 batches, of 0.0 MB")
    for line, stage in ((created, "create"), (checked, "check"), (ingested, "ingest")):
        assert line.startswith(f"{stage}: ")
    assert done == "All 60 requests are analysed."

"""Whose the data outside of a state directory are: nothing that lives is thrown away."""

from pathlib import Path

import pytest

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import belonging
from batch_assets_local.belonging import TOKEN_FILE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A place with data that nobody has said to be theirs."""
    path = tmp_path / "home"
    (path / "data").mkdir(parents=True)
    return path


def made_new(path: Path) -> Path:
    path.mkdir()
    belonging.mark_new(path)
    return path


def made_before_there_were_tokens(path: Path) -> Path:
    path.mkdir()
    (path / "keeper.json").touch()
    belonging.mark_new(path)
    return path


def test_a_new_directory_inherits_nothing(tmp_path: Path, home: Path) -> None:
    first = made_new(tmp_path / "first")
    assert belonging.is_left_over(first, home), "nobody's, and the directory is new"

    belonging.remove_left_over(home)
    belonging.claim(first, home)
    (home / "data").mkdir()

    assert not belonging.is_left_over(first, home)
    assert belonging.is_left_over(made_new(tmp_path / "second"), home)


def test_a_directory_without_a_token_keeps_its_data(tmp_path: Path, home: Path) -> None:
    first = made_before_there_were_tokens(tmp_path / "first")
    assert not belonging.is_left_over(first, home)
    belonging.claim(first, home)
    token = (home / TOKEN_FILE).read_text()
    assert (first / TOKEN_FILE).read_text() == token != ""
    belonging.mark_new(first)
    assert not belonging.is_left_over(first, home)

    # As if it had been cut off while it wrote its own, or before.
    (first / TOKEN_FILE).write_text("")
    for _ in range(2):
        assert not belonging.is_left_over(first, home)
        belonging.claim(first, home)
        assert (first / TOKEN_FILE).read_text() == (home / TOKEN_FILE).read_text() == token
        (first / TOKEN_FILE).unlink()


def test_only_data_can_be_left_over(tmp_path: Path, home: Path) -> None:
    (home / "data").rmdir()

    assert not belonging.is_left_over(made_new(tmp_path / "first"), home)


def test_what_cannot_be_removed_or_written_is_named(tmp_path: Path, home: Path) -> None:
    (home / "data").rmdir()
    (home / "data").touch()
    with pytest.raises(LocalStackError, match=rf"{home} holds the data .* Remove them by hand"):
        belonging.remove_left_over(home)

    missing = tmp_path / "missing"
    with pytest.raises(LocalStackError, match=rf"cannot write {missing / TOKEN_FILE}"):
        belonging.claim(made_new(tmp_path / "first"), missing)

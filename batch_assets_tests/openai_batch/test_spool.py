"""The input file on disk: exact, private, and gone afterwards."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.json_text import value_as_json
from batch_assets.openai_batch.spool import LINE_BYTES, Spool, sweep


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "spool"


def test_what_is_written(spool_dir: Path) -> None:
    with Spool(spool_dir) as spool:
        with spool.input_file() as file:
            assert file.add("r1", '{"model":"m","messages":[{"content":"Grüezi"}]}'.encode())
            assert file.add("r2", b'{"model":"m"}')
        data = file.path.read_bytes()
        assert (file.requests, file.bytes) == (2, len(data))
    assert (
        data
        == (
            '{"custom_id":"r1","method":"POST","url":"/v1/chat/completions",'
            '"body":{"model":"m","messages":[{"content":"Grüezi"}]}}\n'
            '{"custom_id":"r2","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n'
        ).encode()
    )


def test_a_line_is_as_much_longer_than_its_body_as_is_estimated(spool_dir: Path) -> None:
    with Spool(spool_dir) as spool:
        with spool.input_file() as file:
            assert file.add("01234567-89ab-cdef-0123-456789abcdef", b"{}")
        assert file.bytes == LINE_BYTES + len(b"{}")


def test_only_its_owner_can_read_it_and_it_goes(spool_dir: Path) -> None:
    with Spool(spool_dir) as spool:
        assert stat.S_IMODE(spool_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(spool.path.stat().st_mode) == 0o700
        with spool.input_file() as file:
            assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert file.path.exists()
        file.remove()
        assert list(spool.path.iterdir()) == []
        with spool.input_file():
            pass
    assert list(spool_dir.iterdir()) == []


def test_it_goes_after_an_error(spool_dir: Path) -> None:
    with Spool(spool_dir) as spool:
        with pytest.raises(TypeError), spool.input_file() as file:
            file.add("r1", value_as_json({"this is no JSON": object()}))
        assert list(spool.path.iterdir()) == []
    with pytest.raises(KeyError), Spool(spool_dir) as spool, spool.input_file():
        raise KeyError
    assert list(spool_dir.iterdir()) == []


def test_a_directory_that_is_open_to_others_is_refused_and_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"), Spool(tmp_path):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert list(tmp_path.iterdir()) == []


def test_it_stops_before_a_limit(spool_dir: Path) -> None:
    with Spool(spool_dir) as spool:
        with spool.input_file() as file:
            file.add("r1", b'{"text":"x"}')
        line = file.bytes
        with spool.input_file(max_bytes=2 * line) as file:
            assert [file.add("r1", b'{"text":"x"}') for _ in range(3)] == [True, True, False]
        assert (file.requests, file.bytes) == (2, 2 * line)
        assert file.path.stat().st_size == 2 * line
        with spool.input_file(max_bytes=line - 1) as file:
            assert not file.add("r1", b'{"text":"x"}')
        assert (file.requests, file.bytes) == (0, 0)
        with spool.input_file(max_requests=1) as file:
            assert [file.add("r1", b"{}") for _ in range(2)] == [True, False]


@settings(deadline=None)
@given(text=st.text() | st.characters() | st.sampled_from(["\u2028\u2029\x85\r\n", "\ud800"]))
def test_any_text_is_one_line_and_comes_back(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    spool_dir = tmp_path_factory.getbasetemp() / "texts"
    with Spool(spool_dir) as spool:
        with spool.input_file() as file:
            assert file.add("r1", value_as_json({"text": text}))
        (line,) = file.path.read_bytes().decode().splitlines()
    sent = text.encode("utf-8", "replace").decode()
    assert json.loads(line)["body"]["text"] == sent


def test_no_number_that_json_lacks_is_written(spool_dir: Path) -> None:
    with Spool(spool_dir) as spool, spool.input_file() as file:
        with pytest.raises(ValueError, match="JSON compliant"):
            file.add("r1", value_as_json({"temperature": float("nan")}))
        assert (file.requests, file.bytes) == (0, 0)


def test_leftovers_of_a_killed_process_are_swept(spool_dir: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from batch_assets.openai_batch.spool import Spool\n"
        "with Spool(pathlib.Path(sys.argv[1])) as spool, spool.input_file():\n"
        "    print(spool.path, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(spool_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        leftover = Path(writer.stdout.readline().strip())
        assert sweep(spool_dir, -1) == 0, "its process lives"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert leftover.exists()
    assert sweep(spool_dir, 3600) == 0, "it is not old enough"
    os.utime(leftover, (time.time() - 7200, time.time() - 7200))
    with Spool(spool_dir) as current:
        assert sweep(spool_dir, 3600) == 1
        assert current.path.exists()
    assert not leftover.exists()


def test_sweeping_touches_only_what_is_ours(spool_dir: Path, tmp_path: Path) -> None:
    assert sweep(spool_dir, 0) == 0, "there is no directory yet"
    spool_dir.mkdir(mode=0o700, parents=True)
    foreign = spool_dir / "notes.jsonl"
    foreign.write_text("keep")
    (spool_dir / "batch-files-file").write_text("keep")
    (spool_dir / "batch-files-link").symlink_to(tmp_path)
    assert sweep(spool_dir, -1) == 0
    assert foreign.read_text() == "keep"

"""Hosts on one machine: each a network, a process table, a name and files of its own (as root).

The process that makes them is the first of them and the others' switch. Nothing is left of one when
the process that it was made by ends.
"""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from batch_assets.project_files import PROJECT_DIR

BRIDGE: Final = "drill0"
ADDRESS: Final = "10.77.0.1"
"""Of the first one, where what the others share is to be reached."""
_WITHIN_SECONDS: Final = 30.0

# The first process of the host: it has the host's name, its files and its network, and buries what
# is left of runs. A memory file system at the project's state directory and at the host's own makes
# sure that no two hosts see a file that one of them has written.
_BOOT: Final = """
hostname "$NAME" && mount -t tmpfs tmpfs "$HOME" && mkdir "$HOME/tmp" &&
mkdir -p "$STATE" && mount -t tmpfs tmpfs "$STATE" && ip link set lo up || exit 1
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip addr add "$ADDRESS/24" dev eth0 && ip link set eth0 up || exit 1
"$@" &
wait
while :; do sleep 1; done
"""


class Machine:
    """A host that runs one program, on the network of `make_network`."""

    def __init__(
        self,
        name: str,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
    ) -> None:
        self.name = name
        self.address = address_of(number)
        self._cable = f"cable{number}"
        home = output.parent / name
        home.mkdir()
        with output.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603 (it is our own)
                [
                    *("unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc"),
                    *("--kill-child", "sh", "-c", _BOOT, "boot", *command),
                ],
                cwd=PROJECT_DIR,
                env={
                    **environment,
                    "NAME": name,
                    "ADDRESS": self.address,
                    "HOME": str(home),
                    "TMPDIR": str(home / "tmp"),
                    "STATE": str(PROJECT_DIR / ".local"),
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._plug_in()

    def cut_off(self) -> None:
        """Pull the cable; what runs there runs on, and hears of nobody."""
        call("ip", "link", "set", self._cable, "down")

    def connect(self) -> None:
        """Put it in again."""
        call("ip", "link", "set", self._cable, "up")

    def kill(self) -> None:
        """Switch it off: every process of it is killed at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(_WITHIN_SECONDS)

    def _plug_in(self) -> None:
        """Give it a cable to the switch."""
        first = self._first_process()
        call(
            *("ip", "link", "add", self._cable, "type", "veth"),
            *("peer", "name", "eth0", "netns", str(first)),
        )
        call("ip", "link", "set", self._cable, "master", BRIDGE, "up")

    def _first_process(self) -> int:
        """The id of the process that is the host's first, once it has a network of its own."""
        give_up = time.monotonic() + _WITHIN_SECONDS
        ours = Path("/proc/self/ns/net").readlink()
        while self._process.poll() is None and time.monotonic() < give_up:
            for child in psutil.Process(self._process.pid).children():
                if Path(f"/proc/{child.pid}/ns/net").readlink() != ours:
                    return child.pid
            time.sleep(0.02)
        raise OSError(f"The host {self.name} does not start.")


def address_of(number: int) -> str:
    """The address of the host with this number; the first one's is `ADDRESS`."""
    return f"{ADDRESS.rpartition('.')[0]}.{number}"


def make_network() -> None:
    """Make this process's own network the first host, and a switch."""
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", BRIDGE, "type", "bridge")
    call("ip", "addr", "add", f"{ADDRESS}/24", "dev", BRIDGE)
    call("ip", "link", "set", BRIDGE, "up")


def call(*command: str) -> None:
    """Run a program of the system; CalledProcessError if it fails."""
    subprocess.run(command, check=True)  # noqa: S603 (what root has in its PATH is meant)

"""`python -m batch_assets_local.batch_server`: serve a state directory until told to stop."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from batch_assets.domain.errors import BatchAssetsError
from batch_assets_local.batch_server.running import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; 0 after a clean stop, else the error's exit code and its sentence on stderr."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    try:
        serve(options.state_dir, host=options.host, port=options.port, port_file=options.port_file)
    except BatchAssetsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m batch_assets_local.batch_server",
        description="A local server that speaks the OpenAI Batch API; docs/local_server.md.",
    )
    parser.add_argument("--state-dir", type=Path, required=True, help="where all state is kept")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=_port, default=0, help="0, the default, takes a free one")
    parser.add_argument("--port-file", type=Path, help="written once the server answers")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number

"""The smallest program that the supervisor takes for a Batch API server, which starts in no time.

It answers everything with the names of its environment variables.
"""

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType


class EnvironmentNames(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(sorted(os.environ)).encode())


def end(number: int, frame: FrameType | None) -> None:
    sys.exit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ("--state-dir", "--port-file"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    server = HTTPServer(("127.0.0.1", options.port), EnvironmentNames)
    options.port_file.write_text(str(server.server_port), encoding="ascii")
    server.serve_forever()

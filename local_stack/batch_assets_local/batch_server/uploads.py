"""Multipart uploads: the file goes to disk as it arrives, the other fields stay in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from batch_assets_local.batch_server.api_errors import ApiError, bad_request
from batch_assets_local.batch_server.files import create_private

_MAX_FIELD_BYTES = 64 * 1024


@dataclass(slots=True)
class Upload:
    """What a form held: the file's bytes are at `path`; `filename` is None if there was none."""

    path: Path
    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


class _FormReader:
    """Takes the parser's callbacks: bytes of the part `file` to disk, others to `fields`."""

    def __init__(self, upload: Upload, stream: BinaryIO, max_bytes: int) -> None:
        self.upload = upload
        self.too_large = False
        self._stream = stream
        self._left = max_bytes
        self._header = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._name = ""
        self._is_file = False
        self._value = bytearray()

    def on_part_begin(self) -> None:
        self._disposition, self._name, self._is_file = b"", "", False
        self._value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header.clear()
        self._header_value.clear()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == "file"
        if self._is_file:
            name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.upload.filename = name or "upload"

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            if len(self._value) + end - start > _MAX_FIELD_BYTES:
                raise bad_request("A field of the form is too long.", param=self._name[:64])
            self._value += data[start:end]
            return
        self._left -= end - start
        self.too_large = self._left < 0
        if not self.too_large:
            self._stream.write(memoryview(data)[start:end])

    def on_part_end(self) -> None:
        if not self._is_file:
            self.upload.fields[self._name] = self._value.decode("utf-8", "replace")


async def receive_upload(request: Request, path: Path, max_bytes: int) -> Upload:
    """Read a form whose part `file` goes to `path`; nothing is left there when this raises.

    A file that is too large is read to its end and thrown away, so that the client can hear the
    413 instead of a broken connection.

    Raises:
        ApiError: the form is not as it should be, or the file is too large.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if boundary is None:
        raise bad_request("The request must be a multipart form with the parts 'file', 'purpose'.")
    with _removed_on_error(path), create_private(path) as stream:
        reader = _FormReader(Upload(path), stream, max_bytes)
        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": reader.on_part_begin,
                    "on_part_data": reader.on_part_data,
                    "on_part_end": reader.on_part_end,
                    "on_header_field": reader.on_header_field,
                    "on_header_value": reader.on_header_value,
                    "on_header_end": reader.on_header_end,
                    "on_headers_finished": reader.on_headers_finished,
                },
            )
            async for block in request.stream():
                parser.write(block)
            parser.finalize()
        except FormParserError:
            raise bad_request("The multipart form could not be parsed.") from None
        if reader.too_large:
            message = f"The file is larger than the maximum of {max_bytes} bytes."
            raise ApiError(413, message, param="file")
    return reader.upload


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise

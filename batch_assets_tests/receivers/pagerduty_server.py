"""A server that speaks PagerDuty's Events API v2 as it is documented, and takes nothing else.

https://developer.pagerduty.com/docs/events-api-v2-overview (answers, size, rate),
https://developer.pagerduty.com/docs/send-alert-event (fields, deduplication),
https://developer.pagerduty.com/docs/events-api-v2-rate-limits (calls in a minute) and the schema
`events-v2/openapiv3.json` of PagerDuty's repository api-schema; what a wrong key is answered with
stands in reports of users.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PATH = "/v2/enqueue"
MAX_BYTES = 512 * 1024
MAX_CALLS_A_MINUTE = 120
"""Of one key."""
MAX_DEDUP_KEY = 255
Text = Annotated[str, Field(min_length=1)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class _Documented(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Link(_Documented):
    href: Url
    text: str | None = None


class Image(_Documented):
    src: Annotated[str, Field(pattern="^https://")]
    href: Url | None = None
    alt: str | None = None


class Payload(_Documented):
    summary: Annotated[str, Field(min_length=1, max_length=1_024)]
    source: Text
    severity: Literal["critical", "error", "warning", "info"]
    timestamp: str | None = None
    component: str | None = None
    group: str | None = None
    class_: Annotated[str | None, Field(alias="class")] = None
    custom_details: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_dated(self) -> "Payload":
        if self.timestamp is not None and datetime.fromisoformat(self.timestamp).tzinfo is None:
            raise ValueError("'timestamp' has no zone")
        return self


class Event(_Documented):
    routing_key: Annotated[str, Field(pattern="^[A-Za-z0-9]{32}$")]
    event_action: Literal["trigger", "acknowledge", "resolve"]
    dedup_key: Annotated[str | None, Field(max_length=MAX_DEDUP_KEY)] = None
    payload: Payload | None = None
    client: str | None = None
    client_url: Url | None = None
    links: list[Link] | None = None
    images: list[Image] | None = None

    @model_validator(mode="after")
    def _fits_its_action(self) -> "Event":
        if self.event_action == "trigger" and self.payload is None:
            raise ValueError("'payload' is missing")
        if self.event_action != "trigger" and not self.dedup_key:
            raise ValueError("'dedup_key' is missing")
        return self


@dataclass
class Incident:
    """One alert there: it is opened by a trigger, and whatever follows under its key is its log."""

    dedup_key: str
    is_open: bool = True
    log: list[Event] = field(default_factory=list)

    @property
    def said(self) -> list[str]:
        return [event.event_action for event in self.log]


Answer = tuple[int, dict[str, object]]


class PagerDutyServer:
    """The integrations that there are, by key, with the incidents of each."""

    def __init__(self, *keys: str) -> None:
        self.incidents: dict[str, list[Incident]] = {key: [] for key in keys}
        self.refusals: list[str] = []
        """Why what was answered with 400 was."""
        self.faults: list[int] = []
        """What the next calls are answered with, whatever they say."""
        self.calls: list[str] = []
        """The body of each."""

    @contextmanager
    def listening(self) -> Iterator[str]:
        """The URL that takes events, while it listens."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
                pass

            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers.get("content-length") or 0))
                is_json = self.headers.get("content-type", "").startswith("application/json")
                status, answer = server.answer(self.path, sent, is_json=is_json)
                body = json.dumps(answer).encode()
                self.send_response_only(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            http.daemon_threads = True
            thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{http.server_address[1]}{PATH}"
            finally:
                http.shutdown()
                thread.join()

    def answer(self, path: str, sent: bytes, *, is_json: bool) -> Answer:
        """The status and the body that a POST is answered with."""
        self.calls.append(sent.decode())
        faults = self.faults or [404] * (path != PATH) + [413] * (len(sent) > MAX_BYTES)
        if faults:
            return faults.pop(0), {}
        if not is_json:
            return self._refuse("it is no JSON")
        try:
            event = Event.model_validate_json(sent)
        except ValidationError as error:
            return self._refuse(re.sub(r"\s+", " ", str(error)))
        if event.routing_key not in self.incidents:
            return self._refuse("Invalid routing key")
        return self._take(event)

    def _take(self, event: Event) -> Answer:
        known = self.incidents[event.routing_key]
        found = [one for one in known if one.is_open and one.dedup_key == event.dedup_key]
        if event.event_action == "trigger" and not found:
            found = [Incident(event.dedup_key or f"made up {len(known)}")]
            known += found
        # A resolve without an open incident is accepted, and dropped.
        for incident in found:
            incident.log.append(event)
            incident.is_open = event.event_action != "resolve"
        key = found[0].dedup_key if found else event.dedup_key
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _refuse(self, error: str) -> Answer:
        self.refusals.append(error)
        refused = {"status": "invalid event", "message": "Event object is invalid"}
        return 400, {**refused, "errors": [error]}

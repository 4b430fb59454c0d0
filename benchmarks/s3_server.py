"""A real S3 server on this machine: moto's, with a record of the requests. For the tests and measurements of the store.

It answers one request at a time. A bucket decides about a condition (If-None-Match, If-Match) and writes in one step;
moto, asked by many threads at once, would look first and write later.
"""

from __future__ import annotations

import io
import logging
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Request(NamedTuple):
    """One request that the server has answered.

    Attributes:
        method: of HTTP.
        path: ``/bucket/name of the object``.
        query: what stands after ``?``.
        status: of the answer.
    """

    method: str
    path: str
    query: str
    status: int


class S3Server:
    """The server, which runs in a thread of this process; to be used in a ``with``.

    Attributes:
        requests: all that were answered so far.
        heeds_conditions: whether it looks at If-None-Match and If-Match; not every server does.
        before: called with the method and the path of each request before it is answered; it may wait or kill.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.requests: list[Request] = []
        self.heeds_conditions = True
        self.before: Callable[[str, str], None] = lambda method, path: None
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> S3Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, asked: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: Any, *more: Any) -> Any:
            facts = asked["REQUEST_METHOD"], asked["PATH_INFO"], asked["QUERY_STRING"], int(status.split()[0])
            self.requests.append(Request(*facts))
            return start_response(status, headers, *more)

        body = asked["wsgi.input"].read(int(asked.get("CONTENT_LENGTH") or 0))  # however slow its line is
        asked["wsgi.input"] = io.BytesIO(body)
        self.before(asked["REQUEST_METHOD"], asked["PATH_INFO"])
        if not self.heeds_conditions:
            asked = {
                name: value for name, value in asked.items() if name not in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")
            }
        with self._one_at_a_time:
            return list(self._moto(asked, start))

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which anybody reaches it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self) -> str:
        """A new, empty bucket; gives its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        url = f"{self.environment['AWS_ENDPOINT_URL']}/{name}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
        return name

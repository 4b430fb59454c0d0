"""An index of all runs and their reports, served to this machine only; it reads, and changes nothing."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runway.errors import ConfigError, RunwayError
from runway.experiment.folders.read_run import read_run
from runway.log import info, shown
from runway.report.page import Page
from runway.report.run_list import HEADS, ListedRun, list_rows, list_runs, main_metrics
from runway.report.run_report import report_page

HOST = "127.0.0.1"
_REPORT = "/report/"


def board_page(root: Path, runs: list[ListedRun], live: str | None = None) -> Page:
    """The index.

    Args:
        root: where the runs are.
        runs: in the order in which they are shown.
        live: the address of TensorBoard, where one runs.
    """
    count = f"{len(runs)} runs" if len(runs) != 1 else "1 run"
    page = Page("Runs", f"{count} in {shown(root.resolve())}")
    if live:
        page.link("Curves of what is running (TensorBoard)", live)
    if runs:
        metrics = main_metrics(runs)
        links = [_REPORT + urllib.parse.quote(_place(root, run)) for run in runs]
        times = [time.strftime("%Y-%m-%d %H:%M", time.localtime(run.found.touched)) for run in runs]
        rows = [
            [*row[:-2], at, run.seconds] for row, at, run in zip(list_rows(runs, metrics), times, runs, strict=True)
        ]
        page.samples(
            [*HEADS[0], *metrics, HEADS[1][0], "touched", "took, s"],
            rows,
            caption="The run that was touched last comes first. A click on a name opens its report.",
            links=links,
        )
    else:
        page.note("There is no run yet.")
    return page


def _place(root: Path, run: ListedRun) -> str:
    return run.found.path.relative_to(root).as_posix()


class Board(ThreadingHTTPServer):
    """Serves the index and the reports on 127.0.0.1.

    What is asked for is looked up among the runs that there are: no path of a request is ever opened.

    Args:
        root: where runs go.
        port: 0 takes a free one.
        live: the address of TensorBoard, where one runs.

    Raises:
        ConfigError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, root: Path, port: int, live: str | None = None) -> None:
        self.root, self.live = root, live
        self._pages: dict[Path, tuple[float, bytes]] = {}
        self._lock = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"port {port} cannot be had: {error}", hint="--port 0 takes a free one") from error

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def page(self, path: str) -> bytes | None:
        """What a path shows; None where there is nothing."""
        runs = list_runs(self.root)
        if path == "/":
            return board_page(self.root, runs, self.live).html().encode("utf-8", "replace")
        name = urllib.parse.unquote(path.removeprefix(_REPORT)) if path.startswith(_REPORT) else None
        run = next((run for run in runs if _place(self.root, run) == name), None)
        return None if run is None else self._report(run)

    def _report(self, run: ListedRun) -> bytes:
        """The report that was written; where there is none, or it is older than the run, one that is made now."""
        written = run.report
        if written is not None and written.stat().st_mtime >= run.found.touched:
            return written.read_bytes()
        with self._lock:  # it takes seconds: two requests make one
            made, page = self._pages.get(run.found.path, (0.0, b""))
            if made != run.found.touched:
                page = report_page(read_run(run.found.path)).html().encode("utf-8", "replace")
                self._pages[run.found.path] = run.found.touched, page
        return page


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD; anything else is refused by the base class."""

    server: Board
    server_version, sys_version = "runway", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # A page elsewhere can make a browser ask here under a name of its own (DNS rebinding): only ours is answered.
        port = self.server.server_address[1]
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        try:
            page = self.server.page(urllib.parse.urlsplit(self.path).path)
        except RunwayError as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), "text/plain", with_body)
            return
        if page is None:
            self._send(HTTPStatus.NOT_FOUND, b"there is no such run", "text/plain", with_body)
        else:
            self._send(HTTPStatus.OK, page, "text/html", with_body)

    def _send(self, status: HTTPStatus, body: bytes, kind: str, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if with_body:
            with contextlib.suppress(ConnectionError):  # the browser has gone
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: requests are no news."""


@contextlib.contextmanager
def tensorboard(root: Path) -> Iterator[str]:
    """TensorBoard over the runs, on 127.0.0.1, until the block ends; yields its address."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(root), "--host", HOST, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://{HOST}:{port}/"
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(root: Path, port: int, *, live: bool = False) -> None:
    """Serve the board until Ctrl-C.

    Args:
        root: where runs go.
        port: 0 takes a free one.
        live: start TensorBoard beside it.

    Raises:
        ConfigError: the port is taken.
        ExperimentError: there is no such folder.
    """
    list_runs(root)  # a mistake shows now
    with tensorboard(root) if live else contextlib.nullcontext() as address, Board(root, port, address) as board:
        if address:
            info(f"TensorBoard: {address}")
        info(f"board: {board.address}  (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            board.serve_forever()

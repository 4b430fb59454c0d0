"""The board: on this machine only, reading only, nothing but runs."""

from __future__ import annotations

import http.client
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runway.report.board import Board
from tests.report.made import made_run

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("bokeh", "itables")), reason="the extra `report` is missing"
)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made_run(tmp_path / "group", "made_V0", rows=10)
    (tmp_path / "secret.html").write_text("secret", encoding="utf-8")
    with Board(tmp_path, 0) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.05,))
        thread.start()
        yield served
        served.shutdown()
        thread.join(30)


def ask(board: Board, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", board.server_address[1], timeout=60)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_index_leads_to_the_reports(board: Board, tmp_path: Path) -> None:
    status, text = ask(board, "/")
    assert status == 200
    assert '"links": ["/report/group/made_V0"]' in text
    status, text = ask(board, "/report/group/made_V0")
    assert (status, "Classification" in text) == (200, True)
    assert not list(tmp_path.rglob("report.html"))  # it is made, and not written
    (tmp_path / "group/made_V0/report.html").write_text("as written", encoding="utf-8")
    assert ask(board, "/report/group/made_V0") == (200, "as written")
    assert ask(board, "/report/group/made_V0", "HEAD") == (200, "")


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/secret.html", "GET", None, 404),
        ("/report/../secret.html", "GET", None, 404),
        ("/report/%2e%2e/secret.html", "GET", None, 404),
        ("/report/group", "GET", None, 404),
        ("/", "POST", None, 501),
        ("/", "DELETE", None, 501),
        ("/", "GET", "attacker.example", 403),
    ],
)
def test_nothing_else_is_answered(board: Board, path: str, method: str, host: str | None, status: int) -> None:
    found, text = ask(board, path, method, host)
    assert found == status
    assert "secret" not in text.replace("secret.html", "")
    assert board.server_address[0] == "127.0.0.1"

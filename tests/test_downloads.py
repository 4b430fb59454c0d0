"""What servers may do: each bad answer, each address that is none, is an AssetError; none leads from https to http."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runway import downloads
from runway.assets import fetch
from runway.errors import AssetError

PIN = hashlib.sha256(b"hello").hexdigest()


class _Bad(http.server.BaseHTTPRequestHandler):
    """What a path stands for; each address is asked three times at the most."""

    protocol_version = "HTTP/1.1"
    asked: dict[str, int]

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        self.close_connection = True
        self.asked[self.path] = self.asked.get(self.path, 0) + 1
        with contextlib.suppress(OSError):  # the client has gone
            getattr(self, "answer_" + self.path.partition("?")[0].strip("/").partition(".")[0])()

    def send(self, *headers: tuple[str, str], body: bytes = b"hello", code: int = 200) -> None:
        self.send_response(code)
        for name, value in headers or [("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_status(self) -> None:
        self.wfile.write(b"BANANA\x1b[2J\r\n\r\n")

    def answer_nothing(self) -> None:
        """Close without a word."""

    def answer_chunk(self) -> None:
        self.send(("Transfer-Encoding", "chunked"), body=b"5\r\nhello\r\n")

    def answer_badchunk(self) -> None:
        self.send(("Transfer-Encoding", "chunked"), body=b"zz\r\nhello\r\n")

    def answer_length(self) -> None:
        self.send(("Content-Length", "abc"))

    def answer_negative(self) -> None:
        self.send(("Content-Length", "-5"))

    def answer_huge(self) -> None:
        self.send(("Content-Length", str(10**17)))

    def answer_cut(self) -> None:
        self.send(("Content-Length", "50"))

    def answer_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(1000)))

    def answer_line(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 " + b"O" * 100_000)

    def answer_packed(self) -> None:
        self.send(("Content-Encoding", "gzip"), body=gzip.compress(b"\0" * 1_000_000))

    def answer_loop(self) -> None:
        self.send(("Location", "/loop.csv"), ("Content-Length", "5"), code=302)

    def answer_file(self) -> None:
        self.send(("Location", "file:///etc/passwd"), ("Content-Length", "5"), code=302)

    def answer_badredirect(self) -> None:
        self.send(("Location", "http://[::1/x"), ("Content-Length", "5"), code=302)

    def answer_drip(self) -> None:
        self.send(("Content-Length", "10000"), body=b"")
        self._drip()

    def answer_dripheaders(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Y: ")
        self._drip()

    def _drip(self) -> None:
        for _ in range(1000):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.02)

    def answer_silent(self) -> None:
        time.sleep(1)

    def answer_busy(self) -> None:
        if self.asked[self.path] < 3:
            self.send(code=503)
        else:
            self.send()

    def answer_login(self) -> None:
        self.send(("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "5"))

    def answer_ok(self) -> None:
        self.send()

    def answer_plain(self) -> None:
        self.send(("Location", f"http://127.0.0.1:{self.server.plain}/ok.csv"), ("Content-Length", "5"), code=302)


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None, plain: int = 0) -> Iterator[http.server.ThreadingHTTPServer]:
    handler = type("Handler", (_Bad,), {"asked": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close, server.plain = True, False, plain
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(downloads, "WAITS", (0.0, 0.0))
    with serving() as server:
        yield f"http://127.0.0.1:{server.server_port}"


BAD = {
    "status": "no HTTP",
    "nothing": "broke off",
    "chunk": "broke off",
    "badchunk": "broke off",
    "length": "for its length",
    "negative": "for its length",
    "huge": "the disk has room for",
    "cut": "broke off after 5 of 50",
    "headers": "no HTTP",
    "line": "no HTTP",
    "packed": "sends it packed",
    "loop": "302",
    "file": "302",
    "badredirect": "cannot be fetched",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_told_in_a_few_lines(kind: str, address: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=BAD[kind]) as caught:
        fetch(f"{address}/{kind}.csv", PIN, "cache", tmp_path)
    assert len(str(caught.value).splitlines()) <= 3
    assert "\x1b" not in str(caught.value), "a server must not write to the terminal"
    assert not list((tmp_path / "cache").rglob(f"{kind}.csv"))


@pytest.mark.parametrize("kind", ["drip", "dripheaders", "silent"])
def test_a_server_that_drips_is_given_up(
    kind: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "WINDOW", 0.3)
    monkeypatch.setattr(downloads, "SILENCE", 0.25 if kind == "silent" else 30.0)
    started = time.monotonic()
    with pytest.raises(AssetError, match="silent" if kind == "silent" else "sends less than"):
        fetch(f"{address}/{kind}.csv", PIN, "cache", tmp_path)
    assert time.monotonic() - started < 5


def test_what_may_be_better_a_moment_later_is_tried_again(address: str, tmp_path: Path) -> None:
    assert fetch(f"{address}/busy.csv", PIN, "cache", tmp_path).read_bytes() == b"hello"
    with pytest.raises(AssetError, match="does it ask for a login"):
        downloads.download(f"{address}/login.csv", tmp_path / "login.csv", pinned=False)
    downloads.download(f"{address}/login.csv", tmp_path / "login.csv", pinned=True)


def test_nothing_is_downgraded(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [*made, "-keyout", str(key), "-out", str(certificate), "-days", "2", *names]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context, plain=int(address.rpartition(":")[2])) as server:
        host = f"https://127.0.0.1:{server.server_port}"
        with pytest.raises(AssetError, match=r"(?i)certificate"):
            fetch(f"{host}/ok.csv", PIN, "cache", tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch(f"{host}/ok.csv", None, "cache", tmp_path).read_bytes() == b"hello"
        for pin in (None, PIN):
            with pytest.raises(AssetError, match="travels unprotected"):
                fetch(f"{host}/plain.csv", pin, "cache", tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "https://host/a b.csv",
        "https://host/\u00e4.csv",
        "https://[::1/x",
        "https:///x.csv",
        "https://host:port/x.csv",
        "https://host:99999/x.csv",
        f"https://{'a' * 70}.org/x.csv",
        "https://host/x.csv\r\nHost: other",
        "https://host/%2e%2e",
        "https://host/a%2Fb%00",
        "file:///etc/passwd",
        "ftp://host/x.csv",
        "data/\0.csv",
    ],
)
def test_addresses_that_are_none(uri: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError):
        fetch(uri, PIN, "cache", tmp_path)


def test_a_password_in_an_address_is_refused_and_not_printed(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="a user's name") as caught:
        fetch("https://me:hidden@host/x.csv", PIN, "cache", tmp_path)
    assert "hidden" not in str(caught.value)

"""One file over http or https, whatever the server does: it comes whole, or an AssetError says why not.

``urllib``, not ``requests``: it trusts the certificates that the system trusts, heeds the proxies of the environment,
and leaves bytes as they were sent, so that no ``Content-Encoding`` unfolds into more than was received.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from runway.disk import room_in
from runway.errors import AssetError
from runway.log import human_bytes, info

WAITS = (1.0, 4.0)
"""Seconds before the second and third try, where a server is overloaded or a connection breaks off."""
SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""
WINDOW, LEAST = 60.0, 64 << 10
"""In each window of so many seconds so many bytes must come: one that sends a byte at a time is given up too."""
_CHUNK = 1 << 20
_WAY_OUT = "check the network, or give the path of a file of your own in the config instead"
_LATER = (408, 425, 429, 500, 502, 503, 504)  # answers that may be others a moment later


def parse_address(uri: str) -> tuple[SplitResult, str]:
    """The parts of an address, and the name of the file that it is of.

    Raises:
        AssetError: it is no address, or has a user's name and password in it.
    """
    if not re.fullmatch(r"[!-~]+", uri):
        hint = "write a space as %20, and other letters so too (urllib.parse.quote)"
        raise AssetError(f"{uri!r} is no address: it holds a character that none may hold", hint=hint)
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise AssetError(f"{uri} is no address: {error}", hint="write https://host/folder/file") from error
    if not host:
        raise AssetError(f"{uri} names no host", hint="write https://host/folder/file")
    if "@" in parts.netloc:
        message = f"the address of {host}{parts.path} holds a user's name, which others would read in logs and caches"
        raise AssetError(message, hint="fetch the file yourself, and give its path")
    name = PurePosixPath(unquote(parts.path)).name
    if name in ("", ".", "..") or not re.fullmatch(r"[^\\:\x00-\x1f]+", name):
        raise AssetError(f"{uri} names no file", hint="write https://host/folder/file")
    return parts, name


def download(uri: str, target: Path, *, pinned: bool) -> None:
    """Write what stands at an address into a file; a broken connection is tried again.

    Args:
        uri: http or https; what stands behind ``#`` is not sent.
        target: the file; it is in the caller's hands when this raises.
        pinned: whether the caller holds the content against a sum. Without one, a web page in the place of another
            file (a portal that asks for a login) is refused.

    Raises:
        AssetError: the server does not give it: it cannot be reached, answers badly, sends less than it promised, sends
            too slowly, or more than the disk has room for; or it leads from https to what travels unprotected.
    """
    for wait in (*WAITS, None):
        try:
            with target.open("wb") as sink, _answer(uri) as (response, patience):
                _check_headers(uri, response, target, pinned=pinned)
                _copy(uri, response, sink, target, patience)
            return
        except _Again as error:
            if wait is None:
                raise AssetError(f"{uri} cannot be fetched: {error}", hint=_WAY_OUT) from error
            info(f"{uri}: {error}; trying again")
            time.sleep(wait)


class _Again(Exception):
    """What the next try may do better."""


class _Patience:
    """Shuts a connection that brings less than LEAST bytes in a WINDOW, whatever it is then sending: headers, the
    length of a chunk, or content. A time-out of its socket alone begins anew with each byte."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = False
        self.sockets: list[socket.socket] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        before = 0
        while not self._done.wait(WINDOW):
            if self.received - before < LEAST:
                self.lost = True
                for connected in self.sockets:
                    with suppress(OSError):  # it is closed already
                        connected.shutdown(socket.SHUT_RDWR)
                return
            before = self.received

    def end(self) -> None:
        """Watch no more."""
        self._done.set()
        self._thread.join()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """From https to https alone; a pinned http address may lead to either."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        fp.close()  # urllib would read all that is sent with the redirection into memory
        asked, offered = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if offered not in ("http", "https") or (asked == "https" and offered != "https"):
            raise AssetError(
                f"{req.full_url} leads to {newurl.partition('?')[0]}, which travels unprotected",
                hint="nothing is taken from https to http; give the address that it should lead to, or a local path",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _handlers(patience: _Patience) -> list[urllib.request.BaseHandler]:
    """Those of urllib, whose connections are watched."""

    class Watched(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            patience.sockets.append(self.sock)

    class WatchedTls(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            patience.sockets.append(self.sock)

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Watched, req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(WatchedTls, req)

    return [Http(), Https(), _Redirects()]


@contextmanager
def _answer(uri: str) -> Iterator[tuple[Any, _Patience]]:
    """The server's answer; whatever goes wrong from the first byte to the last becomes one of our errors."""
    request = urllib.request.Request(uri.partition("#")[0], headers={"User-Agent": "runway"})  # noqa: S310 (http or https: `fetch` has looked)
    patience = _Patience()
    try:
        with urllib.request.build_opener(*_handlers(patience)).open(request, timeout=SILENCE) as response:
            yield response, patience
    except (AssetError, _Again):
        raise
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {_shown(error.reason)}"
        if error.code in _LATER:
            raise _Again(answer) from error
        raise AssetError(f"{uri} cannot be fetched: {answer}", hint=_WAY_OUT) from error
    except (http.client.HTTPException, ValueError, OSError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if patience.lost:
            raise _too_slow(uri) from error
        if isinstance(cause, http.client.IncompleteRead | ConnectionResetError | BrokenPipeError):
            raise _Again(f"the connection broke off ({type(cause).__name__})") from error
        if isinstance(cause, TimeoutError):
            reason = f"the server is silent for {SILENCE:.0f} s (offline?)"
        elif isinstance(error, OSError):
            reason = f"{_shown(cause)} (offline?)"
        else:
            reason = f"the server's answer is no HTTP: {_shown(cause) or type(error).__name__}"
        raise AssetError(f"{uri} cannot be fetched: {reason}", hint=_WAY_OUT) from error
    finally:
        patience.end()


def _shown(told: object) -> str:
    """What a server says, as it may stand in a line on a terminal."""
    return "".join(character for character in " ".join(str(told).split()) if character.isprintable())[:100]


def _too_slow(uri: str) -> AssetError:
    message = f"{uri} cannot be fetched: the server sends less than {human_bytes(LEAST)} in {WINDOW:.0f} s"
    return AssetError(message, hint=_WAY_OUT)


def _check_headers(uri: str, response: Any, target: Path, *, pinned: bool) -> None:
    headers, suffix = response.headers, target.suffix.lower()
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity") and suffix not in (".gz", ".tgz", ".bz2", ".zst"):
        message = f"{uri} cannot be fetched: the server sends it packed ({_shown(coding)}), which it was not asked for"
        raise AssetError(message, hint=_WAY_OUT)
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not pinned and kind == "text/html" and suffix not in (".html", ".htm"):
        message = f"{uri} cannot be fetched: the server answers with a web page; does it ask for a login?"
        raise AssetError(message, hint=f"look at it in a browser; with its sha256 a page is taken too. {_WAY_OUT}")
    told = headers.get("Content-Length")
    if told is not None and not re.fullmatch(r"[0-9]{1,18}", told.strip()):
        raise AssetError(f"{uri} cannot be fetched: the server says {_shown(told)!r} for its length", hint=_WAY_OUT)
    if told is not None and int(told) > (room := room_in(target.parent)):
        _no_room(uri, human_bytes(int(told)), room)


def _copy(uri: str, response: Any, sink: IO[bytes], target: Path, patience: _Patience) -> None:
    told = response.headers.get("Content-Length")
    room = room_in(target.parent)
    while chunk := response.read1(_CHUNK):
        patience.received += len(chunk)
        if patience.received > room:
            _no_room(uri, f"over {human_bytes(room)}", room)
        try:
            sink.write(chunk)
        except OSError as error:  # told apart from what is wrong with the connection
            _no_room(uri, f"over {human_bytes(patience.received)}", 0, error)
    if patience.lost:
        raise _too_slow(uri)
    if told is not None and patience.received != int(told):
        raise _Again(f"it broke off after {patience.received} of {told} bytes")


def _no_room(uri: str, size: str, room: int, error: OSError | None = None) -> NoReturn:
    why = f"it cannot be kept: {error.strerror}" if error else f"the disk has room for {human_bytes(max(room, 0))}"
    hint = "make room, or set meta.default_cache_dir to a larger disk"
    raise AssetError(f"{uri} is {size}, but {why}", hint=hint) from error

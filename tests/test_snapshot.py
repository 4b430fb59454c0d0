"""Snapshots of a project's code: what is in them, that they are the same everywhere, hostile ones write nothing."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from runway import snapshot as module
from runway.errors import StoreError
from runway.snapshot import take_snapshot, unpack_snapshot


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    write(folder, {"src/data_ops/ops.py": "x = 1\n", "configs/a/exp.jsonnet": "{}\n", "run.sh": "#!/bin/sh\n"})
    (folder / "run.sh").chmod(0o700)
    return folder


OWN = {"src/data_ops/ops.py", "configs/a/exp.jsonnet", "run.sh"}


def test_a_folder_without_git(project: Path, tmp_path: Path) -> None:
    others = ("cache/ab/x", "experiments/a_V0/train/log", ".venv/bin/python", "env/pyvenv.cfg", "env/lib/x.py", ".env")
    write(project, dict.fromkeys((*others, "src/__pycache__/ops.pyc"), "x"))
    write(project, {"cache/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55"})
    taken = take_snapshot(project, tmp_path / "archives")
    assert taken.archive == tmp_path / "archives" / f"{taken.digest}.tar"
    assert os.listdir(tmp_path / "archives") == [taken.archive.name]
    unpacked = unpack_snapshot(taken.digest, taken.archive, tmp_path / "unpacked")
    assert unpacked == tmp_path / "unpacked" / taken.digest
    assert files_of(unpacked) == OWN
    assert os.access(unpacked / "run.sh", os.X_OK)
    assert not os.access(unpacked / "src/data_ops/ops.py", os.X_OK)
    assert (unpacked / "src/data_ops/ops.py").read_text() == "x = 1\n"


def test_a_repository_as_it_stands_on_disk(project: Path, tmp_path: Path) -> None:
    inner = project / "vendored"
    write(inner, {"inner.py": "i = 1\n"})
    git(inner, "init")
    git(inner, "add", ".")
    git(inner, "commit", "-m", "inner")
    write(project, {".gitignore": "data/\n", "data/big.csv": "1", "gone.py": "", "experiments/README.md": "runs\n"})
    git(project, "init")
    git(
        project, "add", ".gitignore", "src", "gone.py", "run.sh", "experiments", "vendored"
    )  # vendored: a link of git's
    git(project, "commit", "-m", "first")
    (project / "gone.py").unlink()
    write(project, {"src/data_ops/ops.py": "x = 2\n", "src/new.py": "", "experiments/a_V0/log": "", ".secret": ""})
    taken = take_snapshot(project)
    unpacked = unpack_snapshot(taken.digest, taken.archive, tmp_path / "unpacked")
    assert files_of(unpacked) == OWN | {".gitignore", "src/new.py", "experiments/README.md", "vendored/inner.py"}
    assert (unpacked / "src/data_ops/ops.py").read_text() == "x = 2\n"
    (project / "src/data_ops/ops.py").write_text("x = 3\n")
    assert take_snapshot(project).digest != taken.digest


def test_a_submodule_that_is_not_checked_out_is_named(project: Path, tmp_path: Path) -> None:
    write(tmp_path / "inner", {"inner.py": "i = 1\n"})
    for folder in (tmp_path / "inner", project):
        git(folder, "init")
        git(folder, "add", ".")
        git(folder, "commit", "-m", "first")
    git(project, "-c", "protocol.file.allow=always", "submodule", "add", str(tmp_path / "inner"), "libs/inner")
    git(project, "commit", "-m", "second")
    git(tmp_path, "clone", "project", "clone")
    assert "libs/inner/inner.py" in files_of(
        unpack_snapshot(*take_snapshot(project, tmp_path / "archives")[:2], tmp_path / "unpacked")
    )
    taken = take_snapshot(tmp_path / "clone")
    assert "not checked out" in taken.left_out["libs/inner"]


def test_a_project_that_a_repository_ignores(project: Path, tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "project/\n"})
    git(tmp_path, "init")
    taken = take_snapshot(project)
    assert files_of(unpack_snapshot(taken.digest, taken.archive, tmp_path / "unpacked")) == OWN


def test_the_same_files_give_the_same_archive(project: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(project, tmp_path / "elsewhere" / "other")
    os.utime(tmp_path / "elsewhere/other/run.sh", (1, 1))
    first, second = take_snapshot(project), take_snapshot(tmp_path / "elsewhere" / "other")
    assert first.digest == second.digest
    assert first.archive.read_bytes() == second.archive.read_bytes()
    (project / "run.sh").chmod(0o600)
    assert take_snapshot(project).digest != first.digest


def test_data_is_left_out_and_named(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (project / "reviews.csv").open("wb") as file:
        file.truncate(2**30)  # sparse: nobody reads it
    (project / "data").symlink_to(project.parent)
    taken = take_snapshot(project)
    assert taken.archive.stat().st_size < 20_000
    assert taken.left_out == {"reviews.csv": "1.1 GB", "data": "a link out of the project"}
    assert "reviews.csv (1.1 GB)" in capsys.readouterr().err
    monkeypatch.setattr(module, "MOST_IN_ALL", 1000)
    write(project, {"some.csv": "x" * 600, "more.csv": "x" * 700, "src/long.py": "#" * 900})
    assert set(take_snapshot(project).left_out) == {"reviews.csv", "data", "some.csv", "more.csv"}


def test_links_inside_the_project_stay_links(project: Path, tmp_path: Path) -> None:
    (project / "src/link.py").symlink_to(project / "src/data_ops/ops.py")
    (project / "ops").symlink_to("src/data_ops")
    taken = take_snapshot(project)
    unpacked = unpack_snapshot(taken.digest, taken.archive, tmp_path / "unpacked")
    assert os.readlink(unpacked / "src/link.py") == "data_ops/ops.py"
    assert (unpacked / "ops/ops.py").read_text() == "x = 1\n"


def test_it_is_unpacked_once(project: Path, tmp_path: Path) -> None:
    taken = take_snapshot(project)
    first = unpack_snapshot(taken.digest, taken.archive, tmp_path / "unpacked")
    taken.archive.unlink()
    assert unpack_snapshot(taken.digest, taken.archive, tmp_path / "unpacked") == first
    assert os.listdir(tmp_path / "unpacked") == [taken.digest]


def archive_of(path: Path, *items: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for item, content in items:
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    item = tarfile.TarInfo(name)
    item.type, item.linkname = kind, target
    return item, b""


HOSTILE = {
    "above": [(tarfile.TarInfo("../evil.py"), b"")],
    "absolute": [(tarfile.TarInfo("/tmp/evil.py"), b"")],
    "link out": [link("out", "../..")],
    "through a link": [link("a", "b"), link("b", "c/d"), link("c/d", "../../..")],
    "up after down": [link("p/q/r", "."), link("a", "p/q/r/../../.."), link("a/evil", "x")],
    "behind a link": [link("a", "b"), link("a/evil", "x")],
    "hard link": [link("hard", "/etc/passwd", tarfile.LNKTYPE)],
    "device": [link("device", "", tarfile.CHRTYPE)],
    "other content": [(tarfile.TarInfo("ops.py"), b"x = 3")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_writes_nothing(name: str, tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "archive.tar", *HOSTILE[name])
    with pytest.raises(StoreError):
        unpack_snapshot("0" * 64, archive, tmp_path / "deep" / "unpacked")
    assert os.listdir(tmp_path / "deep" / "unpacked") == []
    assert sorted(os.listdir(tmp_path)) == ["archive.tar", "deep"]


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "torn.tar").write_bytes(b"torn" * 1000)
    with pytest.raises(StoreError, match="cannot be unpacked"):
        unpack_snapshot("0" * 64, tmp_path / "torn.tar", tmp_path / "unpacked")
    with pytest.raises(StoreError, match="no project"):
        take_snapshot(tmp_path / "nowhere")

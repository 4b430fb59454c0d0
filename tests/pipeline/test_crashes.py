"""Kill it anywhere, damage what it wrote, run two at once, take its rights away: the next run is right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.cached import Cached
from tests.pipeline.everything import MODULES

if TYPE_CHECKING:
    from tests.conftest import Project

OPERATIONS = '''
import os
import time

from runway import BaseTransform, register_transform_functor
from tracing import note


@register_transform_functor
class Make(BaseTransform):
    def setup(self, size):
        self.size = size

    def _call(self, data):
        note(self, self.size)
        return "x" * self.size  # too long for meta.json: it gets a file of its own


@register_transform_functor
class Big(BaseTransform):
    """200 MB that are written slowly enough to be hit."""

    def _call(self, data):
        import numpy

        note(self, 0)
        if os.environ.get("KILL"):
            return Slow()
        return numpy.full(200_000_000, 7, dtype=numpy.uint8)


@register_transform_functor
class BigThatReads(Big):
    def _call(self, data):
        self.global_config["experiment_name"]
        return super()._call(data)


class Slow:
    def save_to_dir(self, directory):
        directory.mkdir()
        with open(directory / "half", "wb") as file:
            file.write(bytes(150_000_000))
            file.flush()
            open(os.environ["KILL"], "w").close()
            time.sleep(60)  # the test kills it here

    @classmethod
    def load_from_dir(cls, directory):
        raise AssertionError("it was never whole")


@register_transform_functor
class Length(BaseTransform):
    def _call(self, data):
        return note(self, [len(data), int(data[-1]) if hasattr(data, "dtype") else data[-1]])


@register_transform_functor
class Wait(BaseTransform):
    """Holds its node until both processes are there."""

    def _call(self, data):
        note(self, 0)
        for _ in range(1000):
            if os.path.getsize(os.environ["MEETING"]) == 2:
                break
            time.sleep(0.01)
        return [1]


@register_transform_functor
class Pause(BaseTransform):
    def _call(self, data):
        note(self, os.getpid())
        time.sleep(0.5)
        return [*(data or []), self.name]


@register_transform_functor
class Fail(BaseTransform):
    def _call(self, data):
        note(self, 0)
        try:
            {}["nothing"]
        except KeyError as error:
            raise ValueError("bad row 7") from error


@register_transform_functor
class Leave(BaseTransform):
    def _call(self, data):
        raise SystemExit(0)


@register_transform_functor
class Unsaveable(BaseTransform):
    def _call(self, data):
        note(self, 0)
        return lambda: 1


@register_transform_functor
class Call(BaseTransform):
    def _call(self, data):
        return note(self, data())
'''

CONFIG = """
{
  experiment_name: "crashes",
  data_pipeline: {
    transforms: {
      "input:A": { transform_name: "Make", setup_kwargs: { size: 100000 } },
      "output:B": { transform_name: "Length", input_node: "input:A" },
    },
  },
}
"""

NODE = "data_pipeline.transforms"


@pytest.fixture
def crashing(project: Project) -> Cached:
    """A project with an entry of 100 kB and one that reads it."""
    project.write("src/data_ops/ops.py", OPERATIONS)
    project.write("src/tracing.py", MODULES["src/tracing.py"])
    project.write("config.jsonnet", CONFIG)
    return Cached(project)


@pytest.mark.parametrize("transform", ["Big", "BigThatReads"])
def test_killed_while_it_writes_200_mb(transform: str, crashing: Cached, tmp_path: Path) -> None:
    """Also a node whose key holds what it has read, and so is not the one that it claimed."""
    flag = tmp_path / "writing"
    override = f"{NODE}.input:A={json.dumps({'transform_name': transform})}"
    process = crashing.project.start("prepare", "config.jsonnet", override, env={**crashing.env, "KILL": str(flag)})
    wait_for(flag.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    cache = crashing.project.path / "cache"
    assert not list(cache.glob("[0-9a-f][0-9a-f]/[0-9a-f]*/meta.json"))  # nothing half-written is there
    assert len(list(cache.glob("*/.*tmp*"))) == 1
    assert crashing.prepare(override) == {"input:A": 0, "output:B": [200_000_000, 7]}
    assert crashing.prepare(override) == {}
    # and what the killed run left goes
    assert not list(cache.glob("*/.*tmp*"))
    assert not list(cache.glob("locks/*"))


def test_two_at_once_compute_each_node_once(crashing: Cached, tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    crashing.project.write(
        "src/data_ops/arrive.py",
        "import os\nwith open(os.environ['MEETING'], 'a') as file:\n    file.write('.')\n",
    )
    nodes = {
        "input:A": {"transform_name": "Wait"},
        "process:B": {"transform_name": "Length", "input_node": "input:A"},
        "output:C": {"transform_name": "Length", "input_node": "process:B"},
    }
    crashing.project.write("config.jsonnet", json.dumps({"data_pipeline": {"transforms": nodes}}))
    env = {**crashing.env, "MEETING": str(meeting)}
    processes = [crashing.project.start("prepare", "config.jsonnet", env=env) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert list(crashing.ran()) == ["input:A", "process:B", "output:C"]  # which also says: each once
    assert not list((crashing.project.path / "cache").glob("locks/*"))


def test_of_four_that_start_together_one_is_killed(crashing: Cached) -> None:
    """The node that it was at runs again, every other one once, and nobody waits for the dead."""
    nodes = {
        "input:A": {"transform_name": "Pause", "cache": False},
        "process:B": {"transform_name": "Pause", "input_node": "input:A"},
        "process:C": {"transform_name": "Pause", "input_node": "process:B"},
        "output:D": {"transform_name": "Pause", "input_node": "process:C"},
    }
    crashing.project.write("config.jsonnet", json.dumps({"data_pipeline": {"transforms": nodes}}))
    processes = [crashing.project.start("prepare", "config.jsonnet", env=crashing.env) for _ in range(4)]
    trace = crashing.trace
    wait_for(lambda: trace.exists() and len(trace.read_text().splitlines()) >= 3)
    name, killed = json.loads(trace.read_text().splitlines()[-1])
    os.kill(killed, signal.SIGKILL)
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if process.pid == killed else 0), errors
    ran = [json.loads(line)[0] for line in trace.read_text().splitlines()]
    assert sorted(ran) == sorted([*nodes, name])
    assert crashing.prepare() == {}
    assert not list((crashing.project.path / "cache").glob("locks/*"))
    assert not list((crashing.project.path / "cache").glob("*/.*"))


def wait_for(happens: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is there."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def payload(entry: Path) -> Path:
    """The largest file of an entry."""
    return max((file for file in entry.iterdir() if file.name != "meta.json"), key=lambda file: file.stat().st_size)


def truncate(entry: Path) -> None:
    os.truncate(payload(entry), 1000)


def alter(entry: Path) -> None:
    file = payload(entry)
    before = file.stat()
    file.write_bytes(b"y" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def lose(entry: Path) -> None:
    payload(entry).unlink()


def empty_meta(entry: Path) -> None:
    (entry / "meta.json").write_text("")


def tear_meta(entry: Path) -> None:
    os.truncate(entry / "meta.json", 100)


def foreign_meta(entry: Path) -> None:
    (entry / "meta.json").write_text('{"version": 1}')


def binary_meta(entry: Path) -> None:
    (entry / "meta.json").write_bytes(b"\xff\xfe\x00")


DAMAGES = [truncate, alter, lose, empty_meta, tear_meta, foreign_meta, binary_meta]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_is_computed_again(crashing: Cached, damage: Callable[[Path], None]) -> None:
    assert crashing.prepare() == {"input:A": 100000, "output:B": [100000, "x"]}
    entry = crashing.entry("input:A")
    damage(entry)
    # B now has to be computed from it
    ran = crashing.prepare(f"{NODE}.output:B.setup_kwargs.output_mapping=null")
    assert ran == {"input:A": 100000, "output:B": [100000, "x"]}
    assert crashing.last is not None
    assert "damaged" in crashing.last.stderr
    assert crashing.prepare() == {}
    assert payload(entry).read_bytes() == b"x" * 100000


def test_torn_notes_cost_a_run_at_most(crashing: Cached) -> None:
    crashing.project.write("data.txt", "one")
    crashing.project.write(
        "src/data_ops/reader.py",
        """
        from runway import BaseTransform, register_transform_functor
        from tracing import note


        @register_transform_functor
        class Read(BaseTransform):
            def _call(self, data):
                return note(self, self.track_file("data.txt").read_text())
        """,
    )
    override = f"{NODE}.input:A={json.dumps({'transform_name': 'Read'})}"
    assert list(crashing.prepare(override)) == ["input:A", "output:B"]
    [index] = (crashing.project.path / "cache").glob("*/*.reads.json")
    for torn in (b"", b"{", b"[]", b"\xff\xfe"):
        index.write_bytes(torn)
        assert list(crashing.prepare(override)) in (["input:A"], [])
        assert crashing.prepare(override) == {}
    journal = crashing.project.path / "cache" / "journal.jsonl"
    journal.write_bytes(b'{"node": "input:A"\n[]\n\xff\xfe\n' + journal.read_bytes()[:30])
    assert crashing.reasons("input:A") == ["new"]
    assert list(crashing.prepare(override)) == []


def run_without_rights(project: Project, *args: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`runway ARGS` by somebody who may not write into read-only folders, which root may."""
    command = [sys.executable, "-m", "runway", *args]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may write everywhere, and there is no setpriv to give that up")
        command = [setpriv, "--bounding-set=-dac_override,-dac_read_search,-fowner", *command]
    return subprocess.run(
        command, cwd=project.path, env=project.environment(env), capture_output=True, text=True, check=False
    )


def test_a_read_only_cache(crashing: Cached) -> None:
    crashing.prepare()
    cache = crashing.project.path / "cache"
    entry = crashing.entry("input:A")
    changed_below = f"{NODE}.output:B.setup_kwargs.output_mapping=null"
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        done = run_without_rights(crashing.project, "prepare", "config.jsonnet", "--json", env=crashing.env)
        assert (done.returncode, json.loads(done.stdout)) == (0, {"ran": []})
        changed = f"{NODE}.input:A.setup_kwargs.size=5"
        done = run_without_rights(crashing.project, "prepare", "config.jsonnet", changed, env=crashing.env)
        assert done.returncode == 2
        assert "Cache error: the cache cannot be written" in done.stderr
        assert "hint:  set meta.default_cache_dir" in done.stderr
        assert "Traceback" not in done.stderr
        # damaged, and it cannot even be set aside: all that is damaged is told, and nothing else served
        for damage in (alter, empty_meta):
            payload(entry).chmod(0o644)
            (entry / "meta.json").chmod(0o644)
            damage(entry)
            done = run_without_rights(crashing.project, "prepare", "config.jsonnet", changed_below, env=crashing.env)
            assert done.returncode == 2
            assert "Traceback" not in done.stderr
            done = run_without_rights(crashing.project, "cache", "verify", env=crashing.env)
            assert done.stdout == ("2 entries, 1 damaged\n" if damage is alter else "1 entries, 1 damaged\n")
            assert "cannot be set aside" in done.stderr
        for command in (["gc"], ["gc", "--max-size", "0"]):
            done = run_without_rights(crashing.project, "cache", *command, env=crashing.env)
            assert done.returncode == 2
            assert "Cache error: the cache cannot be written" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_cache_folder_that_is_a_file(crashing: Cached) -> None:
    crashing.project.write("cache", "not a folder")
    result = crashing.project.run("prepare", "config.jsonnet", check=False, env=crashing.env)
    assert result.returncode == 2
    assert "Cache error" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.unknown_code  # a node that is not kept hands a function on
def test_a_node_that_fails(crashing: Cached) -> None:
    nodes = {
        "input:A": {"transform_name": "Make", "setup_kwargs": {"size": 10}},
        "process:Bad": {"transform_name": "Fail", "input_node": "input:A", "setup_kwargs": {"output_mapping": None}},
        "output:BelowBad": {"transform_name": "Length", "input_node": "process:Bad"},
        "output:Leaves": {"transform_name": "Leave"},
        "process:Function": {"transform_name": "Unsaveable"},
        "output:BelowFunction": {"transform_name": "Call", "input_node": "process:Function"},
        "output:Z": {"transform_name": "Length", "input_node": "input:A"},
    }
    crashing.project.write("config.jsonnet", json.dumps({"data_pipeline": {"transforms": nodes}}))
    ran = crashing.prepare(check=False)
    assert ran == {"input:A": 10, "process:Bad": 0, "process:Function": 0, "output:Z": [10, "x"]}
    assert crashing.last is not None
    assert crashing.last.returncode == 1
    error = crashing.last.stderr
    # the user's traceback, with its cause, and nothing of runway's in it
    assert error.index("Traceback (most recent call last)") < error.index("ValueError: bad row 7\nNode failed")
    assert 'src/data_ops/ops.py", line' in error
    assert "KeyError: 'nothing'" in error
    assert "/runway/pipeline/" not in error
    for name in ("process:Bad", "output:Leaves", "process:Function"):
        assert f"node '{name}'" in error
    assert "set `cache: false` on this node" in error
    assert "SystemExit" in error
    assert "3 nodes failed" in error
    # what was done is kept, and the failed ones run again when they are mended
    crashing.edit("src/data_ops/ops.py", 'raise ValueError("bad row 7") from error', "return [1]")
    ran = crashing.prepare(f"~{NODE}.output:Leaves", f"{NODE}.process:Function.cache=false", check=False)
    assert ran == {"process:Bad": 0, "output:BelowBad": [1, 1], "process:Function": 0, "output:BelowFunction": 1}
    assert crashing.last.returncode == 0


def test_a_file_that_changes_while_it_is_read_is_read_again(project: Project) -> None:
    project.write(
        "src/data_ops/reading.py",
        """
        from runway import BaseTransform, register_transform_functor


        @register_transform_functor
        class ReadSlowly(BaseTransform):
            def setup(self, path):
                self.path = path

            def _call(self, data):
                file = self.track_file(self.path)
                text = file.read_text()
                if text == "old":  # somebody saves the file now
                    file.write_text("newer")
                return text
        """,
    )
    node = {"transform_name": "ReadSlowly", "setup_kwargs": {"path": "text.txt"}, "cache": True}
    project.write("c.jsonnet", json.dumps({"data_pipeline": {"transforms": {"output:Text": node}}}))
    project.write("text.txt", "old")
    first = project.run("prepare", "c.jsonnet", "--json")
    assert "text.txt was changed while it was read" in first.stderr
    assert json.loads(project.run("prepare", "c.jsonnet", "--json").stdout)["ran"] == ["output:Text"]
    assert json.loads(project.run("prepare", "c.jsonnet", "--json").stdout)["ran"] == []
    assert "newer" in project.run("cache", "ls", "--json").stdout

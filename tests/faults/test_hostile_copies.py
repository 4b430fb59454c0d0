"""Each store format, recorder, checkpoint, export, tokenizer, model, dataset, snapshot and archive, as a hostile copy.

Each is refused with an error of runway's or loaded; nothing is run, and nothing written beside it. Random ones are made
by ``tests.faults.fuzz_files``.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from runway.assets import fetch
from runway.config import Config
from runway.errors import ConfigError, RunwayError
from runway.executors.pretrained import load_pretrained
from runway.pipeline.store import formats
from runway.pretrained import open_pretrained
from runway.transforms.loading.builders import load_dataset
from runway.user_code import may_be_named, may_run, trust
from runway.walk import mark_as_cache
from tests.faults.hostile import KINDS, VALUES, Arena, Canary, edits_of, replacements

SHARE = 120
"""Of the edits of JSON, one in so many is tried; all of them with the marker ``long``."""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("arena"))


def test_every_format_of_the_store_is_among_them() -> None:
    assert set(VALUES) == {one.name for one in formats.FORMATS}


def copies(arena: Arena, kind: str, share: int) -> Iterator[tuple[str, str, bytes | Path | None]]:
    """What is put in the place of each file: (file, what, content)."""
    chance = random.Random(kind)
    for name, whole in arena.whole[kind].items():
        found = dict(replacements(arena.canary, whole))
        if share > 1:
            found = {what: found[what] for what in chance.sample(sorted(found), len(found) * 10 // (10 + share))}
        yield from ((name, what, content) for what, content in found.items())
        yield from ((name, "gone", None), (name, "link", Path("/etc/passwd")), (name, "loop", Path(Path(name).name)))
        for number, content in enumerate(edits_of(whole, arena.canary)):
            if chance.random() < 1 / share:
                yield name, f"edit {number}", content


def found_in(arena: Arena, kind: str, share: int) -> list[tuple[str, str, str]]:
    """What went wrong: (file, what stood in its place, how)."""
    loaded = ((name, what, arena.load(kind, name, content)) for name, what, content in copies(arena, kind, share))
    return [(name, what, found) for name, what, found in loaded if found]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_copy_is_refused_or_harmless(kind: str, arena: Arena) -> None:
    assert not found_in(arena, kind, SHARE)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_hostile_copy_is_refused_or_harmless(kind: str, arena: Arena) -> None:
    assert not found_in(arena, kind, 1)


# --- code that comes along


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    made = Canary(tmp_path)
    yield made
    assert not made.was_run()


def edited(folder: Path, name: str, **settings: object) -> None:
    path = folder / name
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **settings}))


@pytest.fixture
def model(tmp_path: Path, canary: Canary) -> Path:
    """A model's folder with a module beside it that would leave the mark."""
    folder = tmp_path / "model"
    folder.mkdir()
    KINDS["model"][0](folder)
    (folder / "evil.py").write_text(canary.module)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(canary.module + "\ndef generate(model, **_): pass\n")
    return folder


_AUTO = {
    "AutoConfig": "evil.C",
    "AutoModel": "evil.M",
    "AutoModelForSequenceClassification": "evil.M",
    "AutoTokenizer": ["evil.T", None],
}


@pytest.mark.parametrize("model_type", ["bert", "mine"])
def test_the_code_of_a_model_is_not_run(model: Path, model_type: str) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    edited(model, "config.json", auto_map=_AUTO, model_type=model_type)
    edited(model, "tokenizer_config.json", auto_map=_AUTO, tokenizer_class="Mine")
    for cls in (AutoConfig, AutoModelForSequenceClassification, AutoTokenizer):
        try:
            loaded = open_pretrained(cls, model, where="here")
        except RunwayError:
            continue
        assert type(loaded).__module__.startswith("transformers.")


def test_no_prompt_is_answered(model: Path) -> None:
    """``yes |`` on the terminal, where transformers would ask."""
    edited(model, "config.json", auto_map=_AUTO, model_type="mine")
    code = (
        "import sys, transformers as t; from runway.pretrained import open_pretrained as o\n"
        "o(t.AutoModelForSequenceClassification, sys.argv[1], where='here')"
    )
    command = [sys.executable, "-c", code, str(model)]
    done = subprocess.run(command, input="y\n" * 50, capture_output=True, text=True, check=False)
    assert "brings code of its own" in done.stderr
    assert "[y/N]" not in done.stdout + done.stderr


def test_code_is_run_where_the_config_says_so_for_that_source(model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    edited(model, "config.json", auto_map=_AUTO, model_type="mine")
    settings = {"pretrained_model_name_or_path": str(model), "trust_remote_code": "yes"}
    with pytest.raises(ConfigError, match="must be true or false"):
        load_pretrained(AutoModelForSequenceClassification, Config(from_pretrained_kwargs=settings))
    with pytest.raises(RunwayError, match="evil"):  # it was run, and has no model
        open_pretrained(AutoModelForSequenceClassification, model, where="here", trust_remote_code=True)
    assert (tmp_path / "canary").is_dir()
    (tmp_path / "canary").rmdir()
    with pytest.raises(ConfigError, match="brings code of its own"):
        open_pretrained(AutoModelForSequenceClassification, model, where="here")


def test_pickled_weights_run_nothing(model: Path, canary: Canary) -> None:
    from transformers import AutoModelForSequenceClassification

    (model / "model.safetensors").unlink()
    torch.save({"a": canary.value}, model / "pytorch_model.bin")
    torch.save({"a": canary.value}, model / "adapter_model.bin")
    with pytest.raises(RunwayError):
        open_pretrained(AutoModelForSequenceClassification, model, where="here")
    with pytest.raises(ConfigError, match="can run any code"):
        open_pretrained(AutoModelForSequenceClassification, model, where="here", weights_only=False)
    base = {"base_model_name_or_path": str(model), "target_modules": ["query"], "peft_type": "LORA", "r": 2}
    edited(model, "adapter_config.json", **base, auto_mapping={"base_model_class": "M", "parent_library": "evil"})
    with pytest.raises((RunwayError, OSError)):
        open_pretrained(AutoModelForSequenceClassification, model, where="here")


def test_an_adapter_that_names_another_model_does_not_bring_its_code(model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    edited(model, "config.json", auto_map=_AUTO, model_type="mine")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    edited(adapter, "adapter_config.json", base_model_name_or_path=str(model), peft_type="LORA", r=2)
    with pytest.raises(RunwayError):
        open_pretrained(AutoModelForSequenceClassification, adapter, where="here")


def test_a_model_of_its_own_decoding_decodes_as_transformers_does(model: Path) -> None:
    from transformers import AutoModelForCausalLM

    made = open_pretrained(AutoModelForCausalLM, model, where="here")
    assert "generate" not in vars(made)


def test_sizes_in_a_config_name_no_code() -> None:
    from transformers import AutoModelForCausalLM

    sizes = {"model_type": "distilbert", "auto_map": {"AutoModelForCausalLM": "owner/evil--module.Model"}}
    with pytest.raises(RunwayError):
        load_pretrained(AutoModelForCausalLM, Config(from_config_kwargs=sizes))


def test_a_chat_template_stays_in_its_sandbox(model: Path, canary: Canary) -> None:
    from transformers import AutoTokenizer

    edited(model, "tokenizer_config.json", chat_template=canary.template)
    tokenizer = open_pretrained(AutoTokenizer, model, where="here")
    with pytest.raises(Exception, match="unsafe"):
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


@pytest.mark.parametrize("settings", [{"path": "pandas"}, {"path": "csv", "trust_remote_code": True}])
def test_datasets_bring_neither_scripts_nor_pickles(settings: dict, tmp_path: Path, canary: Canary) -> None:
    import pickle

    (tmp_path / "rows.pkl").write_bytes(pickle.dumps(canary.value))
    with pytest.raises(ConfigError):
        load_dataset(data_files=str(tmp_path / "rows.pkl"), **settings)


def test_a_folder_of_a_dataset_with_a_script_is_read_as_files(tmp_path: Path, canary: Canary) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "reviews.py").write_text(canary.module)
    (folder / "train.csv").write_text("text\na\n")
    assert KINDS["dataset:saved"][1](folder) == {"train": {"text": ["a"]}}


def test_what_lies_in_a_cache_is_never_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assets and entries are others', wherever in the project the cache is."""
    for folder in ("cache/assets/x", "data/cache/assets/x", "own"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "evil.py").write_text("")
    mark_as_cache(tmp_path / "cache")
    mark_as_cache(tmp_path / "data" / "cache")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("runway.user_code._projects", set())
    trust(tmp_path, [])
    assert may_be_named("own.evil")
    assert may_run(tmp_path / "own" / "evil.py", tmp_path)
    for folder in ("cache/assets/x", "data/cache/assets/x"):
        assert not may_be_named(f"{folder.replace('/', '.')}.evil")
        assert not may_run(tmp_path / folder / "evil.py", tmp_path)


# --- the rule, over the source


def test_nothing_else_opens_what_others_have_written() -> None:
    """Each of these calls stands in the one file that says what is trusted."""
    root = Path(__file__).resolve().parents[2]
    homes = {
        ".from_pretrained(": {"runway/pretrained.py", "runway/executors/multi_task/encoders.py"},
        "datasets.load_dataset(": {"runway/transforms/loading/builders.py"},
        "evaluate.load(": {"runway/metrics/__init__.py"},
        "pickle.load": {"runway/pipeline/store/formats.py", "runway/pipeline/runners/processes.py"}
        | {"runway/pipeline/runners/ray_task.py"},
        "allow_pickle=True": set(),
        "weights_only=False": set(),
    }
    for path in [*(root / "runway").rglob("*.py"), *(root / "src").rglob("*.py")]:
        name, lines = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8").splitlines()
        code = [line for line in lines if "``" not in line and not line.lstrip().startswith("#")]
        for call, allowed in homes.items():
            stands = any(call in line for line in code)
            assert not stands or name in allowed or name == "src/executors/imdb_executor.py", f"{call} in {name}"
        loads = [line for line in code if "torch.load(" in line]
        assert all("weights_only=True" in line for line in loads), name


def test_an_asset_from_a_hostile_server_is_data(tmp_path: Path) -> None:
    """What servers and archives may do stands in test_downloads.py and test_archives.py; here: a local copy."""
    (tmp_path / "a.bin").write_bytes(b"x")
    os.symlink("a.bin", tmp_path / "b.bin")
    with pytest.raises(RunwayError, match="pinned"):
        fetch("b.bin", "0" * 64, "cache", tmp_path)

"""Secrets: which values are, that none is written or printed, and what ``env:NAME`` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runway import masking
from runway.assets import fetch
from runway.cli.app import main
from runway.config import Config, Reads, RecordedView, load_config
from runway.errors import AssetError, ConfigError
from runway.masking import MASK, for_keys, hidden, hidden_source, hidden_words, hide, is_secret, note, resolved


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", {})


SECRETS = """hf_token=SECRETONE apiKey=x1 AWS_SECRET_ACCESS_KEY=x key=SECRETONE auth=x dbPasswd=a client_secret=s
deploy_token=abcdef apikey=a token=hf_abcdef AWS_ACCESS_KEY_ID=AK password_value=x row_key=A1b2C3d4E5f6G7h8"""
NONE = """tokenizer=bert key_columns=id sort_key=length pad_token=PADDING eos_token=</s> mask_token=[MASK] token=<unk>
key=text_id author=A hf_token=env:HF_TOKEN password= join_key=sentence_id keys=abcdefgh token_type_ids=segments"""


def test_what_is_a_secret() -> None:
    for word in SECRETS.split():
        name, _, value = word.partition("=")
        assert is_secret(name, value), word
    for word in NONE.split():
        name, _, value = word.partition("=")
        assert not is_secret(name, value), word
    assert is_secret("password", 123456)
    numbers: list[tuple[str, Any]] = [("token_budget", 5), ("max_tokens", 4096), ("key", 3), ("auth", True)]
    assert not any(is_secret(name, value) for name, value in numbers)


def test_credentials_in_urls_are_masked_and_addresses_stay() -> None:
    assert (
        hide("at https://me:pw@host/x?X-Amz-Signature=1a&split=b")
        == "at https://***@host/x?X-Amz-Signature=***&split=b"
    )
    assert hide("s3://AK:a/b@bucket/x") == "s3://***@bucket/x"
    for address in ("http://localhost:8080/a@b", "hf://datasets/a/b@rev", "https://host/x?split=train&page=2"):
        assert hide(address) == address


def test_what_signs_an_address_is_in_no_message_and_no_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(uri: str, target: Path, **_: Any) -> None:
        raise AssetError(f"the server refused {uri}", where=uri, hint=f"ask for another {uri}")

    monkeypatch.setattr("runway.downloads.download", refuse)
    long, jwt = "aB3" * 9, "eyJhbGciOiJIUzI1NiJ9.e30.x"
    uri = f"https://host/a.csv?split=train&rev={'3f' * 20}&X-Amz-Credential=AKIAX%2Fs3&Policy=pppp&u={long}&v={jwt}"
    with pytest.raises(AssetError) as caught:
        fetch(uri, cache_dir=tmp_path)
    shown = f"https://host/a.csv?split=train&rev={'3f' * 20}&X-Amz-Credential=***&Policy=***&u=***&v=***"
    assert str(caught.value).count(shown) == 3
    everything = f"{caught.value!r}{capsys.readouterr()}{sorted(tmp_path.rglob('*'))}"
    assert not any(secret in everything for secret in ("AKIAX", "pppp", long, jwt))


def test_words_of_commands_and_lines_of_code() -> None:
    words = ["train", "a.hf_token=abc", "a={hf_token: abcdefg, n: 1}", "lr=1e-5", "a.token=env:HF_TOKEN", "--to=x"]
    assert hidden_words(words) == ["train", "a.hf_token=***", "a={hf_token: ***, n: 1}", *words[3:]]
    assert hidden_source("+ api_key: 'abc', n: 1") == "+ api_key: '***', n: 1"
    kept = "token = os.environ['X']; sorted(x, key=lambda one: one); tokenizer: 'abc'"
    assert hidden_source(kept) == kept


def test_what_is_known_is_taken_out_of_any_text_and_a_short_one_only_where_it_stands() -> None:
    config = {"a": {"password": "abcdefgh", "credentials": {"user": "me", "of": ["q"]}}, "b": "abcdefgh, abcdefghs"}
    note(config)
    masked = hidden(config)
    assert masked["a"] == {"password": MASK, "credentials": {"user": MASK, "of": [MASK]}}
    assert masked["b"] == "***, abcdefghs"  # a word that begins so is another one
    assert hide("me q abcdefgh") == "me q ***"
    untouched = {"a": [1, {"b": "c"}]}
    assert hidden(untouched) is untouched


def test_keys_depend_on_a_secret_and_do_not_hold_it() -> None:
    one, other = (for_keys({"password": text, "url": f"https://u:{text}@h/x"}) for text in ("hunter2", "hunter3"))
    assert one != other
    assert "hunter" not in json.dumps([one, other])
    assert for_keys({"token": "env:HF_TOKEN"}) == {"token": "env:HF_TOKEN"}  # another secret is the same work


def test_env_is_resolved_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "the-secret")
    config = Config({"model": {"hf_token": "env:A_TOKEN", "n": [1, "env:A_TOKEN"]}, "rest": {"x": 1}})
    view = RecordedView(config, Reads())
    assert view.model.hf_token == view["model"]["n"][1] == view.to_dict()["model"]["hf_token"] == "the-secret"
    assert resolved(config).model.n == [1, "the-secret"]
    assert resolved(config).rest is config.rest
    assert config.model.hf_token == "env:A_TOKEN"
    assert hide("not the-secret") == "not ***"
    monkeypatch.delenv("A_TOKEN")
    with pytest.raises(ConfigError, match=r"A_TOKEN is not set\n  where: model.hf_token"):
        resolved(config)


def test_a_mask_is_never_used_as_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"model_config": {"hf_token": "***", "url": "https://***@h/", "line": "***"}}', encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_config(file)
    assert len(raised.value.errors) == 2  # type: ignore[attr-defined]
    assert "put `env:NAME` there" in str(raised.value)
    assert load_config(file, ["model_config.hf_token=env:X", "model_config.url=env:Y"]).model_config.line == "***"


def test_config_prints_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.jsonnet"
    file.write_text("{ model_config: { api_key: 'SECRETONE', again: self.api_key + 'x' } }", encoding="utf-8")
    assert main(["config", str(file), "model_config.password=SECRETTWO", "train.batch_size=SECRETTWO"]) == 2
    assert main(["config", str(file), "model_config.password=SECRETTWO"]) == 0
    assert main(["config", str(file), "--diff", str(file), "model_config.password=SECRETTWO"]) == 0
    file.write_text("{ model_config: { api_key: 'SECRETONE', b: null.x } }", encoding="utf-8")
    assert main(["config", str(file)]) == 2
    printed = capsys.readouterr()
    assert "SECRET" not in printed.out + printed.err
    assert MASK in printed.out


PROJECT_OP = """
from runway import BaseTransform, register_transform_functor
@register_transform_functor
class Ask(BaseTransform):
    def setup(self, api_key, **kwargs):
        super().setup(**kwargs)
        self.api_key = api_key
    def _call(self, data):
        assert self.api_key == "SECRETONE" and self.global_config.model_config.hf_token == "SECRETTWO"
        return {"rows": 1}
"""


@pytest.mark.parametrize("way", ["plain", "env"])
def test_a_pipeline_keeps_no_secret(tmp_path: Path, way: str) -> None:
    (tmp_path / "src/data_ops").mkdir(parents=True)
    (tmp_path / "src/data_ops/ask.py").write_text(PROJECT_OP, encoding="utf-8")
    values = ["SECRETONE", "SECRETTWO"] if way == "plain" else ["env:ONE", "env:TWO"]
    node = {"transform_name": "Ask", "setup_kwargs": {"api_key": values[0]}}
    config = {"data_pipeline": {"transforms": {"output:A": node}}, "model_config": {"hf_token": values[1]}}
    (tmp_path / "exp.jsonnet").write_text(json.dumps({"experiment_name": "x", **config}), encoding="utf-8")
    env = {**os.environ, "ONE": "SECRETONE", "TWO": "SECRETTWO"}
    printed = ""
    for command in (
        ["prepare"],
        ["plan"],
        ["plan", "data_pipeline.transforms.output:A.setup_kwargs.api_key=SECRETSIX"],
    ):
        words = [sys.executable, "-m", "runway", command[0], "exp.jsonnet", *command[1:]]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed += done.stdout + done.stderr
    kept = b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert b"SECRET" not in kept
    assert "SECRET" not in printed
    assert "1 cached" in printed
    assert "argument api_key" in printed

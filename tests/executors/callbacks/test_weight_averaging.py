"""AverageLastWeights: the mean where it is used, the weights as trained where training goes on."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from runway import RunwayExperiment
from runway.executors.callbacks.weight_averaging import AverageLastWeights
from runway.executors.seq2seq.executor import Seq2SeqExecutor
from tests.executors.tiny import build, trainer
from tests.executors.tiny_translation import translation_config

NAME = "model.model.decoder.layers.0.fc1.weight"


class Watch(Callback):
    """Keeps the weight after each step, and the one that validations see."""

    def __init__(self) -> None:
        self.trained, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.trained.append(pl_module.get_parameter(NAME).detach().clone())

    def on_validation_batch_start(self, trainer, pl_module, *args):
        if not trainer.sanity_checking:
            self.validated.append(pl_module.get_parameter(NAME).detach().clone())


def train(folder, average_last, *, epochs=4):
    torch.manual_seed(0)
    config = translation_config(folder, rows=16, test_rows=4)
    executor = build(Seq2SeqExecutor, config, tokenizer_node="process:Tokenizer", average_last=average_last)
    watch = Watch()
    saving = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_epochs=1)
    run = trainer(folder, max_epochs=epochs, callbacks=[watch, saving], enable_checkpointing=True)
    run.fit(executor)
    return executor, watch


def checkpoint(folder, step):
    return torch.load(folder / f"step={step}.ckpt", weights_only=True)


def test_validations_see_the_mean_of_the_last_snapshots(tmp_path):
    executor, watch = train(tmp_path, 2)  # two steps an epoch
    plain, plain_watch = train(tmp_path / "plain", None)
    for ours, without in zip(watch.trained, plain_watch.trained, strict=True):
        assert torch.equal(ours, without)  # averaging changes nothing in the training itself
    ends = watch.trained[1::2]
    assert torch.equal(watch.validated[0], ends[0])
    for epoch in (1, 2, 3):
        assert torch.allclose(watch.validated[epoch], (ends[epoch - 1] + ends[epoch]) / 2, atol=1e-7)
    assert torch.allclose(executor.get_parameter(NAME), (ends[2] + ends[3]) / 2, atol=1e-7)
    assert torch.equal(plain.get_parameter(NAME), ends[3])


def test_checkpoints_hold_the_mean_under_every_name_of_a_tied_weight(tmp_path):
    train(tmp_path, 2)
    state = checkpoint(tmp_path, 8)["state_dict"]
    first, second = (checkpoint(tmp_path, step)["raw_state_dict"] for step in (6, 8))
    assert torch.allclose(state[NAME], (first[NAME] + second[NAME]) / 2, atol=1e-7)
    tied = [name for name in state if name.endswith(("embed_tokens.weight", "shared.weight", "lm_head.weight"))]
    assert len(tied) == 4
    shared = "model.model.shared.weight"
    mean = (first[shared] + second[shared]) / 2
    assert all(torch.allclose(state[name], mean, atol=1e-7) for name in tied)


def test_snapshots_by_steps(tmp_path):
    _, watch = train(tmp_path, {"count": 3, "every_n_steps": 1}, epochs=2)
    assert torch.allclose(watch.validated[-1], sum(watch.trained[-3:]) / 3, atol=1e-7)


def test_going_on_gives_what_an_uninterrupted_training_gives(tmp_path):
    def states(folder, *epochs):
        for number, until in enumerate(epochs):
            config = translation_config(folder, rows=16, test_rows=4)
            config.executor.init_kwargs["average_last"] = {"count": 3, "every_n_steps": 1}
            config.train.trainer_paras["max_epochs"] = until
            result = RunwayExperiment(config, resume=number > 0).train()
        return torch.load(result.path / "saved_models" / "last.ckpt", weights_only=True)

    whole, resumed = states(tmp_path / "whole", 3), states(tmp_path / "resumed", 2, 3)
    assert whole["global_step"] == resumed["global_step"] == 6
    for key in ("state_dict", "raw_state_dict"):
        assert whole[key].keys() == resumed[key].keys()
        assert all(torch.equal(whole[key][name], resumed[key][name]) for name in whole[key])
    assert not torch.equal(whole["state_dict"][NAME], whole["raw_state_dict"][NAME])


def test_going_on_without_averaging_starts_from_the_weights_as_trained(tmp_path):
    train(tmp_path, 2, epochs=2)
    config = translation_config(tmp_path, rows=16, test_rows=4)
    executor = build(Seq2SeqExecutor, config, tokenizer_node="process:Tokenizer")
    seen = {}

    class First(Callback):
        def on_train_batch_start(self, trainer, pl_module, *args):
            seen.setdefault("first", pl_module.get_parameter(NAME).detach().clone())

    trainer(tmp_path, max_epochs=3, callbacks=[First()]).fit(executor, ckpt_path=tmp_path / "step=4.ckpt")
    saved = checkpoint(tmp_path, 4)
    assert torch.equal(seen["first"], saved["raw_state_dict"][NAME])
    assert not torch.equal(seen["first"], saved["state_dict"][NAME])


def test_a_training_without_a_snapshot_says_so(tmp_path, capsys):
    train(tmp_path, {"count": 2, "every_n_steps": 100}, epochs=1)
    assert "nothing was averaged; a snapshot is taken every 100 steps" in capsys.readouterr().err


@pytest.mark.parametrize("setting", [3, {"count": 3}, {"count": 3, "every_n_steps": None}])
def test_settings(setting):
    made = AverageLastWeights.of(setting)
    assert (made.count, made.every_n_steps) == (3, None)

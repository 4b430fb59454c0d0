"""Two ranks: what each has of its own goes on after a resume, and what is validated is what is saved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project

SCRIPT = """
    import json
    import shutil
    from pathlib import Path

    import torch

    from runway.recorder import EvalRecorder
    from runway.registry import register_executor
    from tests.experiment.tiny import TinyRegression, tiny, weights

    folder = Path(__file__).parent


    @register_executor
    class Normed(TinyRegression):
        "What a rank has seen is in its buffers, and goes into what is learned."

        def _init_model(self, model_config):
            super()._init_model(model_config)
            self.model.insert(0, torch.nn.BatchNorm1d(4))
            self.model.register_buffer("seen", torch.zeros(4))
            self.keeps = model_config["keeps"]

        def _loss(self, batch):
            if self.training:
                self.model.seen += batch[1].mean(0)
            predictions = self.model(batch[1] + self.model.seen)
            return predictions, ((predictions - batch[2]) ** 2).mean()

        def on_train_batch_end(self, *args):
            if self.keeps and self.trainer.fit_loop.total_batch_idx == 0:  # in the midst of a step
                self.trainer.save_checkpoint(folder / "kept1/last.ckpt")

        def on_validation_start(self):
            if self.keeps and self.trainer.is_global_zero and not self.trainer.sanity_checking:
                target = folder / f"kept{self.trainer.fit_loop.total_batch_idx + 1}"
                shutil.copytree(Path(self.trainer.checkpoint_callback.dirpath), target)


    def train(name, **flags):
        trainer = {"max_epochs": 2, "devices": 2, "strategy": "ddp", "accelerator": "cpu", "log_every_n_steps": 1}
        trainer |= {"val_check_interval": 3, "check_val_every_n_epoch": None, "accumulate_grad_batches": 2}
        trainer |= {"enable_progress_bar": False}
        settings = [f"train.trainer_paras={json.dumps(trainer)}", "executor.ExecutorClass=Normed"]
        return tiny(folder / name, *settings, f"model_config.keeps={json.dumps(not flags)}", **flags).train().path


    def outcome(run):
        recorders = sorted((run / "recorders").iterdir())
        loaded = {one.name: EvalRecorder.load_from_disk(one.name, one.parent) for one in recorders}
        rows = {name: recorder.get_sample_logs("list") for name, recorder in loaded.items()}
        kept = {name: value.tolist() for name, value in weights(run / "saved_models/last.ckpt").items()}
        return [rows, kept, json.loads((run / "metrics_history.json").read_text())]


    def gone_on_from(batch):
        "The whole run, as if it had been killed soon after this batch, resumed."
        if first:
            shutil.copytree(folder / "whole", folder / f"from{batch}")
            saved = folder / f"from{batch}" / whole.relative_to(folder / "whole") / "saved_models"
            shutil.rmtree(saved)
            shutil.copytree(folder / f"kept{batch}", saved)
        torch.distributed.barrier()
        return outcome(train(f"from{batch}", resume=True))


    whole = train("whole")
    first = torch.distributed.get_rank() == 0
    truth = outcome(whole)
    told = {"same": [gone_on_from(batch) == truth for batch in (1, 3)], "errors": []}
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    for batch, step in ((3, 1), (6, 3), (9, 5)):
        saved = weights(folder / f"kept{batch}/last.ckpt")
        saved = {name.removeprefix("model."): value for name, value in saved.items()}
        seen = saved.pop("seen")
        norm, layers = torch.nn.BatchNorm1d(4), [torch.nn.Linear(4, 8), torch.nn.Dropout(), torch.nn.Linear(8, 1)]
        model = torch.nn.Sequential(norm, *layers).eval()
        model.load_state_dict(saved)
        recorded = torch.tensor([row["prediction"] for row in truth[0][f"validation-step{step}"]])
        told["errors"].append(float((model(x + seen).squeeze(1) - recorded).detach().abs().max()))
    if first:
        (folder / "told.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_a_resume_over_two_ranks_and_the_scores_of_what_is_saved(project: Project) -> None:
    project.python(project.write("train.py", SCRIPT), timeout=240)
    told = json.loads(project.read("told.json"))
    assert told["same"] == [True, True]
    assert max(told["errors"]) < 1e-5, told["errors"]

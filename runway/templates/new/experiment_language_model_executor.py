"""The executor of __name__: a causal language model."""

from __future__ import annotations

from typing import Any

from runway import BaseExecutor, register_executor
from runway.executors.pretrained import load_pretrained


@register_executor
class __Class__Executor(BaseExecutor):
    """Train any `AutoModelForCausalLM` to foretell the next token. Batches hold `input_ids [B, T]`."""

    def _init_model(self, model_config: Any) -> None:
        from transformers import AutoModelForCausalLM

        self.model = load_pretrained(AutoModelForCausalLM, model_config)

    def losses(self, batch: Any) -> Any:
        """The mean loss of each row `[B]`."""
        import torch.nn.functional as F

        ids = batch["input_ids"]
        logits = self.model(input_ids=ids, attention_mask=batch.get("attention_mask")).logits[:, :-1].float()
        return F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The mean loss of a batch."""
        loss = self.losses(batch).mean()
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log `val_loss`, and record each row's."""
        self.record(batch, "val_loss", self.valid_eval_recorder)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log `test_loss`, and record each row's."""
        self.record(batch, "test_loss", self.test_eval_recorder)

    def record(self, batch: Any, name: str, recorder: Any) -> None:
        """A row of the recorder for each block."""
        losses = self.losses(batch)
        self.log(name, losses.mean(), prog_bar=True)
        recorder.log_sample_dict_batch({"loss": losses.tolist()})

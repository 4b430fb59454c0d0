from runway_for_ml.executors.base_executor import BaseExecutor
from runway_for_ml.utils.global_variables import register_executor
from runway_for_ml.utils.util import batch_depad
from runway_for_ml.configs.configuration import (
    DataPipelineConfig,
    ModelConfig,
)
import torch
import torch.nn as nn
from src.utils.words import VOCABULARY, to_text


class TinyClassifier(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), size)
        self.out = nn.Linear(size, 2)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask.unsqueeze(-1)
        return self.out((self.embed(input_ids) * mask).sum(1) / mask.sum(1))


class OldExecutor(BaseExecutor):
    def __init__(
        self,
        data_pipeline_config: DataPipelineConfig,
        model_config: ModelConfig,
        mode,  # train/infer/eval
        train_config={},
        test_config={},
        log_file_path=None,
        use_data_node=None,
        tokenizer=None,
        eval_pipeline_config=None,
        global_config=None,
        *args,
        **kwargs,
    ):
        super().__init__(
            data_pipeline_config,
            model_config,
            mode,
            train_config=train_config,
            test_config=test_config,
            log_file_path=log_file_path,
            eval_pipeline_config=eval_pipeline_config,
            global_config=global_config,
            *args,
            **kwargs,
        )
        self.use_data_node = use_data_node
        self.valid_losses = []

    def setup(self, stage):
        data = self.dp.get_data([self.use_data_node], explode=True)
        use_columns = ["input_ids", "labels", "attention_mask"]
        if stage in (None, "fit"):
            self.train_dataset = data.splits["train"]
            self.train_dataset.set_format("torch", columns=use_columns)
            self.val_dataset = data.splits["validation"]
            self.val_dataset.set_format("torch", columns=use_columns)
        if stage in (None, "test"):
            self.test_dataset = data.splits["test"]
            self.test_dataset.set_format("torch", columns=use_columns)

    def configure_optimizers(self):
        lr = self.optimizer_config["optimizer_params"].lr
        head_lr = self.optimizer_config.get("head_lr", lr)
        groups = [
            {"params": [p for n, p in self.model.named_parameters() if "out" not in n], "lr": lr},
            {"params": [p for n, p in self.model.named_parameters() if "out" in n], "lr": head_lr},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.config.train.get("weight_decay", 0))

    # hooks without super()
    def on_validation_start(self):
        self.valid_losses = []

    def on_validation_end(self):
        print(
            f"validation {self.valid_cnt}: {sum(self.valid_losses) / len(self.valid_losses):.3f}, wandb {self.use_wandb}"
        )

    def on_test_start(self):
        self.log_list.append("test starts")

    def on_test_end(self):
        print(
            self.log_list,
            self.test_cnt,
            self.use_dtype,
            self.config.mode,
            self.config.test_dir == self.global_config["test_dir"],
        )


@register_executor
class ReviewClassifier(OldExecutor):
    def _init_model(self, model_config):
        assert self.training_config.batch_size == self.config.train.batch_size
        self.model = TinyClassifier(model_config.hidden_size)

    def _predict(self, batch):
        x, mask, y = batch["input_ids"], batch["attention_mask"], batch["labels"]
        x, mask, _ = batch_depad(x, mask, x, pad_len=1)
        return self.model(x, mask), y

    def training_step(self, batch, batch_idx):
        logits, y = self._predict(batch)
        loss = nn.functional.cross_entropy(logits, y)
        self.log("train_loss", loss, prog_bar=True, on_epoch=True, on_step=True, logger=True)
        return loss

    def _record(self, batch, recorder):
        logits, y = self._predict(batch)
        recorder.log_sample_dict_batch(
            {"pred": logits.argmax(-1).tolist(), "label": y.tolist(), "score": logits.softmax(-1)[:, 1]}
        )
        return nn.functional.cross_entropy(logits, y)

    def validation_step(self, batch, batch_idx):
        loss = self._record(batch, self.valid_eval_recorder)
        self.valid_losses.append(loss.item())
        self.log("val_loss", loss)

    def test_step(self, batch, batch_idx):
        self._record(batch, self.test_eval_recorder)


@register_executor
class ReviewGenerator(OldExecutor):
    def _init_model(self, model_config):
        from transformers import T5Config, T5ForConditionalGeneration

        self.model = T5ForConditionalGeneration(T5Config(vocab_size=len(VOCABULARY), **model_config.t5))

    def training_step(self, batch, batch_idx):
        loss = self.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
        ).loss
        self.log("train_loss", loss)
        return loss

    def _record(self, batch, recorder):
        out = self.model.generate(
            batch["input_ids"], attention_mask=batch["attention_mask"], **self.test_config["generate_params"]
        )
        recorder.log_sample_dict_batch(
            {
                "prediction": [to_text(ids) for ids in out.tolist()],
                "reference": [to_text(ids) for ids in batch["labels"].tolist()],
                "score": [float(len(ids)) for ids in out.tolist()],
            }
        )

    def validation_step(self, batch, batch_idx):
        self._record(batch, self.valid_eval_recorder)
        self.valid_losses.append(0.0)

    def test_step(self, batch, batch_idx):
        self._record(batch, self.test_eval_recorder)

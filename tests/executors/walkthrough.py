"""An executor written as the walkthrough shows, and the recorders that it leaves."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForSequenceClassification

from runway import EvalRecorder
from runway.executors.base_executor import BaseExecutor


class WalkthroughExecutor(BaseExecutor):
    """As in the original's README and demo, hook by hook."""

    def __init__(
        self,
        data_pipeline_config,
        model_config,
        mode,
        train_config={},  # noqa: B006 (as users write it)
        test_config={},  # noqa: B006
        log_file_path=None,
        use_data_node=None,
        tokenizer=None,
        global_config=None,
        *args,
        **kwargs,
    ):
        self.id2label = {0: "NEGATIVE", 1: "POSITIVE"}
        self.label2id = {"NEGATIVE": 0, "POSITIVE": 1}
        super().__init__(
            data_pipeline_config,
            model_config,
            mode,
            train_config=train_config,
            test_config=test_config,
            log_file_path=log_file_path,
            tokenizer=tokenizer,
            global_config=global_config,
            *args,  # noqa: B026
            **kwargs,
        )
        self.use_data_node = use_data_node

    def _init_model(self, model_config):
        self.model = AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model(**model_config.from_config_kwargs, id2label=self.id2label, label2id=self.label2id)
        ).eval()

    def prepare_data(self):
        super().prepare_data()

    def setup(self, stage):
        super().setup(stage)
        self.prepared_data = self.dp.get_data([self.use_data_node], explode=True)

        self.train_dataloaders = self.prepared_data.get("train_dataloaders", None)
        self.valid_dataloaders = self.prepared_data.get("val_dataloaders", None)
        self.test_dataloaders = self.prepared_data.get("test_dataloaders", None)

    def training_step(self, batch, batch_idx):
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        outputs = self.model(input_ids=x, labels=y, attention_mask=mask)
        loss = outputs.loss
        self.log("train_loss", loss, prog_bar=True, on_epoch=True, on_step=True, logger=True)
        return loss

    def _model_predict(self, input_ids, mask, labels):
        outputs = self.model(input_ids=input_ids, labels=labels, attention_mask=mask)
        ids = outputs.logits.argmax(-1).tolist()
        labels = [self.id2label[i] for i in ids]
        return {"predicted_class_id": ids, "predicted_class_label": labels}, outputs.loss

    def validation_step(self, batch, batch_idx):
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        pred_res, loss = self._model_predict(input_ids=x, mask=mask, labels=y)
        y = y.tolist()
        gt_class_labels = [self.model.config.id2label[_id] for _id in y]
        self.log("val_loss", loss)
        dict_to_log = {"ground_truth_class_id": y, "ground_truth_class_label": gt_class_labels}
        dict_to_log.update(pred_res)
        self.valid_eval_recorder.log_sample_dict_batch(dict_to_log)

    def test_step(self, batch, batch_idx):
        x, y, mask = batch["input_ids"], batch["labels"], batch["attention_mask"]
        pred_res, loss = self._model_predict(input_ids=x, mask=mask, labels=y)
        self.log("test_loss", loss)
        self.test_eval_recorder.log_sample_dict_batch({"ground_truth_class_id": y.tolist(), **pred_res})


def load_validation(folder, step):
    name = f"validation-step{step}"
    (saved,) = (folder / name).glob("*.parquet")
    return EvalRecorder.load_from_disk(name, folder, file_prefix=saved.name.removesuffix("-sample_log.parquet"))

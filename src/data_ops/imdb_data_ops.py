"""The IMDb demo's own DataOps: split off a validation set, make batches, score predictions.

A DataOp is a class with two methods: `setup` takes the node's `setup_kwargs` from the config, and `_call`
turns the output of the node's input into its own. Heavy libraries are imported inside `_call`: a run that
finds everything in the cache never needs them.
"""

from runway import BaseTransform, HFDatasetTransform, load_metric, register_transform_functor


@register_transform_functor
class SplitHFDataset(HFDatasetTransform):
    """Takes part of one split (`src_split`) and makes a new split (`tgt_split`) of it."""

    def setup(self, src_split, tgt_split, split_size, split_kwargs=None, **kwargs):
        """Take the node's settings.

        Args:
            src_split: the split to take rows from.
            tgt_split: the name of the new split.
            split_size: rows of the new split, or a fraction of the source's.
            split_kwargs: further arguments of `Dataset.train_test_split`, such as `seed`.
            **kwargs: the settings that every HFDatasetTransform has.
        """
        super().setup(**kwargs)
        self.src_split = src_split
        self.tgt_split = tgt_split
        self.split_size = split_size
        self.split_kwargs = split_kwargs or {}

    def _call(self, data, *args, **kwargs):
        src_ds = data[self.src_split]
        splited_dataset_dict = src_ds.train_test_split(self.split_size, **self.split_kwargs)
        data[self.src_split] = splited_dataset_dict["train"]
        data[self.tgt_split] = splited_dataset_dict["test"]

        print("Split into train/test/validation:", data)
        return data


@register_transform_functor
class MakeImdbDataloaders(BaseTransform):
    """Makes the dataloaders that the executor asks for, by their names."""

    def setup(self, use_columns=("input_ids", "attention_mask", "label", "text"), **kwargs):
        """Take the node's settings.

        Args:
            use_columns: the columns that a batch is made of.
            **kwargs: the settings that every transform has.
        """
        super().setup(**kwargs)
        self.use_columns = list(use_columns)

    def _call(self, data):
        train, test = self.global_config.train, self.global_config.test
        return {
            "train_dataloaders": [self._make_dataloader(data["train"], train, shuffle=True)],
            "val_dataloaders": [self._make_dataloader(data["valid"], test)],
            "test_dataloaders": [self._make_dataloader(data["test"], test)],
        }

    def _make_dataloader(self, dataset, settings, shuffle=False):
        from runway.transforms.batching.dataloaders import make_dataloader

        # Its sampler puts reviews of similar length into one batch, so that little of a batch is padding.
        return make_dataloader(
            dataset,
            columns=self.use_columns,
            batch_size=settings.batch_size,
            num_workers=settings.get("dataloader_workers", 0),
            shuffle=shuffle,
            seed=self.global_config.meta.seed,
            collate_fn=collate,
        )


def collate(rows):
    """A batch of rows as tensors: tokens padded to the longest review of the batch, labels of shape [B].

    Args:
        rows: {column: its value in each row of the batch}; "index" holds each row's place in the dataset.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def pad(sequences):
        return pad_sequence([torch.as_tensor(ids, dtype=torch.long) for ids in sequences], batch_first=True)

    return {
        "input_ids": pad(rows["input_ids"]),
        "attention_mask": pad(rows["attention_mask"]),
        "labels": torch.as_tensor(rows["label"]),
        "index": torch.as_tensor(rows["index"]),
        "text": rows["text"],  # for the recorder: a prediction says little without its review
    }


@register_transform_functor
class EvaluateBinaryClassification(BaseTransform):
    """Scores the predictions in a recorder; the scores go into its statistics."""

    def setup(self, pred_field, ref_field, **kwargs):
        """Take the node's settings.

        Args:
            pred_field: the recorder's column of predicted classes, 0 or 1.
            ref_field: the recorder's column of true classes.
            **kwargs: the settings that every transform has.
        """
        super().setup(**kwargs)
        self.pred_field = pred_field
        self.ref_field = ref_field

    def _call(self, data):
        predictions = data.get_sample_logs_column(self.pred_field)
        references = data.get_sample_logs_column(self.ref_field)
        for name in ("accuracy", "precision", "recall", "f1"):
            metric, columns = load_metric(name), {"predictions": predictions, "references": references}
            # How sure a score is: asked of a test, not of each validation.
            intervals = metric.intervals(**columns) if data.wants_intervals else None
            data.log_stats_dict(metric.compute(**columns), intervals=intervals)
        return data

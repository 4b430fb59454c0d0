from runway_for_ml.utils.global_variables import register_to, DataTransform_Registry
from runway_for_ml.data_module.data_transforms import (
    HFDatasetTransform,
    BaseTransform,
    register_transform_functor,
    keep_ds_columns,
)
from datasets import Dataset, DatasetDict

try:
    from easydict import EasyDict
except ImportError:
    from runway_for_ml.easy_dict import EasyDict
from src.utils.words import to_ids


@register_transform_functor
class LoadReviews(BaseTransform):
    def setup(self, num_rows, *args, **kwargs):
        self.num_rows = num_rows  # no super().setup

    def _call(self, data, *args, **kwargs):
        rows = []
        for i in range(self.num_rows):
            word = ["bad", "good", "poor", "great", "dull", "fine"][i % 6]
            rows.append({"sentence": f"this {['film', 'story'][i % 2]} was {word}", "label": i % 2, "row_id": i})
        whole = Dataset.from_list(rows)
        return EasyDict({"train": whole, "validation": whole.select(range(10)), "test": whole.select(range(4, 16))})


@register_to(DataTransform_Registry)
class EncodeReviews(HFDatasetTransform):
    # any mapping comes in, columns are renamed by hand
    def setup(self, rename_col_dict=None, length=6, *args, **kwargs):
        self.length = length
        super().setup(rename_col_dict, *args, **kwargs)

    def _call(self, data, *args, **kwargs):
        results = {}
        for split in self.splits_to_process:
            if split not in data:
                continue
            ds = data[split].map(lambda row: {"input_ids": to_ids(row["sentence"], self.length)})
            ds = ds.map(lambda row: {"attention_mask": [int(i != 0) for i in row["input_ids"]]})
            results[split] = ds.rename_columns(self.rename_col_dict)
        return DatasetDict(results)


@register_transform_functor
class PairWithTargets(HFDatasetTransform):
    """A list of inputs: the encoded data, and the raw one."""

    def setup(self, *args, **kwargs):
        super().setup(*args, **kwargs)

    def _call(self, data, *args, **kwargs):
        encoded, raw = data
        for split in encoded:
            labels = [to_ids(text, 5) for text in raw[split]["sentence"]]
            encoded[split] = encoded[split].remove_columns("labels").add_column("labels", labels)
        return encoded


@register_transform_functor
class WrapData(BaseTransform):
    def setup(self, keep, **kwargs):
        self.keep = keep

    def _call(self, data):
        splits = {name: keep_ds_columns(ds, self.keep) for name, ds in data[0].items()}
        return EasyDict({"splits": splits, "info": {"columns": self.keep}})

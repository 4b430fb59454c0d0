from runway_for_ml.data_module.data_transforms import BaseTransform, register_transform_functor


@register_transform_functor
class ComputeAccuracy(BaseTransform):
    def setup(self, pred_field, ref_field):
        self.pred_field = pred_field
        self.ref_field = ref_field

    def _call(self, eval_recorder, *args, **kwargs):
        preds = eval_recorder.get_sample_logs_column(self.pred_field)
        refs = eval_recorder.get_sample_logs_column(self.ref_field)
        correct = [int(p == r) for p, r in zip(preds, refs)]
        eval_recorder.set_sample_logs_column("correct", correct)
        eval_recorder.log_stats_dict({"accuracy": sum(correct) / len(correct)})
        return eval_recorder


@register_transform_functor
class CountFrame(BaseTransform):
    def setup(self, *args, **kwargs):
        pass

    def _call(self, eval_recorder):
        df = eval_recorder.get_sample_logs(data_format="csv")
        eval_recorder.log_stats_dict({"rows": len(df), "mean_score": float(df["score"].mean())})
        return eval_recorder

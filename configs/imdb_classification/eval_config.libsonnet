// How predictions are judged: pipelines over the EvalRecorder that a validation or a test leaves.
// The executor logs one row for each review, with the columns that are named here.
local evaluation = import 'runway/classification_eval.libsonnet';

// The demo's own: src/data_ops/imdb_data_ops.py. Left out, the ready-made ComputeMetrics would do the same.
local BinaryClassificationMetrics = {
  transform_name: 'EvaluateBinaryClassification',
  setup_kwargs: {
    pred_field: 'predicted_class_id',
    ref_field: 'ground_truth_class_id',
  },
};

{
  // After each validation. The metrics are logged under their names, so a checkpoint can be chosen by them.
  imdb_valid_eval_pipeline: evaluation.validation(node=BinaryClassificationMetrics),

  // After a test, and with `--mode eval` over the predictions that the test has saved.
  imdb_test_eval_pipeline: evaluation.test(
    node=BinaryClassificationMetrics,
    columns=['predicted_class_label', 'ground_truth_class_label', 'loss', 'text'],
    sort_by='loss',  // where the model is most wrong
    upload=true,
  ),
}

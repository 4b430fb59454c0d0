// Evaluation pipelines for classification, over the EvalRecorder that a validation or a test leaves:
//
//   local evaluation = import 'runway/classification_eval.libsonnet';
//   {
//     eval: {
//       valid_eval_pipeline_config: evaluation.validation(),
//       test_eval_pipeline_config: evaluation.test(metrics=['accuracy', 'f1', 'confusion_matrix'], upload=true),
//     },
//   }
//
// Metrics are names that `runway.load_metric` knows, or objects: { name: 'f1', kwargs: { average: 'macro' } }.
{
  local default_metrics = ['accuracy', 'precision', 'recall', 'f1'],

  // The node that scores: ComputeMetrics over two of the recorder's columns, or the caller's own.
  local scorer(metrics, pred_field, ref_field, node) =
    if node != null then node else {
      transform_name: 'ComputeMetrics',
      setup_kwargs: { metrics: metrics, pred_field: pred_field, ref_field: ref_field },
    },

  // The recorder, and its scores: the nodes that both pipelines begin with.
  local score(name, node) = {
    'input:GetEvaluationRecorder': {
      transform_name: 'GetEvaluationRecorder',
      setup_kwargs: {},
    },
    [name]: node { input_node: 'input:GetEvaluationRecorder' },
  },

  // After each validation: metrics only. They are logged under their own names, for `monitor: 'accuracy'`.
  //   metrics: which
  //   pred_field, ref_field: the recorder's columns with what was predicted, and what is true
  //   node: a transform of your own that scores, { transform_name: ..., setup_kwargs: ... }, instead of these three
  validation(
    metrics=default_metrics,
    pred_field='predicted_class_id',
    ref_field='ground_truth_class_id',
    node=null,
  ):: {
    local chosen = scorer(metrics, pred_field, ref_field, node),
    name: 'ClassificationValidEvalPipeline',
    transforms: score('output:' + chosen.transform_name, chosen),
  },

  // After a test: metrics, the recorder saved with them, a table on the screen, and wandb where it is asked for.
  //   metrics, pred_field, ref_field, node: as above
  //   columns: which columns the table of samples shows; null: all
  //   num_rows, sort_by: how many samples it shows, and of which column the highest (null: the first rows)
  //   upload: whether the samples go to wandb as well
  test(
    metrics=default_metrics,
    pred_field='predicted_class_id',
    ref_field='ground_truth_class_id',
    node=null,
    columns=null,
    num_rows=5,
    sort_by=null,
    upload=false,
  ):: {
    local chosen = scorer(metrics, pred_field, ref_field, node),
    local name = 'process:' + chosen.transform_name,
    name: 'ClassificationTestEvalPipeline',
    transforms: score(name, chosen) {
      'process:MergeAllEvalRecorderAndSave': {
        input_node: [name],
        transform_name: 'MergeAllEvalRecorderAndSave',
        setup_kwargs: { eval_recorder_prefix: null },  // over what the test has saved: one folder, not two
      },
      'output:DisplayEvalResults': {
        input_node: 'process:MergeAllEvalRecorderAndSave',
        transform_name: 'DisplayEvalResults',
        setup_kwargs: { columns: columns, num_rows: num_rows, sort_by: sort_by },
      },
      [if upload then 'output:UploadEvalRecorderToWandb']: {
        input_node: 'process:MergeAllEvalRecorderAndSave',
        transform_name: 'UploadEvalRecorderToWandb',
        setup_kwargs: { columns_to_log: columns },
      },
    },
  },
}

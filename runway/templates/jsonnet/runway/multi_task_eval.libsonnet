// The evaluation pipeline for a MultiTaskExecutor, over the EvalRecorder that a test leaves:
//
//   local multi_task_eval = import 'runway/multi_task_eval.libsonnet';
//   { eval: { test_eval_pipeline_config: multi_task_eval.test($.tasks) } }
//
// A validation needs none: the executor logs each task's loss and metrics, and their means over the tasks. So does it
// after a test; the nodes here compute the same again, under the same names, so that `runway eval` does so with another
// choice of `tasks.NAME.metrics`.
{
  // What the ready-made heads record.
  local fields_of_heads = {
    classification: { pred_field: 'predicted_class_id', ref_field: 'ground_truth_class_id' },
    regression: { pred_field: 'prediction', ref_field: 'target' },
  },
  local default_metrics = { classification: ['accuracy'], regression: ['mse'] },

  local head_of(task) =
    local head = std.get(task, 'head', 'classification');
    if std.isObject(head) then head.name else head,

  // Scores one task's rows.
  //   name, task: of the config's tasks
  //   fields: { pred_field, ref_field } of the recorder, for a head of your own
  score(name, task, fields=std.get(fields_of_heads, head_of(task), { pred_field: 'prediction', ref_field: 'target' })):: {
    transform_name: 'ComputeMetrics',
    setup_kwargs: fields {
      metrics: std.get(task, 'metrics', std.get(default_metrics, head_of(task), [])),
      rows: { task: name },
      prefix: 'test_' + name + '_',
    },
  },

  // After a test: each task's metrics, the recorder saved with them, and a table on the screen.
  //   tasks: the config's
  //   columns: which columns the table of samples shows; null: all
  //   num_rows, sort_by: how many samples it shows, and of which column the highest (null: the first rows)
  //   upload: whether the samples go to wandb as well
  test(tasks, columns=null, num_rows=5, sort_by='loss', upload=false):: {
    local names = std.objectFields(tasks),
    local node(i) = 'process:Score_' + names[i],
    local before(i) = if i == 0 then 'input:GetEvaluationRecorder' else node(i - 1),

    name: 'MultiTaskTestEvalPipeline',
    transforms: {
      'input:GetEvaluationRecorder': { transform_name: 'GetEvaluationRecorder' },
    } + {
      [node(i)]: $.score(names[i], tasks[names[i]]) { input_node: before(i) }
      for i in std.range(0, std.length(names) - 1)
    } + {
      'process:MergeAllEvalRecorderAndSave': {
        input_node: [before(std.length(names))],
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

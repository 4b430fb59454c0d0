local base = import 'base.libsonnet';

local eval_pipeline = {
  name: 'ReviewEval',
  regenerate: true,
  transforms: {
    'input:GetEvaluationRecorder': { transform_name: 'GetEvaluationRecorder', setup_kwargs: {}, cache: false },
    'process:Accuracy': {
      input_node: 'input:GetEvaluationRecorder',
      transform_name: 'ComputeAccuracy',
      setup_kwargs: { pred_field: 'pred', ref_field: 'label' },
    },
    'process:Frame': { input_node: 'input:GetEvaluationRecorder', transform_name: 'CountFrame', setup_kwargs: {} },
    'process:Merge': {
      input_node: ['process:Accuracy', 'process:Frame'],
      transform_name: 'MergeAllEvalRecorderAndSave',
      setup_kwargs: { file_format: 'json' },
    },
    'output:Display': {
      input_node: 'process:Merge',
      transform_name: 'DisplayEvalResults',
      setup_kwargs: { rows_to_display: 3, display_format: 'csv' },
    },
  },
};

{
  experiment_name: 'reviews',
  test_suffix: 'default_test',
  meta: base.meta,
  data_pipeline: base.data_pipeline,
  tokenizer_config: {},
  model_config: { base_model: 'Tiny', ModelClass: 'TinyClassifier', hidden_size: 8, modules: [] },
  executor: { ExecutorClass: 'ReviewClassifier', init_kwargs: { use_data_node: 'output:Wrap' } },
  train: base.train,
  test: { checkpoint_name: 'last.ckpt', batch_size: 4, num_dataloader_workers: 0, trainer_paras: { accelerator: 'cpu', enable_progress_bar: false } },
  eval: { eval_op_name: 'none', pipeline_config: eval_pipeline },
}

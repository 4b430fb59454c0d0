// Which of two classes is a point of? Change any part, or override it: runway run C model_config.hidden=64
local evaluation = import 'runway/classification_eval.libsonnet';
local experiment = import 'runway/experiment.libsonnet';
local pipeline = import 'runway/pipeline.libsonnet';

experiment.base(name='__NAME__', epochs=5, batch_size=32, lr=1e-2, monitor='accuracy') {
  data_pipeline: pipeline.chain([
    ['input:Points', { transform_name: 'make_points', setup_kwargs: { rows: 400, noise: 0.3 }, cache: true }],
    ['output:Dataloaders', { transform_name: 'MakeDataloaders', setup_kwargs: { length_bucketed: false, pad_to_multiple_of: null }, cache: false }],
  ]),

  model_config: { hidden: 16 },

  executor: { ExecutorClass: 'PointsExecutor', init_kwargs: { use_data_node: 'output:Dataloaders' } },

  eval: {
    valid_eval_pipeline_config: evaluation.validation(metrics=['accuracy']),
    test_eval_pipeline_config: evaluation.test(metrics=['accuracy', 'f1'], sort_by='loss'),
  },
}

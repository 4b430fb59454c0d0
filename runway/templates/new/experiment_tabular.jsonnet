// __Title__: columns of numbers to classes, with a linear model of scikit-learn's kind in torch: `runway run configs/__name__.jsonnet`.
local evaluation = import 'runway/classification_eval.libsonnet';
local experiment = import 'runway/experiment.libsonnet';
local pipeline = import 'runway/pipeline.libsonnet';

experiment.base(name='__name__', epochs=20, batch_size=8, lr=3e-2, monitor='accuracy') {
  columns: ['width', 'height'],

  data_pipeline: pipeline.chain([
    ['input:Load', { transform_name: 'LoadHFDataset', setup_kwargs: { dataset_path: 'configs/__name__.csv' }, cache: true }],
    ['process:Encode', { transform_name: 'EncodeLabels', setup_kwargs: { label_column: 'label' }, cache: true }],
    ['process:Split', {
      transform_name: 'SplitHFDatasetToTrainTestValidation',
      setup_kwargs: { test_size: 0.25, valid_size: 0.25 },
      cache: true,
    }],
    ['process:Features', { transform_name: '__name___features', setup_kwargs: { columns: $.columns }, cache: true }],
    ['output:Dataloaders', { transform_name: 'MakeDataloaders', setup_kwargs: { length_bucketed: false, pad_to_multiple_of: null }, cache: false }],
  ]),
  model_config: { features: std.length($.columns), hidden: 8, classes: 2 },
  executor: { ExecutorClass: '__Class__Executor', init_kwargs: { use_data_node: 'output:Dataloaders' } },
  eval: {
    valid_eval_pipeline_config: evaluation.validation(metrics=['accuracy']),
    test_eval_pipeline_config: evaluation.test(metrics=['accuracy'], sort_by='loss'),
  },
}

// Image classification, from a folder of pictures or any dataset with a column of them:
//
//   load -> split off what splits are missing -> dataloaders (which decode, resize and normalise)
//
//   local ic = import 'runway/image_classification.libsonnet';
//   ic.experiment(dataset='data/photos', model='google/vit-base-patch16-224', size=224, epochs=3, valid_size=0.1, test_size=0.1)
//
// A model from random weights instead: model=null, and model_config: { from_config_kwargs: { model_type: 'resnet', ... } }.
local evaluation = import 'runway/classification_eval.libsonnet';
local experiments = import 'runway/experiment.libsonnet';
local meta = import 'runway/meta.libsonnet';

local nodes = {
  load(load):: { transform_name: 'LoadHFDataset', setup_kwargs: load, cache: true },

  split(input_node, test_size=null, valid_size=null):: {
    input_node: input_node,
    transform_name: 'SplitHFDatasetToTrainTestValidation',
    setup_kwargs: { test_size: test_size, valid_size: valid_size },
    cache: true,
  },

  dataloaders(input_node, dataloaders={}):: {
    input_node: input_node,
    transform_name: 'MakeImageDataloaders',
    setup_kwargs: dataloaders,
    cache: false,
  },

  // The whole data_pipeline.
  //   load: the node that gives the pictures: nodes.load({...}), or one of your own
  //   test_size, valid_size: rows (or a part) to split off the training split; null where the data has the split
  //   dataloaders: setup_kwargs of MakeImageDataloaders: size, channels, mean, std, image_processor, flip
  pipeline(load, test_size=null, valid_size=null, dataloaders={}):: {
    local splits = test_size != null || valid_size != null,
    name: 'ImageClassificationPipeline',
    transforms: {
      'input:LoadDataset': load,
      [if splits then 'process:SplitDataset']: nodes.split('input:LoadDataset', test_size, valid_size),
      'output:MakeDataloaders': nodes.dataloaders(if splits then 'process:SplitDataset' else 'input:LoadDataset', dataloaders),
    },
  },
};

// A whole config. The arguments, all by name:
//   dataset: a folder of pictures, a name on the hub or an asset; setup_kwargs of LoadHFDataset; or a node, { transform_name: ... }
//   model: a name on the hub, a folder or an asset (null: from random weights, see above); sha256: pins an asset
//   size, channels, flip: see MakeImageDataloaders; label: the column of classes
//   the others: see runway/experiment.libsonnet, and `pipeline` above
local experiment(
  dataset,
  model=null,
  sha256=null,
  name='image_classification',
  label='label',
  size=null,
  channels=3,
  flip=false,
  test_size=null,
  valid_size=null,
  epochs=3,
  batch_size=32,
  lr=2e-5,
  weight_decay=0.01,
  optimizer='AdamW',
  scheduler='linear',
  warmup=0.1,
  metrics=['accuracy', { name: 'f1', kwargs: { average: 'macro' } }],
  monitor='accuracy',
  mode='max',
  patience=3,
) = experiments.base(name, epochs, batch_size, lr, weight_decay, optimizer, scheduler, warmup, monitor, mode, patience) {
  meta: meta,
  data_pipeline: nodes.pipeline(
    if std.isString(dataset) then nodes.load({ dataset_name: dataset })
    else if std.objectHas(dataset, 'transform_name') then dataset
    else nodes.load(dataset),
    test_size=test_size,
    valid_size=valid_size,
    dataloaders={
      [if size != null then 'size']: size,
      channels: channels,
      flip: flip,
      [if label != 'label' then 'label_column']: label,
      [if model != null then 'image_processor']: $.model_config.from_pretrained_kwargs.pretrained_model_name_or_path,
    },
  ),
  model_config: if model == null then {} else {
    from_pretrained_kwargs: { pretrained_model_name_or_path: model, ignore_mismatched_sizes: true },
    [if sha256 != null then 'sha256']: sha256,
  },
  executor: {
    ExecutorClass: 'ImageClassificationExecutor',
    init_kwargs: { use_data_node: 'output:MakeDataloaders' },
  },
  eval: {
    valid_eval_pipeline_config: evaluation.validation(metrics=metrics),
    test_eval_pipeline_config: evaluation.test(
      metrics=metrics, columns=['predicted_class_label', 'ground_truth_class_label', 'loss'], sort_by='loss'
    ),
  },
};

nodes { experiment:: experiment }

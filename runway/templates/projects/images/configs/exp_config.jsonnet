// Which digit was written? 1,797 pictures of 8 x 8 pixels that come with scikit-learn, and a small residual network from random weights: a
// minute on two CPU cores, and nothing is asked of a hub.
//
//   runway run configs/exp_config.jsonnet
//   ... data_pipeline.transforms.output:MakeDataloaders.setup_kwargs.size=64      larger pictures
local ic = import 'runway/image_classification.libsonnet';

ic.experiment(
  name='__NAME__',
  dataset={ transform_name: 'load_digits', cache: true },  // of your own: src/data_ops/digits.py
  channels=1,
  size=32,
  valid_size=200,
  test_size=400,
  epochs=6,
  batch_size=32,
  lr=3e-3,
) {
  meta+: { seed: 615926 },
  model_config: {
    from_config_kwargs: {
      model_type: 'resnet',
      num_channels: 1,
      embedding_size: 16,
      hidden_sizes: [16, 32, 64],
      depths: [1, 1, 1],
      layer_type: 'basic',
    },
  },
}

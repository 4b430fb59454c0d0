// Our lab's way with reviews: made, tidied as we all do it, and looked at. What another project wants otherwise it lays over:
//
//   (import 'lab_templates/reviews.libsonnet') + { rows: 3, data_pipeline+: { ... } }
local pipeline = import 'runway/pipeline.libsonnet';
{
  experiment_name: 'lab_reviews',
  rows: 2,
  data_pipeline: pipeline.chain([
    ['input:Make', { transform_name: 'lab_reviews', setup_kwargs: { rows: $.rows } }],
    ['output:Tidy', { transform_name: 'lab_tidy', setup_kwargs: { upper: false } }],
  ]),
}

local base = import 'base.libsonnet';
local classification = import 'classification.jsonnet';

classification {
  experiment_name: 'answers',
  data_pipeline: base.data_pipeline {
    transforms+: {
      'process:Pair': {
        input_node: ['process:Encode', 'input:LoadReviews'],
        transform_name: 'PairWithTargets',
        setup_kwargs: {},
        cache: true,
      },
      'output:Wrap'+: { input_node: ['process:Pair'] },
    },
  },
  model_config: {
    t5: { d_model: 16, d_kv: 8, d_ff: 32, num_layers: 1, num_heads: 2, decoder_start_token_id: 0, pad_token_id: 0, eos_token_id: 1 },
  },
  executor+: { ExecutorClass: 'ReviewGenerator' },
  train+: { trainer_paras+: { max_epochs: 6 }, optimizer_config+: { optimizer_params: { lr: 0.02 } } },
  test+: { generate_params: { max_new_tokens: 5, num_beams: 2 } },
  eval+: {
    pipeline_config+: {
      transforms+: {
        'process:Accuracy'+: { setup_kwargs: { pred_field: 'prediction', ref_field: 'reference' } },
        'process:BLEU': {
          input_node: 'input:GetEvaluationRecorder',
          transform_name: 'ComputeBLEU',
          setup_kwargs: { pred_field: 'prediction', ref_field: 'reference' },
        },
        'process:Merge'+: { input_node: ['process:Accuracy', 'process:Frame', 'process:BLEU'] },
      },
    },
  },
}

// What makes of a translation experiment one of a small student that learns from the translations of a trained run
// (sequence-level distillation, Kim & Rush 2016): see distilled.jsonnet.
function(data) data {
  local name_of_teacher = super.experiment_name,

  // What LoadRun takes (`runway show LoadRun`); run: null leaves the teacher out.
  teacher: {
    run: name_of_teacher,
  },
  // How it translates, over its own settings: one beam is three times as fast as four.
  translate: {
    generate_params: { num_beams: 1 },
  },

  local pairs_node = super.data_pipeline.transforms['process:EncodePairs'].input_node[0],
  local has_teacher = $.teacher.run != null,

  experiment_name: '%s-%s' % [super.experiment_name, if has_teacher then 'distilled' else 'plain'],

  data_pipeline+: if !has_teacher then {} else {
    transforms+: {
      'input:Teacher': {
        transform_name: 'LoadRun',
        setup_kwargs: $.teacher,
      },
      // The training pairs with the teacher's hypotheses for targets; validation and test stay as they are.
      'process:Translate': {
        input_node: ['input:Teacher', pairs_node],
        transform_name: 'Predict',
        setup_kwargs: {
          output: 'dataset',
          columns: { hypothesis: 'target' },
          through: 'process:EncodePairs',
          splits_to_process: ['train'],
          init_kwargs: $.translate,
        },
      },
      'process:EncodePairs'+: {
        input_node: ['process:Translate', 'process:TrainTokenizer'],
      },
    },
  },

  model_config+: {
    from_config_kwargs+: {
      d_model: 96,
      encoder_layers: 1,
      decoder_layers: 1,
      encoder_attention_heads: 4,
      decoder_attention_heads: 4,
      encoder_ffn_dim: 256,
      decoder_ffn_dim: 256,
    },
  },
}

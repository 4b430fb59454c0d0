// __Title__: a causal language model, from scratch on a text of yours: `runway run configs/__name__.jsonnet`. A pretrained one instead:
// model_config+: { from_pretrained_kwargs: { pretrained_model_name_or_path: … } }, and its tokenizer.
local experiment = import 'runway/experiment.libsonnet';
local pipeline = import 'runway/pipeline.libsonnet';

experiment.base(name='__name__', epochs=3, batch_size=8, lr=3e-3, monitor='val_loss') {
  text: { path: 'configs/__name__.txt', block: 16 },  // bytes at a time

  data_pipeline: pipeline.chain([
    ['input:Blocks', { transform_name: '__name___blocks', setup_kwargs: $.text, cache: true }],
    ['output:Dataloaders', { transform_name: 'MakeDataloaders', setup_kwargs: { label_column: null, pad_to_multiple_of: null }, cache: false }],
  ]),
  model_config: {
    from_config_kwargs: {
      model_type: 'gpt2', vocab_size: 256, n_positions: $.text.block, n_embd: 32, n_layer: 2, n_head: 2,
      bos_token_id: 0, eos_token_id: 0,
    },
  },
  executor: { ExecutorClass: '__Class__Executor', init_kwargs: { use_data_node: 'output:Dataloaders' } },
}

// A translation experiment, from sentence pairs to BLEU:
//
//   load -> clean -> split, where the data has no splits -> filter -> train a tokenizer -> encode -> dataloaders
//
//   local translation = import 'runway/translation.libsonnet';
//   translation.experiment {
//     dataset+: { source_lang: 'de', target_lang: 'en' },
//     data_path: 'data/multi30k',  // train.de.gz, train.en.gz, valid.de.gz, ...
//   }
//
// It is a whole config: change any part of it with `+:`, or with an override on the command line. What belongs together
// derives through `$`: `dataset.max_tokens=64` reaches the encoding and the model's positions, `tokenizer.vocab_size=4000`
// trains another tokenizer and keeps the old one, `data_path=...` takes other data.
local evaluation = import 'runway/translation_eval.libsonnet';
local meta = import 'runway/meta.libsonnet';

// The data pipeline of a config like `experiment`.
local pipeline(config) = {
  local dataset = config.dataset,
  local has_rows = std.length(dataset.rows) > 0,
  local trains_tokenizer = config.tokenizer_config == null,

  local split_node = if dataset.split == null then 'process:CleanPairs' else 'process:SplitPairs',
  local pairs_node = if has_rows then 'process:SelectPairs' else 'process:FilterPairs',
  // What takes the tokenizer beside its data.
  local with_tokenizer(node) = if trains_tokenizer then [node, 'process:TrainTokenizer'] else node,

  name: 'TranslationPipeline',
  transforms: {
    'input:LoadPairs': {
      transform_name: 'LoadParallelText',
      setup_kwargs: {
        source_lang: dataset.source_lang,
        target_lang: dataset.target_lang,
        data_path: config.data_path,
      } + dataset.load,
      cache: true,
    },
    'process:CleanPairs': {
      input_node: 'input:LoadPairs',
      transform_name: 'CleanPairs',
      setup_kwargs: dataset.clean,
      cache: true,
    },
    [if dataset.split != null then 'process:SplitPairs']: {
      input_node: 'process:CleanPairs',
      transform_name: dataset.split.transform_name,
      setup_kwargs: dataset.split.setup_kwargs,
      cache: true,
    },
    // Validation and test pairs stay as they are: a score over others could not be compared. Where the splits are made
    // here, training pairs with a text of theirs go; splits that come with the data are learnt from as others do it.
    'process:FilterPairs': {
      input_node: split_node,
      transform_name: 'FilterPairs',
      setup_kwargs: {
        splits_to_process: ['train'],
        source_lang: dataset.source_lang,
        target_lang: dataset.target_lang,
        [if dataset.split != null then 'not_in_splits']: 'others',
      } + dataset.filter,
      cache: true,
    },
    [if has_rows then 'process:SelectPairs']: {
      input_node: 'process:FilterPairs',
      transform_name: 'SelectRows',
      setup_kwargs: { num_rows: dataset.rows, shuffle: true, seed: 2022 },
      cache: true,
    },
    [if trains_tokenizer then 'process:TrainTokenizer']: {
      input_node: pairs_node,
      transform_name: 'TrainTokenizer',
      setup_kwargs: config.tokenizer,
      cache: true,
    },
    'process:EncodePairs': {
      input_node: with_tokenizer(pairs_node),
      transform_name: 'EncodePairs',
      setup_kwargs: {
        [if !trains_tokenizer then 'tokenizer_config']: config.tokenizer_config,
        max_length: dataset.max_tokens,
        on_too_long: dataset.on_too_long,
        [if std.objectHas(dataset, 'source_prefix') then 'source_prefix']: dataset.source_prefix,
      },
      cache: true,
    },
    // Dataloaders cannot be cached: they are made anew for each run.
    'output:MakePairDataloaders': {
      input_node: with_tokenizer('process:EncodePairs'),
      transform_name: 'MakePairDataloaders',
      setup_kwargs: {
        max_tokens_per_batch: dataset.max_tokens_per_batch,
        pad_to_multiple_of: dataset.pad_to_multiple_of,
      },
      cache: false,
    },
  },
};

// What `dataset` may hold: a misspelt key would otherwise do nothing, without a word.
local dataset_keys = [
  'clean',
  'filter',
  'load',
  'max_tokens',
  'max_tokens_per_batch',
  'on_too_long',
  'pad_to_multiple_of',
  'rows',
  'source_lang',
  'source_prefix',
  'split',
  'target_lang',
];

local experiment = {
  local pretrained = std.get($.model_config, 'from_pretrained_kwargs'),

  experiment_name: 'translation',
  test_suffix: 'default_test',
  meta: meta {
    EXPERIMENT_FOLDER: 'experiments/translation',
    logger_enable: ['csv', 'metrics_history'],
  },

  // Where the pairs are: what LoadParallelText takes for `data_path` (a folder, files, a table, a database, an asset).
  // null: the dataset on the hub that `dataset.load.dataset_name` names.
  data_path: null,

  // Which pairs, and what is done to them. The experiment's own section, as `tokenizer`.
  dataset: {
    local this = self,
    local unknown = std.setDiff(std.objectFields(this), dataset_keys),
    assert unknown == [] : 'dataset has no %s, only %s; keys of your own go beside it' %
                           [unknown[0], std.join(', ', dataset_keys)],
    local no_sections = [name for name in ['load', 'clean', 'filter', 'rows'] if !std.isObject(this[name])],
    assert no_sections == [] : 'dataset.%s must be an object { ... }' % no_sections[0],
    assert this.split == null || std.isObject(this.split) && std.objectHas(this.split, 'transform_name') :
           'dataset.split must be null, or { transform_name: ..., setup_kwargs: ... }',

    source_lang: error 'dataset.source_lang must name the language to translate from',
    target_lang: error 'dataset.target_lang must name the language to translate into',
    load: {},  // further setup_kwargs of LoadParallelText: dataset_name, subset, splits, columns, query, sha256, ...
    clean: {},  // setup_kwargs of CleanPairs: replacements, ...
    split: null,  // null where the data has the splits; else { transform_name: ..., setup_kwargs: ... }
    filter: {  // setup_kwargs of FilterPairs, over the training pairs; `not_in_splits: []` keeps tested ones
      max_length: 100,  // words; characters of a language without spaces between them
      max_ratio: 3,
    },
    rows: {},  // { train: 5000, test: 200 }: so many pairs, taken at random; what is not named stays whole
    max_tokens: 128,  // of a side, end of sentence included; the model has as many positions
    on_too_long: { train: 'drop', validation: 'truncate', test: 'truncate' },  // counted, in the log and with the node
    max_tokens_per_batch: null,  // fill training batches by tokens (both sides, with padding), not by train.batch_size
    pad_to_multiple_of: null,  // 8 suits a GPU
  },

  // setup_kwargs of TrainTokenizer. A pretrained model brings its own tokenizer instead; `tokenizer_config` names another.
  tokenizer: {
    algorithm: 'bpe',
    vocab_size: 8000,
    min_frequency: 2,
    joint: true,
  },
  tokenizer_config: if pretrained == null || std.get($.model_config, 'train_from_scratch', false) then null else {
    version_name: pretrained.pretrained_model_name_or_path,
  },

  data_pipeline: pipeline($),

  // A transformer from random weights, with sinusoidal positions and one matrix for all embeddings. The sizes of the
  // vocabulary and the special tokens follow from the tokenizer. A pretrained model instead:
  // model_config+: { from_pretrained_kwargs: { pretrained_model_name_or_path: ... } }
  model_config: {
    from_config_kwargs: if pretrained != null then {} else {
      model_type: 'marian',
      d_model: 256,
      encoder_layers: 3,
      decoder_layers: 3,
      encoder_attention_heads: 8,
      decoder_attention_heads: 8,
      encoder_ffn_dim: 512,
      decoder_ffn_dim: 512,
      dropout: 0.1,
      activation_function: 'relu',
      scale_embedding: true,
      [if $.dataset.max_tokens != null then 'max_position_embeddings']: $.dataset.max_tokens,
    },
  },

  executor: {
    ExecutorClass: 'Seq2SeqExecutor',
    init_kwargs: {
      use_data_node: 'output:MakePairDataloaders',
      [if $.tokenizer_config == null then 'tokenizer_node']: 'process:TrainTokenizer',
      label_smoothing: 0.1,
      generate_params: { num_beams: 4 },
      generate_in_validation: false,  // true for BLEU after each validation, to be monitored
    },
  },

  train: {
    batch_size: 64,
    dataloader_workers: 0,
    trainer_paras: {
      max_epochs: 4,
      accelerator: 'auto',
      devices: 1,
      precision: 'auto',  // bf16-mixed where the hardware has it
      gradient_clip_val: 1.0,
      log_every_n_steps: 20,
      check_val_every_n_epoch: 1,
      num_sanity_val_steps: 0,
    },
    model_checkpoint_callback_paras: {
      monitor: 'val_loss',
      mode: 'min',
      save_top_k: 1,
      save_last: true,
      filename: 'model_step_{step}',
      auto_insert_metric_name: false,
    },
    early_stopping_callback_paras: {
      monitor: $.train.model_checkpoint_callback_paras.monitor,
      mode: $.train.model_checkpoint_callback_paras.mode,
      patience: 4,
    },
    optimizer_config: {
      optimizer_name: 'Adam',
      optimizer_params: {
        lr: 1e-3,
        betas: [0.9, 0.98],
      },
      scheduler: 'cosine',
      scheduler_params: {
        num_warmup_steps: if std.objectHas(self, 'warmup_ratio') then null else 300,
      },
    },
  },

  test: {
    checkpoint_name: null,  // a file in saved_models/; null takes the best, or the last
    load_best_model: true,
    batch_size: 64,
    dataloader_workers: 0,
    trainer_paras: {
      accelerator: $.train.trainer_paras.accelerator,
      devices: 1,
      precision: $.train.trainer_paras.precision,
    },
  },

  eval: {
    // The target's language chooses BLEU's tokenizer; the evaluation takes it from `dataset`.
    [if $.executor.init_kwargs.generate_in_validation then 'valid_eval_pipeline_config']: evaluation.validation(),
    test_eval_pipeline_config: evaluation.test(),
  },
};

{
  experiment:: experiment,
  pipeline:: pipeline,
}

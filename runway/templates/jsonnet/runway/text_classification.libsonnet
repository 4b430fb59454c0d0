// Text classification, from any dataset with a column of text (or two: pairs) and one of labels:
//
//   load -> encode the labels -> split off what splits are missing -> tokenize -> dataloaders
//
// A whole experiment:
//
//   local tc = import 'runway/text_classification.libsonnet';
//   tc.experiment(
//     dataset='data/reviews.csv', model='distilbert-base-uncased', epochs=3, valid_size=500, test_size=1000,
//   )
//   tc.experiment(dataset={ dataset_name: 'snli' }, text=['premise', 'hypothesis'], pair=true, model=...)
//
// or its pipeline alone:
//
//   {
//     tokenizer_config: text_classification.tokenizer('distilbert-base-uncased', max_length=256),
//     data_pipeline: text_classification.pipeline(
//       load={ dataset_path: 'data/reviews.csv' }, tokenizer_config=$.tokenizer_config, valid_size=500, test_size=1000,
//     ),
//     executor: { ExecutorClass: 'TextClassificationExecutor', init_kwargs: { use_data_node: 'output:MakeDataloaders' } },
//     // ... model_config, train, test
//   }
//
// Arguments that name `$` keep what they take from it open: an override of `tokenizer_config.tokenize_kwargs.max_length`
// reaches the pipeline too. Add nodes, or change them, as with any object: `text_classification.pipeline(...) + { transforms+: ... }`.
local evaluation = import 'runway/classification_eval.libsonnet';
local experiments = import 'runway/experiment.libsonnet';
local meta = import 'runway/meta.libsonnet';

local nodes = {
  // A tokenizer_config.
  //   version_name: a name on the hub, a folder, or an asset URI (then with the sha256 that pins it)
  //   max_length: in tokens; longer texts are cut
  //   pair: whether two texts go in together, told apart by token types
  tokenizer(version_name, max_length=512, class_name='AutoTokenizer', sha256=null, pair=false):: {
    version_name: version_name,
    [if sha256 != null then 'sha256']: sha256,
    class_name: class_name,
    tokenize_kwargs: { truncation: true, max_length: max_length, return_token_type_ids: pair },
  },

  // Its nodes one by one, for a pipeline of your own. The arguments are those of `pipeline`.
  load(load):: {
    transform_name: 'LoadHFDataset',
    setup_kwargs: load,
    cache: true,
  },

  // The labels as numbers with names, the same in all splits, in the column `label`.
  //   names: the classes in the order of their numbers; null: all that occur, sorted
  encode_labels(input_node, label='label', names=null):: {
    input_node: input_node,
    transform_name: 'EncodeLabels',
    setup_kwargs: {
      label_column: label,
      [if names != null then 'names']: names,
      [if label != 'label' then 'rename_col_dict']: { [label]: 'label' },
    },
    cache: true,
  },

  split(input_node, test_size=null, valid_size=null, block_size=null, split_kwargs={}):: {
    input_node: input_node,
    transform_name: 'SplitHFDatasetToTrainTestValidation',
    setup_kwargs: {
      test_size: test_size,
      valid_size: valid_size,
      block_size: block_size,
      train_test_split_kwargs: split_kwargs,
    },
    cache: true,
  },

  tokenize(input_node, tokenizer_config, text='text', splits_to_process=null, pair=false):: {
    local given = if std.isArray(text) then text else [text],
    assert !pair || std.length(given) == 2 : 'a pair has two columns: text=[FIRST, SECOND], but text is %s' % [text],
    local fields = if pair then [given] else given,
    local prefix = std.join('_', given) + '_',
    input_node: input_node,
    transform_name: 'HFDatasetTokenizeTransform',
    setup_kwargs: {
      tokenizer_config: tokenizer_config,
      tokenize_fields_list: fields,
      splits_to_process: splits_to_process,
      // One field's tokens are the model's input; several keep the field's name in front.
      rename_col_dict: if std.length(fields) > 1 then {} else {
        [prefix + column]: column
        for column in ['input_ids', 'attention_mask'] + (if pair then ['token_type_ids'] else [])
      },
    },
    cache: true,
  },

  dataloaders(input_node, dataloaders={}):: {
    input_node: input_node,
    transform_name: 'MakeDataloaders',
    setup_kwargs: dataloaders,
    cache: false,
  },

  // The whole data_pipeline.
  //   load: setup_kwargs of LoadHFDataset: dataset_name, dataset_path, fields, splits, ...
  //   tokenizer_config: as above
  //   text: the column, or the list of columns, to tokenize
  //   pair: whether two columns go in together (a premise and a hypothesis); then tokenizer(..., pair=true)
  //   label: the column of labels; `encode_labels`: whether they are to become numbers; `labels`: the classes, in order
  //   splits_to_process: which splits to tokenize
  //   test_size, valid_size: rows (or a part) to split off the training split; null where the data has the split
  //   block_size: this many neighbouring rows stay in one split (reviews of one film, turns of one dialogue)
  //   dataloaders: setup_kwargs of MakeDataloaders
  pipeline(
    load,
    tokenizer_config,
    text='text',
    splits_to_process=null,
    test_size=null,
    valid_size=null,
    block_size=null,
    dataloaders={},
    pair=false,
    label='label',
    encode_labels=label != 'label' || labels != null,
    labels=null,
  ):: {
    local splits = test_size != null || valid_size != null,
    local encoded = if encode_labels then 'process:EncodeLabels' else 'input:LoadDataset',
    local source = if splits then 'process:SplitDataset' else encoded,

    name: 'TextClassificationPipeline',
    transforms: {
      'input:LoadDataset': nodes.load(load),
      [if encode_labels then 'process:EncodeLabels']: nodes.encode_labels('input:LoadDataset', label, labels),
      [if splits then 'process:SplitDataset']: nodes.split(encoded, test_size, valid_size, block_size),
      'process:TokenizeDataset': nodes.tokenize(source, tokenizer_config, text, splits_to_process, pair),
      'output:MakeDataloaders': nodes.dataloaders('process:TokenizeDataset', dataloaders),
    },
  },
};

// A whole config: data, model, training, evaluation. The arguments, all by name:
//   dataset: a file, a folder, a name on the hub or an asset; or setup_kwargs of LoadHFDataset
//   model: a name on the hub, a folder or an asset; sha256: pins an asset
//   name, epochs, batch_size, lr, weight_decay, optimizer, scheduler, warmup, monitor, mode, patience:
//     see runway/experiment.libsonnet
//   text, pair, label, labels, encode_labels, test_size, valid_size, block_size: see `pipeline` above
//   max_length: in tokens; longer texts are cut
//   metrics: of validation and test
//   columns: of the table of the most wrong samples that a test prints
local experiment(
  dataset,
  model,
  sha256=null,
  name='text_classification',
  text='text',
  pair=false,
  label='label',
  labels=null,
  encode_labels=true,
  test_size=null,
  valid_size=null,
  block_size=null,
  max_length=256,
  epochs=3,
  batch_size=32,
  lr=2e-5,
  weight_decay=0.01,
  optimizer='AdamW',
  scheduler='linear',
  warmup=0.1,
  metrics=['accuracy', 'f1'],
  monitor='accuracy',
  mode='max',
  patience=3,
  columns=null,
) = experiments.base(name, epochs, batch_size, lr, weight_decay, optimizer, scheduler, warmup, monitor, mode, patience) {
  local texts = if std.isArray(text) then text else [text],
  local macro(metric) = if std.member(['f1', 'precision', 'recall'], metric) then { name: metric, kwargs: { average: 'macro' } } else metric,
  local scores = if labels != null && std.length(labels) == 2 then metrics else std.map(macro, metrics),

  meta: meta,
  tokenizer_config: nodes.tokenizer(
    $.model_config.from_pretrained_kwargs.pretrained_model_name_or_path, max_length, sha256=sha256, pair=pair
  ),
  data_pipeline: nodes.pipeline(
    if std.isObject(dataset) then dataset else { dataset_name: dataset },
    $.tokenizer_config,
    text=text,
    pair=pair,
    label=label,
    labels=labels,
    encode_labels=encode_labels,
    test_size=test_size,
    valid_size=valid_size,
    block_size=block_size,
  ),
  // How many classes there are, and their names, the executor takes from the encoded labels.
  model_config: {
    from_pretrained_kwargs: { pretrained_model_name_or_path: model },
    [if sha256 != null then 'sha256']: sha256,
  },
  executor: {
    ExecutorClass: 'TextClassificationExecutor',
    init_kwargs: {
      use_data_node: 'output:MakeDataloaders',
      [if text != 'text' then 'record_columns']: texts,
    },
  },
  eval: {
    valid_eval_pipeline_config: evaluation.validation(metrics=scores),
    test_eval_pipeline_config: evaluation.test(
      metrics=scores,
      columns=if columns != null then columns else ['predicted_class_label', 'ground_truth_class_label', 'loss'] + texts,
      sort_by='loss',
    ),
  },
};

nodes { experiment:: experiment }

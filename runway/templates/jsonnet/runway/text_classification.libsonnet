// A data pipeline for text classification, from any dataset with a column of text and one of labels:
//
//   load -> split off what splits are missing -> tokenize -> dataloaders
//
//   local text_classification = import 'runway/text_classification.libsonnet';
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
{
  local nodes = self,

  // A tokenizer_config.
  //   version_name: a name on the hub, a folder, or an asset URI (then with the sha256 that pins it)
  //   max_length: in tokens; longer texts are cut
  tokenizer(version_name, max_length=512, class_name='AutoTokenizer', sha256=null):: {
    version_name: version_name,
    [if sha256 != null then 'sha256']: sha256,
    class_name: class_name,
    tokenize_kwargs: { truncation: true, max_length: max_length, return_token_type_ids: false },
  },

  // Its nodes one by one, for a pipeline of your own. The arguments are those of `pipeline`.
  load(load):: {
    transform_name: 'LoadHFDataset',
    setup_kwargs: load,
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

  tokenize(input_node, tokenizer_config, text='text', splits_to_process=null):: {
    local fields = if std.isArray(text) then text else [text],
    input_node: input_node,
    transform_name: 'HFDatasetTokenizeTransform',
    setup_kwargs: {
      tokenizer_config: tokenizer_config,
      tokenize_fields_list: fields,
      splits_to_process: splits_to_process,
      // One field's tokens are the model's input; several keep the field's name in front.
      rename_col_dict: if std.length(fields) > 1 then {} else {
        [fields[0] + '_' + column]: column
        for column in ['input_ids', 'attention_mask']
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
  ):: {
    local splits = test_size != null || valid_size != null,
    local source = if splits then 'process:SplitDataset' else 'input:LoadDataset',

    name: 'TextClassificationPipeline',
    transforms: {
      'input:LoadDataset': nodes.load(load),
      [if splits then 'process:SplitDataset']: nodes.split('input:LoadDataset', test_size, valid_size, block_size),
      'process:TokenizeDataset': nodes.tokenize(source, tokenizer_config, text, splits_to_process),
      'output:MakeDataloaders': nodes.dataloaders('process:TokenizeDataset', dataloaders),
    },
  },
}

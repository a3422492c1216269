// Mainstay's library: what spec files written in Jsonnet import as 'mainstay.libsonnet'.
//
//   local m = import 'mainstay.libsonnet';
//   m.agent('triage', { persona: 'engineer', instructions: 'Say what you found.' })
//
// Each function returns a plain resource, which + merges with more fields:
//
//   m.agent('triage', base) + { spec+: { model: 'large' } } + m.labels({ team: 'web' })

local resource(kind, name, spec={}) =
  assert std.isString(name) : "a resource's name comes first, and is a text: m.agent('triage', { ... })";
  assert std.isObject(spec) : "a resource's spec comes after its name, and is an object: m.agent('triage', { ... })";
  {
    apiVersion: 'mainstay.dev/v1alpha1',
    kind: kind,
    metadata: { name: name },
    spec: spec,
  };

{
  // resource(kind, name, spec) is a resource of any kind.
  resource: resource,

  // A resource of each kind, from its name and its spec.
  agent(name, spec={}): resource('Agent', name, spec),
  evaluation(name, spec={}): resource('Evaluation', name, spec),
  fleet(name, spec={}): resource('Fleet', name, spec),
  knowledgeSource(name, spec={}): resource('KnowledgeSource', name, spec),
  model(name, spec={}): resource('Model', name, spec),
  persona(name, spec={}): resource('Persona', name, spec),
  policy(name, spec={}): resource('Policy', name, spec),
  prompt(name, spec={}): resource('Prompt', name, spec),
  skillSource(name, spec={}): resource('SkillSource', name, spec),
  toolServer(name, spec={}): resource('ToolServer', name, spec),
  trigger(name, spec={}): resource('Trigger', name, spec),
  workflow(name, spec={}): resource('Workflow', name, spec),

  // many(names, make) is a list with a resource for each name:
  //   m.many(['web', 'shop'], function(name) m.agent(name, { ... }))
  // Names may also be the fields of an object, whose values are then given too:
  //   m.many({ web: 'large', shop: 'small' }, function(name, model) m.agent(name, { model: model }))
  many(names, make):
    if std.isObject(names)
    then [make(name, names[name]) for name in std.objectFields(names)]
    else [make(name) for name in names],

  // labels(labels) gives a resource labels, on top of those it has: m.agent(...) + m.labels({ team: 'web' }).
  labels(labels): { metadata+: { labels+: labels } },
}

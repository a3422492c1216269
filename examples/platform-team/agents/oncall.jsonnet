// One on-call agent for each service, all alike but for what services.libsonnet says of it.
local services = import 'lib/services.libsonnet';
local m = import 'mainstay.libsonnet';

m.many(services, function(name, service) m.agent('oncall-' + name, {
  description: 'Knows the service %s, and answers for it when it is asked about.' % name,
  persona: 'sre',
  prompt: {
    name: 'investigate',
    with: {
      services: [name],
      [if 'depth' in service then 'depth']: service.depth,
      [if 'minReady' in service then 'minReady']: service.minReady,
    },
  },
  instructions: |||
    You look after one service, %(name)s: %(what)s. When it is down, %(customers)s.

    Answer for this service alone. If the cause is in another one, name it and stop: that one has its own on-call agent.
  ||| % (service { name: name }),
  // Every tool of the cluster that is not denied. In dev, where restarts are, the agent simply has one tool less.
  tools: [{ server: 'cluster' }],
  files: { read: ['docs/runbooks/%s.md' % name, 'manifests/shop/%s.yaml' % name] },
  [if std.get(service, 'morning', false) then 'triggers']: [{
    name: 'morning',
    schedule: { cron: '0 7 * * *', timeZone: 'Europe/Lisbon' },
    task: 'How is %s this morning?' % name,
  }],
}) + m.labels({ area: 'on-call', service: name }))

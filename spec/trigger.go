package spec

import (
	"cmp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // Time zones mean the same on machines that have no database of them.

	"github.com/robfig/cron/v3"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// taskParameters are what a Trigger's task may hold in double braces.
var taskParameters = []string{"changed", "revision"}

// anyTime is when a schedule is asked for its next time, to see that there is one.
var anyTime = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// resolveTriggers resolves the Triggers, and those that stand in the files of their agents.
func (l *loader) resolveTriggers(f *Fleet) {
	for _, name := range names(l.triggers) {
		e := l.triggers[name]
		sealed := ""
		if e.written.Webhook != nil {
			sealed = l.sealedAs(e.written.Webhook.Secret)
		}
		f.Triggers = append(f.Triggers, resolved(l, e.document, sealed, func() (*Trigger, []Ref) {
			t := l.trigger(e.document, e.spec, e.written.Agent, e.written.TriggerOn)
			if e.written.Agent != "" && known(l, e.spec.at("agent"), KindAgent, e.written.Agent, l.agents) {
				t.DependsOn = []Ref{{KindAgent, e.written.Agent}}
			}
			refs := slices.Clone(t.DependsOn)
			if on := e.written.OnRun; on != nil {
				for _, name := range on.Agents {
					refs = append(refs, Ref{KindAgent, name})
				}
			}
			return t, refs
		}))
	}
	for _, e := range l.triggered {
		for i, w := range e.written.Triggers {
			l.agentTrigger(f, e, i, w)
		}
	}
	if len(l.triggered) > 0 {
		slices.SortFunc(f.Triggers, func(a, b *Trigger) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// agentTrigger resolves a trigger in an agent's file.
func (l *loader) agentTrigger(f *Fleet, e *entry[AgentSpec], i int, w AgentTrigger) {
	n := e.spec.at("triggers", i)
	name := e.name + "-" + w.Name
	if w.Name == "" || e.unnamed {
		return
	}
	if len(name) > MaxName {
		l.error(n.at("name"), "choose a shorter name", "%q, the name of the trigger with its agent's, is longer than %d characters", name, MaxName)
		return
	}
	if slices.ContainsFunc(f.Triggers, func(t *Trigger) bool { return t.Name == name }) {
		l.error(n.at("name"), "rename or remove one of them", "Trigger %q is declared twice, here as a trigger of agent %q", name, e.name)
		return
	}
	d := *e.document
	d.kind, d.name, d.top, d.later, d.entry, d.memo = KindTrigger, name, n, nil, nil, nil
	t := l.trigger(&d, n, e.name, w.TriggerOn)
	t.DependsOn = []Ref{{KindAgent, e.name}}
	f.Triggers = append(f.Triggers, t)
}

// trigger checks when a trigger starts a run, and of what.
func (l *loader) trigger(d *document, n *node, agent string, w TriggerOn) *Trigger {
	t := &Trigger{Resource: l.resource(d), Agent: AgentName(agent), Suspended: w.Suspend}
	on := 0
	for _, set := range []bool{w.Schedule != nil, w.OnRevision != nil, w.OnRun != nil, w.OnGit != nil, w.Webhook != nil} {
		if set {
			on++
		}
	}
	if on != 1 {
		l.missing(d, n, "schedule: {cron: ...} is for times, onRevision: {paths: [...]} for changes", "trigger %q needs exactly one of schedule, onRevision, onRun, onGit and webhook", d.name)
	}
	if w.Schedule != nil {
		schedule := *w.Schedule
		schedule.TimeZone = cmp.Or(schedule.TimeZone, "UTC")
		w.Schedule = &schedule
		t.Cron = l.cron(n.at("schedule"), schedule)
	}
	if w.OnRevision != nil {
		t.Paths = w.OnRevision.Paths
		l.globs(n.at("onRevision", "paths"), t.Paths)
	}
	if w.OnRun != nil {
		for i, name := range w.OnRun.Agents {
			at := n.at("onRun", "agents", i)
			if known(l, at, KindAgent, name, l.agents) && name == agent {
				l.error(at, "name another agent", "the agent's own runs would start it for ever")
			}
		}
	}
	if w.OnGit != nil {
		l.globs(n.at("onGit", "names"), w.OnGit.Names)
	}
	if w.Webhook != nil {
		l.secret(d, n.at("webhook", "secret"), w.Webhook.Secret)
		l.condition(eventLanguage, n.at("webhook", "when"), "when", w.Webhook.When)
	}
	t.Task = l.task(d, n, w)
	w.Task = t.Task
	t.Digest = l.digest(t.Place, TriggerSpec{Agent: agent, TriggerOn: w})
	return t
}

// task checks what a trigger tells its agent, and returns it with its placeholders written as `{{ name }}`.
func (l *loader) task(d *document, n *node, w TriggerOn) string {
	text := strings.TrimSpace(w.Task)
	if text == "" && w.Task != "" {
		l.missing(d, n.at("task"), "write what the agent is told", "trigger %q has no task", d.name)
	}
	for _, at := range placeholder.FindAllStringSubmatchIndex(w.Task, -1) {
		name := w.Task[at[2]:at[3]]
		place := textAt(n.at("task"), w.Task, at[0])
		switch {
		case name != "changed" && name != "revision":
			l.errorAt(place, near.Hint(name, taskParameters, "known are changed, revision"), "the task has no {{ %s }}", name)
		case name == "changed" && w.OnRevision == nil:
			l.errorAt(place, "remove it", "{{ changed }} is filled in for onRevision alone")
		}
	}
	return fillIn(text, func(name string) string { return "{{ " + name + " }}" })
}

// cron checks a schedule. It returns nil where there is a problem.
func (l *loader) cron(n *node, s Schedule) CronSchedule {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		l.error(n.at("timeZone"), "use an IANA name, such as UTC or Europe/Berlin", "unknown time zone %q", s.TimeZone)
		return nil
	}
	if s.Cron == "" {
		return nil
	}
	if strings.Contains(s.Cron, "TZ=") {
		l.error(n.at("cron"), "write it in timeZone", "the cron expression names a time zone")
		return nil
	}
	schedule, err := cron.ParseStandard(s.Cron)
	if err != nil {
		l.error(n.at("cron"), "it has five fields: minute, hour, day of month, month, day of week", "%q is not a cron expression: %s", s.Cron, oneLine(err.Error()))
		return nil
	}
	if fields, ok := schedule.(*cron.SpecSchedule); ok {
		fields.Location = zone
	}
	if schedule.Next(anyTime).IsZero() {
		l.error(n.at("cron"), "check the day and the month", "%q never comes", s.Cron)
		return nil
	}
	return schedule
}

// globs checks a list of globs at n.
func (l *loader) globs(n *node, patterns []string) {
	for i, pattern := range patterns {
		if fault, hint := checkGlob(pattern); fault != "" {
			l.error(n.at(i), hint, "the glob %q %s", pattern, fault)
		}
	}
}

package spec

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // Time zones mean the same on machines that have no database of them.

	"github.com/robfig/cron/v3"
)

// taskParameters are what a Trigger's task may hold in double braces.
var taskParameters = []string{"changed", "revision"}

// anyTime is when a schedule is asked for its next time, to see that there is one.
var anyTime = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

func (l *loader) resolveTriggers() []*Trigger {
	var out []*Trigger
	for _, name := range names(l.triggers) {
		e := l.triggers[name]
		w := e.written
		t := &Trigger{Resource: l.resource(e.document), Agent: AgentName(w.Agent)}
		if w.Agent == "" {
			l.missing(e.document, e.spec.at("agent"), "write agent: NAME", "trigger %q names no agent", name)
		} else if known(l, e.spec.at("agent"), KindAgent, w.Agent, l.agents) {
			t.DependsOn = []Ref{{KindAgent, w.Agent}}
		}
		if (w.Schedule == nil) == (w.OnRevision == nil) {
			l.missing(e.document, e.spec, "schedule: {cron: ...} is for times, onRevision: {paths: [...]} for changes", "trigger %q needs exactly one of schedule and onRevision", name)
		}
		if w.Schedule != nil {
			w.Schedule.TimeZone = orDefault(w.Schedule.TimeZone, "UTC")
			t.Cron = l.cron(e.document, e.spec.at("schedule"), *w.Schedule)
		}
		if w.OnRevision != nil {
			t.Paths = w.OnRevision.Paths
			l.globs(e.document, e.spec.at("onRevision"), "paths", t.Paths)
		}
		t.Task = l.task(e)
		w.Task = t.Task
		t.Digest = l.digest(t.Place, w)
		out = append(out, t)
	}
	return out
}

// task checks what a trigger tells its agent, and returns it with its placeholders written as `{{ name }}`.
func (l *loader) task(e *entry[TriggerSpec]) string {
	text := strings.TrimSpace(e.written.Task)
	if text == "" {
		l.missing(e.document, e.spec.at("task"), "write what the agent is told", "trigger %q has no task", e.name)
	}
	for _, at := range placeholder.FindAllStringSubmatchIndex(e.written.Task, -1) {
		name := e.written.Task[at[2]:at[3]]
		place := textAt(e.spec.at("task"), e.written.Task, at[0])
		switch {
		case name != "changed" && name != "revision":
			l.errorAt(place, didYouMean(name, taskParameters, "known are changed, revision"), "the task has no {{ %s }}", name)
		case name == "changed" && e.written.OnRevision == nil && e.written.Schedule != nil:
			l.errorAt(place, "remove it", "{{ changed }} is filled in for onRevision alone")
		}
	}
	return fillIn(text, func(name string) string { return "{{ " + name + " }}" })
}

// cron checks a schedule. It returns nil where there is a problem.
func (l *loader) cron(d *document, n *node, s Schedule) CronSchedule {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		l.error(n.at("timeZone"), "use an IANA name, such as UTC or Europe/Berlin", "unknown time zone %q", s.TimeZone)
		return nil
	}
	if s.Cron == "" {
		l.missing(d, n.at("cron"), `write cron: "0 6 * * *" for six in the morning`, "the schedule has no cron expression")
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

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// maxGlobs bounds one list of globs.
const maxGlobs = 256

// globs checks the globs in a field that must not be empty.
func (l *loader) globs(d *document, n *node, field string, patterns []string) {
	if len(patterns) == 0 {
		l.missing(d, n.at(field), fmt.Sprintf(`write %s: ["manifests/**"]`, field), "%q is empty", field)
	}
	if len(patterns) > maxGlobs {
		l.error(n.at(field), "", "%q has more than %d globs", field, maxGlobs)
		return
	}
	for i, pattern := range patterns {
		if fault, hint := checkGlob(pattern); fault != "" {
			l.error(n.at(field, i), hint, "the glob %q %s", pattern, fault)
		}
	}
}

package plan

import (
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/spec"
)

// Paths are files of the repository that no fleet holds, sorted. Those from the repository's root decide which triggers on
// changes start a run.
type Paths struct {
	// Known is false where nobody could tell which files differ.
	Known bool
	// Changed differ on the two sides, or are only on one of them. All are on the side after.
	Changed, All []string
	// Secrets are the files of encrypted secrets that differ, from the folder that holds mainstay.yaml. They are always known.
	Secrets []string
}

// When says when a run starts.
type When string

// The times at which runs start.
const (
	// AtOnce is as soon as the change is what is declared.
	AtOnce When = "atOnce"
	// IfChanged is at once, if the change is one of files that match. Which files it changes is not known.
	IfChanged When = "ifChanged"
	// AtNextTime is when the schedule is due for the first time. For a schedule that was another one before, a time that has
	// passed since its last run counts, so that it may be at once.
	AtNextTime When = "atNextTime"
	// NotYet is for triggers that this version only checks.
	NotYet When = "notYet"
)

// Run is a run that the change would start, by a trigger that is new or another one than before, or because it changes
// files that a trigger waits for. A policy may still deny it.
type Run struct {
	Trigger string         `json:"trigger"`
	Agent   spec.AgentName `json:"agent"`
	// Mode is added or changed for the trigger, and "" where it is as it was.
	Mode Mode `json:"mode,omitempty"`
	When When `json:"when"`
	// Schedule is the cron expression, and its time zone where one is written.
	Schedule string `json:"schedule,omitempty"`
	// Globs are those of a trigger on changes, and Paths the files that match, at most [MaxRunPaths] of them out of Matching.
	Globs    []string `json:"globs,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Matching int      `json:"matching,omitempty"`
	// Task is what the agent would be told, before revision and changed files are filled in.
	Task string `json:"task"`
}

// MaxRunPaths bounds the files that a [Run] names.
const MaxRunPaths = 20

// runs are the runs that the change would start.
func runs(before, after *fleetSide, paths Paths) []Run {
	was := map[string]*spec.Trigger{}
	for _, t := range before.Triggers {
		was[t.Name] = t
	}
	var out []Run
	for _, t := range after.Triggers {
		r := Run{Trigger: t.Name, Agent: t.Agent, Task: t.Task, Globs: t.Paths}
		files := paths.Changed
		switch old := was[t.Name]; {
		case old == nil:
			r.Mode, files = Added, paths.All // A trigger that has seen no revision takes all files for changed.
		case old.Digest != t.Digest:
			r.Mode = Changed
		}
		switch {
		case t.Cron != nil:
			r.When, r.Schedule = AtNextTime, schedule(after.tree(t.Resource))
			if r.Mode == "" {
				continue
			}
		case len(t.Paths) == 0:
			r.When = NotYet
			if r.Mode == "" {
				continue
			}
		case !paths.Known:
			r.When = IfChanged
		default:
			matching := matching(files, t.Paths)
			if len(matching) == 0 {
				continue
			}
			r.When, r.Matching, r.Paths = AtOnce, len(matching), matching[:min(len(matching), MaxRunPaths)]
		}
		out = append(out, r)
	}
	return out
}

func matching(files, globs []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		return !slices.ContainsFunc(globs, func(glob string) bool {
			ok, _ := doublestar.Match(glob, file) // Loading has checked the pattern.
			return ok
		})
	})
}

func schedule(trigger map[string]any) string {
	s, _ := trigger["schedule"].(map[string]any)
	cron, _ := s["cron"].(string)
	if zone, _ := s["timeZone"].(string); zone != "" {
		return cron + " " + zone
	}
	return cron
}

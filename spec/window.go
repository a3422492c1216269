package spec

import (
	"cmp"
	"time"
)

// Opening is a checked [Window].
type Opening struct {
	Cron     CronSchedule
	Duration time.Duration
}

// openAt reports whether the window is open at t, and if so until when.
func (o Opening) openAt(t time.Time) (until time.Time, open bool) {
	began := o.Cron.Next(t.Add(-o.Duration)) // The first beginning whose window has not ended.
	if began.IsZero() || began.After(t) {
		return time.Time{}, false
	}
	return began.Add(o.Duration), true
}

// OpenAt reports whether one of some windows is open at t. Where none is, opens is when the next one does, and zero where
// none ever does. Without any window it is always open.
func OpenAt(windows []Opening, t time.Time) (open bool, opens time.Time) {
	if len(windows) == 0 {
		return true, time.Time{}
	}
	for _, w := range windows {
		if _, open := w.openAt(t); open {
			return true, time.Time{}
		}
		if next := w.Cron.Next(t); !next.IsZero() && (opens.IsZero() || next.Before(opens)) {
			opens = next
		}
	}
	return false, opens
}

// windows checks the times in which Actions are executed.
func (l *loader) windows(n *node, written []Window) []Opening {
	var out []Opening
	for i, w := range written {
		schedule := w.Schedule
		schedule.TimeZone = cmp.Or(schedule.TimeZone, "UTC")
		if c := l.cron(n.at(i), schedule); c != nil {
			out = append(out, Opening{Cron: c, Duration: time.Duration(w.Duration)})
		}
	}
	return out
}

// WindowsOf are the times in which Actions of a tool server are executed, its own or the fleet's; none means any time. The
// resource says which declares them.
func (f *Fleet) WindowsOf(s *ToolServer) ([]Opening, Ref) {
	if len(s.Windows) > 0 {
		return s.Windows, s.Ref
	}
	return f.Windows, f.Ref
}

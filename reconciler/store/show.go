package store

import "github.com/mainstay-dev/mainstay/spec"

// ShowRun lets others in this process see how far a run has come, without a write to the disk: a summary can be made again from
// the record. What [Store.PutRun] has kept is shown again after a crash. A summary of fewer entries never takes the place of
// one of more.
func (s *Store) ShowRun(summary spec.RunSummary) {
	s.showing.Lock()
	defer s.showing.Unlock()
	if s.shown[summary.Run].Entries <= summary.Entries {
		s.shown[summary.Run] = summary
		s.spend(summary)
	}
}

// newest returns what is shown of a run where that is newer than what is kept.
func (s *Store) newest(kept spec.RunSummary) spec.RunSummary {
	s.showing.Lock()
	defer s.showing.Unlock()
	if shown, ok := s.shown[kept.Run]; ok && shown.Entries > kept.Entries {
		return shown
	}
	return kept
}

// unshow forgets what was shown of a run, once so much of it is kept.
func (s *Store) unshow(run spec.RunID, entries int) {
	s.showing.Lock()
	defer s.showing.Unlock()
	if s.shown[run].Entries <= entries {
		delete(s.shown, run)
	}
}

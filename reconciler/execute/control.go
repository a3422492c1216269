package execute

// The reasons of [State.Reason]: what keeps an approved Action waiting.
const (
	ReasonSuspended = "Suspended"
)

// hold says why an approved Action is neither claimed nor started now. Its message is "" where nothing holds it.
type hold struct{ reason, message string }

func (h hold) holds() bool { return h.message != "" }

// waiting is the state of an Action that is held.
func (h hold) waiting(s State) State {
	s.State, s.Reason, s.Message = Waiting, h.reason, h.message
	return s
}

// held finds out what holds an Action, from what is declared and from the ledger as it was last read.
func (e *Executor) held(w Work) hold {
	return hold{ReasonSuspended, e.opts.Suspended(w)}
}

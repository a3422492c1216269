package reconciler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// Suspension says that a person has suspended a resource, or everything, of one reconciler. It is kept in its store until
// that is resumed.
type Suspension struct {
	// Ref is what is suspended; the zero one is everything.
	Ref    spec.Ref  `json:"ref,omitzero"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// What names what is suspended.
func (s Suspension) What() string {
	if s.Ref == (spec.Ref{}) {
		return "everything"
	}
	return s.Ref.String()
}

// Check says what is wrong with the reason: it is one line of at most 1000 bytes.
func (s Suspension) Check() error {
	if len(s.Reason) > maxSuspendReason || strings.ContainsAny(s.Reason, "\r\n") {
		return fmt.Errorf("the reason is shown beside all that waits: write one line of at most %d bytes", maxSuspendReason)
	}
	return nil
}

// Suspendable are the kinds of what can be suspended, in Git or at once.
func Suspendable() []spec.Kind {
	return []spec.Kind{spec.KindAgent, spec.KindFleet, spec.KindToolServer, spec.KindTrigger}
}

// suspendedKey is where the store keeps what is suspended.
const suspendedKey = "suspended"

// maxSuspended bounds how much is suspended at once.
const maxSuspended = 1000

// maxSuspendReason bounds a reason, in bytes.
const maxSuspendReason = 1000

// Suspensions lists what persons have suspended, sorted.
func Suspensions(ctx context.Context, st *store.Store) ([]Suspension, error) {
	held, err := st.Held(ctx, suspendedKey)
	if err != nil {
		return nil, err
	}
	return suspensions(held)
}

func suspensions(held store.Held) ([]Suspension, error) {
	var list []Suspension
	if held.Position == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(held.Value, &list); err != nil {
		return nil, fmt.Errorf("read what is suspended: %w: %w", store.ErrDamaged, err)
	}
	return list, nil
}

// SuspendStored suspends a resource where no reconciler runs: the next one begins with it. What is suspended already gets
// the new reason; where none is given, it stays as it is.
func SuspendStored(ctx context.Context, st *store.Store, s Suspension) error {
	if err := s.Check(); err != nil {
		return err
	}
	_, err := changeSuspended(ctx, st, func(list []Suspension) []Suspension {
		if s.Reason == "" && slices.ContainsFunc(list, func(one Suspension) bool { return one.Ref == s.Ref }) {
			return list
		}
		return append(without(list, s.Ref), s)
	})
	return err
}

// UnsuspendStored ends a suspension, and reports whether there was one. The zero reference ends all of them.
func UnsuspendStored(ctx context.Context, st *store.Store, ref spec.Ref) (bool, error) {
	return changeSuspended(ctx, st, func(list []Suspension) []Suspension {
		if ref == (spec.Ref{}) {
			return nil
		}
		return without(list, ref)
	})
}

func without(list []Suspension, ref spec.Ref) []Suspension {
	return slices.DeleteFunc(slices.Clone(list), func(s Suspension) bool { return s.Ref == ref })
}

// changeSuspended reports whether there are fewer or more now.
func changeSuspended(ctx context.Context, st *store.Store, change func([]Suspension) []Suspension) (bool, error) {
	for range maxThreadTries {
		held, err := st.Held(ctx, suspendedKey)
		if err != nil {
			return false, err
		}
		old, err := suspensions(held)
		if err != nil {
			return false, err
		}
		list := change(old)
		if len(list) > maxSuspended {
			return false, fmt.Errorf("%d resources are suspended already: suspend everything, with --all", maxSuspended)
		}
		slices.SortFunc(list, func(a, b Suspension) int {
			return cmp.Or(cmp.Compare(a.Ref.Kind, b.Ref.Kind), cmp.Compare(a.Ref.Name, b.Ref.Name))
		})
		value, err := json.Marshal(list)
		if err != nil {
			return false, err
		}
		err = st.Swap(ctx, held, value)
		if !errors.Is(err, store.ErrConflict) {
			return len(list) != len(old), err
		}
	}
	return false, fmt.Errorf("somebody else wrote first, %d times: %w", maxThreadTries, store.ErrConflict)
}

// Suspend holds a resource, or everything, from the next step on: no claim, no start of an effect, no run and no request of
// a run begins. It lasts until [Reconciler.Unsuspend], also after a restart.
func (r *Reconciler) Suspend(ctx context.Context, s Suspension) error {
	if err := SuspendStored(ctx, r.parts.Store, s); err != nil {
		return err
	}
	return r.suspensionsChanged(ctx)
}

// Unsuspend ends what Suspend began, and reports whether there was a suspension. The zero reference ends all of them.
func (r *Reconciler) Unsuspend(ctx context.Context, ref spec.Ref) (bool, error) {
	news, err := UnsuspendStored(ctx, r.parts.Store, ref)
	if err != nil {
		return false, err
	}
	return news, r.suspensionsChanged(ctx)
}

func (r *Reconciler) suspensionsChanged(ctx context.Context) error {
	err := r.readSuspended(ctx)
	r.Look()
	return err
}

// readSuspended takes over what the store says is suspended.
func (r *Reconciler) readSuspended(ctx context.Context) error {
	list, err := Suspensions(ctx, r.parts.Store)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suspended = list
	return nil
}

// suspendedBy says who has suspended a resource, by itself or with everything, or "".
func suspendedBy(list []Suspension, ref spec.Ref) string {
	for _, s := range list {
		if s.Ref != ref && s.Ref != (spec.Ref{}) {
			continue
		}
		text := fmt.Sprintf("%s is suspended by %s since %s", s.What(), s.By, s.At.UTC().Format(time.RFC3339))
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		return spec.Visible(text)
	}
	return ""
}

// suspension says why a resource is suspended, by itself or with everything, or "". The caller holds r.mu.
func (r *Reconciler) suspension(ref spec.Ref) string {
	if why := suspendedBy(r.suspended, ref); why != "" {
		return why
	}
	if r.fleet == nil {
		return ""
	}
	if r.fleet.Suspended {
		return fmt.Sprintf("everything is suspended by spec.suspend in %s", r.fleet.Place.File)
	}
	declared := false
	file := ""
	switch ref.Kind {
	case spec.KindAgent:
		if a := r.fleet.Agents[spec.AgentName(ref.Name)]; a != nil {
			declared, file = a.Suspended, a.Place.File
		}
	case spec.KindToolServer:
		if s := r.fleet.Servers[ref.Name]; s != nil {
			declared, file = s.Spec.Suspend, s.Place.File
		}
	case spec.KindTrigger:
		for _, t := range r.fleet.Triggers {
			if t.Name == ref.Name {
				declared, file = t.Suspended, t.Place.File
			}
		}
	}
	if !declared {
		return ""
	}
	return fmt.Sprintf("%s is suspended by spec.suspend in %s", ref, file)
}

// suspendedAny says why one of some resources is suspended, or "".
func (r *Reconciler) suspendedAny(refs ...spec.Ref) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		if why := r.suspension(ref); why != "" {
			return why
		}
	}
	return ""
}

func agentRef(name spec.AgentName) spec.Ref {
	return spec.Ref{Kind: spec.KindAgent, Name: string(name)}
}

// suspendedAgent says why no run of an agent goes on now, or "".
func (r *Reconciler) suspendedAgent(name spec.AgentName) string {
	return r.suspendedAny(agentRef(name))
}

// suspendedWork says why an Action is not executed now, or "": with its tool server, and with the agent that has asked for it.
func (r *Reconciler) suspendedWork(w execute.Work) string {
	return r.suspendedAny(spec.Ref{Kind: spec.KindToolServer, Name: w.Action.Spec.Server}, agentRef(w.Action.Spec.Evidence.Agent))
}

// ErrSuspended means that something does not begin because it is suspended.
var ErrSuspended = errors.New("suspended")

// mayBegin says why a person or a trigger cannot start a run of an agent now.
func (r *Reconciler) mayBegin(task spec.Task) error {
	if why := r.suspendedAgent(task.Agent); why != "" && task.Parent == nil { // A task that a run gives waits in the queue.
		return fmt.Errorf("start a run of %s: %w: %s; `mainstay resume` or a commit ends that", task.Agent, ErrSuspended, why)
	}
	return nil
}

// suspendedTime is how long a run of a suspended agent stays in the queue before somebody looks at it again.
const suspendedTime = 2 * time.Second

// giveBack leaves a run in the queue if its agent is suspended, and reports whether it did.
func (r *Reconciler) giveBack(ctx context.Context, lease *store.Lease) (bool, error) {
	if r.suspendedAgent(r.agentOf(ctx, lease.Run())) == "" {
		return false, nil
	}
	return true, lease.Retry(suspendedTime)
}

// ConditionSuspended is True, with the reason of the same name, where a resource is suspended. Its message says by whom
// and why. It is beside the other conditions: what is suspended is not broken.
const ConditionSuspended = "Suspended"

// alsoSuspended adds to the conditions of a resource, or takes away from them, that it is suspended.
func alsoSuspended(list []metav1.Condition, at time.Time, why string) []metav1.Condition {
	if why == "" {
		meta.RemoveStatusCondition(&list, ConditionSuspended)
		return list
	}
	meta.SetStatusCondition(&list, metav1.Condition{Type: ConditionSuspended, Status: metav1.ConditionTrue, Reason: ConditionSuspended,
		Message: why, LastTransitionTime: metav1.NewTime(at)})
	return list
}

// suspendedResource says why a resource is suspended where that means something for its kind. The caller holds r.mu.
func (r *Reconciler) suspendedResource(ref spec.Ref) string {
	if !slices.Contains(Suspendable(), ref.Kind) {
		return ""
	}
	return r.suspension(ref)
}

// suspend brings a published state up to date with what was suspended and resumed since then.
func (s *Status) suspend(ctx context.Context, st *store.Store) error {
	list, err := Suspensions(ctx, st)
	if err != nil {
		return err
	}
	told := func(ref spec.Ref, conditions []metav1.Condition) []metav1.Condition {
		if why := suspendedBy(list, ref); why != "" || suspendedBy(s.Suspended, ref) != "" {
			return alsoSuspended(conditions, s.At, why)
		}
		return conditions
	}
	for i := range s.Agents {
		s.Agents[i].Conditions = told(agentRef(s.Agents[i].Name), s.Agents[i].Conditions)
	}
	for i := range s.Resources {
		if slices.Contains(Suspendable(), s.Resources[i].Kind) {
			s.Resources[i].Conditions = told(s.Resources[i].Ref, s.Resources[i].Conditions)
		}
	}
	s.Suspended = list
	return nil
}

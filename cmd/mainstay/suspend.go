package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/near"
)

func newSuspend(env environment) *cobra.Command {
	var (
		state, reason string
		all           bool
	)
	cmd := &cobra.Command{
		Use:   "suspend KIND/NAME... | --all",
		Short: "Hold agents, triggers, tool servers or everything, at once, until `mainstay resume`",
		Long: "Hold an agent, a trigger, a tool server, or with --all everything, from the next step on: no run begins, no approved\n" +
			"action is claimed or started, and a run that is at work waits before its next request. What a tool or a model does\n" +
			"already comes to its end and is recorded. Nothing is lost: runs and actions go on once that is resumed, unless an\n" +
			"action expires meanwhile.\n\n" +
			"The daemon of the state folder does it, and goes on with it after a restart; where none runs, the next one begins with\n" +
			"it. Other processes, as `mainstay run --once` on CI, are held by spec.suspend in Git. `mainstay get suspensions` lists both.",
		Example: "  mainstay suspend agent/triage --reason 'it talks nonsense'\n" +
			"  mainstay suspend toolserver/cluster trigger/nightly --reason 'the cluster is being upgraded'\n" +
			"  mainstay suspend --all --reason 'incident 42'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := (reconciler.Suspension{Reason: reason}).Check(); err != nil {
				return usageError{err}
			}
			refs, r, err := openSuspended(cmd, state, all, args)
			if err != nil {
				return err
			}
			defer r.close()
			for _, ref := range refs {
				if err := r.suspend(cmd.Context(), env, reconciler.Suspension{Ref: ref, By: account(), Reason: reason}); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "suspended %s; `%s resume %s` ends that\n", reconciler.Suspension{Ref: ref}.What(), program(), argument(ref))
			}
			if !r.live {
				fmt.Fprintln(cmd.ErrOrStderr(), "note: no daemon is running; the next one begins with it")
			}
			return nil
		},
	}
	addStateFlag(cmd, &state)
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence`; it is shown wherever something waits for it")
	cmd.Flags().BoolVar(&all, "all", false, "everything")
	return cmd
}

func newResume(env environment) *cobra.Command {
	var (
		state string
		all   bool
	)
	cmd := &cobra.Command{
		Use:   "resume KIND/NAME... | --all",
		Short: "End what `mainstay suspend` began",
		Long: "End a suspension. With --all all of them end, also those of single resources. What spec.suspend in Git holds is\n" +
			"resumed by a commit that removes it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, r, err := openSuspended(cmd, state, all, args)
			if err != nil {
				return err
			}
			defer r.close()
			for _, ref := range refs {
				was, err := r.resume(cmd.Context(), ref)
				if err != nil {
					return err
				}
				if was {
					fmt.Fprintf(cmd.OutOrStdout(), "resumed %s\n", reconciler.Suspension{Ref: ref}.What())
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%s was not suspended with `mainstay suspend`\n", reconciler.Suspension{Ref: ref}.What())
				}
			}
			return tellStillSuspended(cmd, r, refs)
		},
	}
	addStateFlag(cmd, &state)
	cmd.Flags().BoolVar(&all, "all", false, "everything")
	return cmd
}

// tellStillSuspended notes what else holds what was just resumed.
func tellStillSuspended(cmd *cobra.Command, r *reader, refs []spec.Ref) error {
	s, err := r.status(cmd.Context())
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, res := range s.Resources {
		if refs[0] != (spec.Ref{}) && !slices.Contains(refs, res.Ref) {
			continue
		}
		if why := suspendedBy(res.Conditions); why != "" && !told[why] {
			told[why] = true
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s is still held: %s\n", res.Ref, why)
		}
	}
	return nil
}

// openSuspended finds out what is meant, and opens the state folder. Close the reader.
func openSuspended(cmd *cobra.Command, state string, all bool, args []string) ([]spec.Ref, *reader, error) {
	if all == (len(args) > 0) {
		return nil, nil, usageError{fmt.Errorf("name what is meant, such as agent/NAME, or give --all; usage: %s", cmd.UseLine())}
	}
	dir, err := findState(state)
	if err != nil {
		return nil, nil, err
	}
	r, err := openReader(cmd.Context(), dir)
	if err != nil {
		return nil, nil, err
	}
	if all {
		return []spec.Ref{{}}, r, nil
	}
	s, err := r.status(cmd.Context())
	var refs []spec.Ref
	for _, arg := range args {
		if err != nil {
			break
		}
		var ref spec.Ref
		ref, err = parseSuspendable(arg, s.Resources)
		refs = append(refs, ref)
	}
	if err != nil {
		r.close()
		return nil, nil, err
	}
	return refs, r, nil
}

// parseSuspendable reads `agent/triage` in any case and with the kind in the plural, as kubectl does. A Fleet is everything.
func parseSuspendable(text string, resources []reconciler.ResourceStatus) (spec.Ref, error) {
	kind, name, ok := strings.Cut(text, "/")
	i := slices.IndexFunc(reconciler.Suspendable(), func(k spec.Kind) bool {
		return strings.TrimSuffix(strings.ToLower(kind), "s") == strings.ToLower(string(k))
	})
	if !ok || i < 0 {
		return spec.Ref{}, usageError{fmt.Errorf("%q is not KIND/NAME; what can be suspended is agent/NAME, toolserver/NAME, trigger/NAME and fleet/NAME", spec.Visible(text))}
	}
	ref := spec.Ref{Kind: reconciler.Suspendable()[i], Name: name}
	var names []string
	for _, r := range resources {
		if r.Kind == ref.Kind {
			names = append(names, r.Name)
		}
	}
	if !slices.Contains(names, name) {
		hint := near.Hint(name, names, "there are: "+dash(strings.Join(names, ", ")))
		return ref, fmt.Errorf("no %s %q; %s", ref.Kind, spec.Visible(name), hint)
	}
	if ref.Kind == spec.KindFleet {
		return spec.Ref{}, nil
	}
	return ref, nil
}

// argument is how a person names what is suspended.
func argument(ref spec.Ref) string {
	if ref == (spec.Ref{}) {
		return "--all"
	}
	return strings.ToLower(string(ref.Kind)) + "/" + ref.Name
}

func (r *reader) suspend(ctx context.Context, env environment, s reconciler.Suspension) error {
	if r.live {
		return r.client.Suspend(ctx, serve.Suspend{Ref: s.Ref, By: s.By, Reason: s.Reason})
	}
	s.At = env.clock()().UTC()
	return reconciler.SuspendStored(ctx, r.store, s)
}

func (r *reader) resume(ctx context.Context, ref spec.Ref) (bool, error) {
	if r.live {
		return r.client.Resume(ctx, serve.Suspend{Ref: ref, By: account()})
	}
	return reconciler.UnsuspendStored(ctx, r.store, ref)
}

// suspensionViews are the daemon's side.
func suspensionViews(env environment, w *wired) serve.Suspensions {
	return serve.Suspensions{
		Suspend: func(ctx context.Context, s serve.Suspend) error {
			return w.Suspend(ctx, reconciler.Suspension{Ref: s.Ref, By: s.By, Reason: s.Reason, At: env.clock()().UTC()})
		},
		Resume: func(ctx context.Context, s serve.Suspend) (bool, error) { return w.Unsuspend(ctx, s.Ref) },
	}
}

// suspendedBy is why a resource is suspended, or "".
func suspendedBy(list []metav1.Condition) string {
	for _, c := range list {
		if c.Type == reconciler.ConditionSuspended {
			return c.Message
		}
	}
	return ""
}

// suspended is one line of `mainstay get suspensions`.
type suspended struct {
	What   string    `json:"what"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// suspensions lists what persons have suspended, and what Git has.
func suspensions(s reconciler.Status, now time.Time) table {
	list := []suspended{}
	for _, one := range s.Suspended {
		list = append(list, suspended{one.What(), one.By, one.Reason, one.At})
	}
	for _, res := range s.Resources {
		if why := suspendedBy(res.Conditions); strings.HasPrefix(why, res.Ref.String()+" is suspended by spec.suspend") ||
			res.Kind == spec.KindFleet && strings.Contains(why, "by spec.suspend") {
			list = append(list, suspended{What: res.Ref.String(), By: "spec.suspend in " + res.Place.File})
		}
	}
	t := table{header: []string{"WHAT", "BY", "SINCE", "REASON"}, items: list}
	for _, one := range list {
		t.rows = append(t.rows, []string{one.What, spec.Visible(one.By), since(now, one.At), spec.Visible(dash(one.Reason))})
	}
	return t
}

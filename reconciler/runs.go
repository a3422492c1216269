package reconciler

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// RunFilter chooses runs. What is empty lets every run pass.
type RunFilter struct {
	Agent spec.AgentName
	Phase string
	// Since is the earliest time at which a run began.
	Since time.Time
	// Prefix is how a run's id begins.
	Prefix string
	// Limit is the most runs to list; 0 is all.
	Limit int
}

// RunList are the newest of the runs that a filter lets pass, and how many that are.
type RunList struct {
	Runs  []spec.RunSummary `json:"runs"`
	Total int               `json:"total"`
}

// choose lists the newest runs first.
func (f RunFilter) choose(all []spec.RunSummary) RunList {
	all = slices.DeleteFunc(all, func(r spec.RunSummary) bool {
		return f.Agent != "" && r.Agent != f.Agent || f.Phase != "" && r.Phase != f.Phase || r.At.Before(f.Since) ||
			!strings.HasPrefix(string(r.Run), f.Prefix)
	})
	slices.SortFunc(all, func(a, b spec.RunSummary) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Run, a.Run)) })
	list := RunList{Runs: all, Total: len(all)}
	if f.Limit > 0 {
		list.Runs = all[:min(len(all), f.Limit)]
	}
	return list
}

// Query writes the filter as the query of a URL.
func (f RunFilter) Query() url.Values {
	q := url.Values{"agent": {string(f.Agent)}, "phase": {f.Phase}, "prefix": {f.Prefix}, "limit": {strconv.Itoa(f.Limit)}}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	return q
}

// ParseRunFilter reads what Query has written.
func ParseRunFilter(q url.Values) (RunFilter, error) {
	f := RunFilter{Agent: spec.AgentName(q.Get("agent")), Phase: q.Get("phase"), Prefix: q.Get("prefix")}
	var err error
	if since := q.Get("since"); since != "" {
		if f.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return f, fmt.Errorf("since: %w", err)
		}
	}
	if limit := q.Get("limit"); limit != "" {
		if f.Limit, err = strconv.Atoi(limit); err != nil {
			return f, fmt.Errorf("limit: %w", err)
		}
	}
	return f, nil
}

// StoredRuns lists the runs in a store.
func StoredRuns(ctx context.Context, st *store.Store, f RunFilter) (RunList, error) {
	all, err := st.Runs(ctx)
	if err != nil {
		return RunList{}, fmt.Errorf("list runs: %w", err)
	}
	return f.choose(all), nil
}

// Runs lists runs as they are now.
func (r *Reconciler) Runs(ctx context.Context, f RunFilter) (RunList, error) {
	return StoredRuns(ctx, r.parts.Store, f)
}

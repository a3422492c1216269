package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// ledgerItem is an entry of the ledger for programs.
type ledgerItem struct {
	Commit string    `json:"commit"`
	At     time.Time `json:"at"`
	Path   string    `json:"path"`
	// Signer is the listed key that has signed it; Ignored says why none has, of a person's entry.
	Signer  *audit.Key `json:"signer,omitempty"`
	Ignored string     `json:"ignored,omitempty"`
	// Entry is the file.
	Entry json.RawMessage `json:"entry"`
}

func newLedgerShow(env environment) *cobra.Command {
	var (
		flags  auditFlags
		action string
		newest bool
	)
	cmd := &cobra.Command{
		Use:   "show [FOLDER]",
		Short: "Show what was claimed, started, executed and rejected, the oldest first",
		Long: "Show the entries of mainstay/ledger as they follow one another, each checked: in a clone as it was last fetched, or on\n" +
			"the remote with --repo. No daemon is needed.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			h, err := flags.open(cmd, env, args)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, h.close()) }()
			report, entries, err := audit.Ledger(cmd.Context(), h.Options)
			if err != nil {
				return err
			}
			if action != "" {
				entries = slices.DeleteFunc(entries, func(e execute.Entry) bool { return e.Ledger == nil || string(e.Ledger.Action) != action })
			}
			if newest {
				slices.Reverse(entries)
			}
			if err := ledgerTable(entries).print(cmd.OutOrStdout(), flags.output); err != nil {
				return err
			}
			if len(report.Problems) > 0 {
				printProblems(cmd.ErrOrStderr(), report)
				return errSilent
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&action, "action", "", "show only the entries of the `action` with this id")
	cmd.Flags().BoolVar(&newest, "newest-first", false, "begin with the newest entry")
	return cmd
}

func ledgerTable(entries []execute.Entry) table {
	items := []ledgerItem{}
	t := table{header: []string{"AT", "STEP", "ABOUT", "BY", "COMMIT", "WHAT"}}
	for _, e := range entries {
		item := ledgerItem{Commit: e.Commit, At: e.When.UTC(), Path: e.Path, Ignored: e.Ignored, Entry: e.Content}
		by := "nobody who counts"
		if e.Ignored == "" {
			item.Signer = &audit.Key{Name: e.Signer.Name, Key: e.Signer.Fingerprint()}
			by = e.Signer.Name
		}
		step, about, what := entryStory(e)
		if e.Ledger != nil {
			item.At = e.Ledger.At.UTC()
		}
		if e.Ignored != "" {
			what = e.Ignored
		}
		items = append(items, item)
		t.rows = append(t.rows, cells(item.At.Format(time.RFC3339), step, about, by, e.Commit[:7], what))
	}
	t.items = items
	return t
}

// entryStory says in a few words what an entry is about and what it says.
func entryStory(e execute.Entry) (step, about, what string) {
	if e.Ledger == nil {
		var said struct {
			Step   string `json:"step"`
			Agent  string `json:"agent"`
			Reason string `json:"reason"`
			Action string `json:"action"`
			Undoes string `json:"undoes"`
		}
		if err := json.Unmarshal(e.Content, &said); err != nil {
			what = err.Error()
		} else if said.Undoes != "" {
			what = fmt.Sprintf("offers %s, which undoes %s", said.Action, said.Undoes)
		} else {
			what = fmt.Sprintf("no to %s: %s", said.Agent, said.Reason)
		}
		return said.Step, "proposal " + string(e.Proposal), what
	}
	l := e.Ledger
	switch l.Step {
	case spec.StepClaim:
		what = l.Executor + " claims it"
		if l.Deadline != nil {
			what += " until " + l.Deadline.UTC().Format(time.RFC3339)
		}
		if l.Approval != nil {
			what += fmt.Sprintf("; %s approved it in %.7s", l.Approval.Approver, l.Approval.Merge)
		}
	case spec.StepStarted:
		what = l.Executor + " starts it"
		if l.Deadline != nil {
			what += "; unknown without a receipt by " + l.Deadline.UTC().Format(time.RFC3339)
		}
	default:
		what = l.Outcome
		if l.Message != "" {
			what += ": " + l.Message
		} else if len(l.Result) > 0 {
			what += ": " + string(l.Result)
		}
	}
	return l.Step, string(l.Action), what
}

func newLedgerVerify(env environment) *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "verify [FOLDER]",
		Short: "Check every entry of the ledger from its first commit on",
		Long: "Check that the ledger begins with the pinned commit, that every later one adds one entry in the right order and changes\n" +
			"none, and that whoever may has signed it. It exits with 1 and names the commit that does not hold. `mainstay verify`\n" +
			"checks also that what is in it was approved.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			h, err := flags.open(cmd, env, args)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, h.close()) }()
			report, _, err := audit.Ledger(cmd.Context(), h.Options)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case flags.output != "":
				err = printItems(out, flags.output, report)
			default:
				printTrust(out, h, report)
				printProblems(out, report)
				if report.Holds() {
					_, err = fmt.Fprintf(out, "\nthe ledger holds; give the next one --seen %s\n", report.Ledger.Tip)
				}
			}
			if err == nil && !report.Holds() {
				err = errSilent
			}
			return err
		},
	}
	flags.add(cmd)
	return cmd
}

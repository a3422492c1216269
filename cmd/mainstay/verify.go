package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/spec"
)

func newVerify(env environment) *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "verify [FOLDER]",
		Short: "Check from outside that whatever was executed was proposed, approved and recorded",
		Long: "Check every action that was ever on the branch: which run of which agent proposed it, who approved which bytes in\n" +
			"which merge, whether CODEOWNERS and the policies before that merge let the person, and its claim, start and receipt in\n" +
			"the ledger, with every signature. A call that a policy rule let through without a review is decided again, by the rules\n" +
			"at its revision that an approver had signed. It reads a plain clone and needs no daemon, no state and no network. It\n" +
			"exits with 1 if anything does not hold, and says what to do.\n\n" +
			"Who counts begins with the first mainstay.yaml that pins a ledger; later changes count if an approver has signed them.\n" +
			"So that a repository does not vouch for itself, give --approvers, --genesis and the ledger's tip from the last time\n" +
			"with --seen, kept elsewhere.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			h, err := flags.open(cmd, env, args)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, h.close()) }()
			report, err := audit.Audit(cmd.Context(), h.Options)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if flags.output != "" {
				err = printItems(out, flags.output, report)
			} else {
				err = printAudit(out, h, report)
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

// printAudit prints what holds as a table, and what does not in full.
func printAudit(w io.Writer, h *history, r *audit.Report) error {
	printTrust(w, h, r)
	if len(r.Actions) > 0 {
		fmt.Fprintln(w)
	}
	t := table{header: []string{"ACTION", "HOLDS", "STATE", "PROPOSED BY", "APPROVED BY", "MERGE", "EXECUTED BY", "SUMMARY"}}
	held := 0
	for _, a := range r.Actions {
		holds := "NO"
		if a.Holds {
			holds, held = "yes", held+1
		}
		t.rows = append(t.rows, cells(string(a.ID), holds, string(a.State), proposedBy(a), approvedBy(a), mergedIn(a), executedBy(a), a.Summary))
	}
	if len(t.rows) > 0 {
		if err := t.print(w, ""); err != nil {
			return err
		}
	}
	printProblems(w, r)
	for i, text := range r.Ledger.Ignored {
		if i == 0 {
			fmt.Fprint(w, "\nin the ledger, and without effect:\n\n")
		}
		fmt.Fprintf(w, "  %s\n", oneLine(text))
	}
	if !r.Holds() {
		_, err := fmt.Fprintf(w, "\n%s; %d of %s hold\n", count(len(r.Problems), "problem"), held, count(len(r.Actions), "action"))
		return err
	}
	_, err := fmt.Fprintf(w, "\neverything holds: %s; give the next one --seen %s\n", count(len(r.Actions), "action"), r.Ledger.Tip)
	return err
}

// printTrust says what was read, and on whose word it stands.
func printTrust(w io.Writer, h *history, r *audit.Report) {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(tw, "repository\t%s\n", spec.Visible(h.where))
	fmt.Fprintf(tw, "branch\t%s\n", r.Revision.Short())
	ledger := "none"
	if r.Ledger.Tip != "" {
		ledger = fmt.Sprintf("%s at %s, %s", "mainstay/ledger", r.Ledger.Tip, plurals(r.Ledger.Entries, "entry", "entries"))
		if !r.Ledger.Holds {
			ledger += " before one that does not hold"
		}
	}
	fmt.Fprintf(tw, "ledger\t%s\n", ledger)
	switch {
	case r.Trust.Given:
		fmt.Fprintf(tw, "approvers\tthose you gave\n")
	case r.Trust.Since != "":
		fmt.Fprintf(tw, "approvers\tthose of mainstay.yaml since %s, the first commit that pins a ledger; compare their keys, or give --approvers\n", r.Trust.Since[:7])
	}
	for _, k := range r.Trust.Approvers {
		fmt.Fprintf(tw, "\t%s\n", spec.Visible(k.Name+" "+k.Key))
	}
	_ = tw.Flush() // What cannot be written shows at the next write.
}

func printProblems(w io.Writer, r *audit.Report) {
	for i, p := range r.Problems {
		if i == 0 {
			fmt.Fprint(w, "\ndoes not hold:\n")
		}
		about := p.File
		if p.Action != "" {
			about = "action " + string(p.Action)
		}
		fmt.Fprintf(w, "\n  %s\n    %s\n    what to do: %s\n", oneLine(about), oneLine(p.What), oneLine(p.Do))
	}
}

// cells makes text of unknown origin fit for a table.
func cells(texts ...string) []string {
	for i, text := range texts {
		texts[i] = dash(firstLine(oneLine(text)))
	}
	return texts
}

func proposedBy(a audit.Action) string {
	if a.Evidence == nil {
		return ""
	}
	return fmt.Sprintf("%s at %s", a.Evidence.Agent, a.Evidence.Revision.Short())
}

// approvedBy names who approved an action, or the rule that let it be executed without a review, and who has signed that.
func approvedBy(a audit.Action) string {
	switch {
	case a.Approval != nil:
		return a.Approval.Approver
	case a.Rule == nil:
		return ""
	case a.Rule.Signer == nil:
		return a.Rule.Name
	}
	return fmt.Sprintf("%s, by %s", a.Rule.Name, a.Rule.Signer.Name)
}

func mergedIn(a audit.Action) string {
	switch {
	case a.Approval != nil:
		return a.Approval.Merge[:7]
	case a.Rule != nil && a.Rule.Commit != "":
		return a.Rule.Commit[:7]
	}
	return ""
}

func executedBy(a audit.Action) string {
	for _, s := range a.Steps {
		if s.Step == spec.StepStarted {
			return fmt.Sprintf("%s %s", s.Executor, s.At.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

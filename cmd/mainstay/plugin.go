package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/plugins/plugintest"
	"github.com/mainstay-dev/mainstay/spec"
)

func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Test what an agent runs on",
		Long:  "An agent runs on a runtime: an executable, in any language, that speaks the protocol of plugins/README.md.",
	}
	cmd.AddCommand(newPluginTest())
	return cmd
}

// pluginReport is what is said of a runtime to machines.
type pluginReport struct {
	Runtime []string            `json:"runtime"`
	OK      bool                `json:"ok"`
	Checks  []plugintest.Result `json:"checks"`
	// Unfinished says why there are not more.
	Unfinished string `json:"unfinished,omitempty"`
}

func newPluginTest() *cobra.Command {
	var output string
	var only []string
	timeout := 5 * time.Minute
	cmd := &cobra.Command{
		Use:   "test PATH [ARGS...]",
		Short: "Run the suite that every runtime passes against an executable",
		Long: "Start PATH with ARGS as an agent's process, play the model and the tools, and say of each rule of the protocol whether\n" +
			"the runtime keeps it. ARGS must make it an agent that asks the model with its task, calls what the model asks for, and\n" +
			"returns the first answer without calls. It is started without walls; the last check, \"walls\", does one run behind\n" +
			"those that this machine has. What stands behind PATH is an argument of the runtime, -o too: give flags before it.\n\n" +
			"Checks:\n" + wrapped(strings.Join(pluginChecks(), ", "), "  ") + "\n" +
			"Exit status: 0 the runtime passes; 1 it does not, or the time was over; 2 the command line makes no sense.",
		Example: "  mainstay plugin test ./mainstay-loop\n  mainstay plugin test --check cancel,replay ./my-runtime --graph demo",
		Args:    arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("unknown output format %q; use text or json", output)}
			}
			if timeout <= 0 {
				return usageError{fmt.Errorf("--timeout %s leaves no time; give one like 5m", timeout)}
			}
			for _, name := range only {
				if !slices.Contains(pluginChecks(), name) {
					return usageError{fmt.Errorf("there is no check %q; the checks are %s", name, strings.Join(pluginChecks(), ", "))}
				}
			}
			report := pluginReport{Runtime: args, Checks: []plugintest.Result{}}
			show := func(r plugintest.Result) {
				report.Checks = append(report.Checks, r)
				if output == "text" {
					printCheck(cmd.OutOrStdout(), r)
				}
			}
			over := fmt.Errorf("the time of --timeout %s was over", timeout)
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, over)
			defer cancel()
			err := testPlugin(ctx, args, only, show)
			if cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			if errors.Is(err, over) {
				report.Unfinished = err.Error()
			} else if err != nil {
				return err
			}
			report.OK = report.Unfinished == "" && !slices.ContainsFunc(report.Checks, func(r plugintest.Result) bool { return !r.OK })
			if output == "json" {
				if err := printItems(cmd.OutOrStdout(), output, report); err != nil {
					return err
				}
			} else if err := report.sum(cmd.OutOrStdout(), len(only)); err != nil {
				return err
			}
			if !report.OK {
				return errSilent
			}
			return nil
		},
	}
	// What follows PATH is the runtime's.
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "the `format`: text or json")
	cmd.Flags().StringSliceVar(&only, "check", nil, "run only the checks of these `names`, and \"start\"")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "the most time that all checks together may take")
	return cmd
}

// checkWalls is the one check that is not the suite's: only the host knows its walls.
const checkWalls = "walls"

func pluginChecks() []string { return append(plugintest.Names(), checkWalls) }

// testPlugin runs the checks and shows each result. It returns the cause of ctx's end, where that came first.
func testPlugin(ctx context.Context, command, only []string, show func(plugintest.Result)) error {
	suites := slices.DeleteFunc(slices.Clone(only), func(name string) bool { return name == checkWalls })
	if len(only) > 0 && len(suites) == 0 {
		suites = plugintest.Names()[:1] // It runs in any case.
	}
	results, err := plugintest.Test(ctx, plugintest.Options{Path: command[0], Args: command[1:], Checks: suites, Report: show})
	if err != nil {
		return err
	}
	if !results[0].OK || len(only) > 0 && !slices.Contains(only, checkWalls) {
		return nil
	}
	r := behindWalls(ctx, command)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	show(r)
	return nil
}

func printCheck(w io.Writer, r plugintest.Result) {
	verdict := "ok    "
	if !r.OK {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "%s  %-14s  %s\n", verdict, r.Check, r.Rule)
	for _, f := range r.Failures {
		fmt.Fprintf(w, "        expected: %s\n        got:      %s\n", indented(f.Expected), indented(f.Got))
	}
	if r.Hint != "" {
		fmt.Fprintf(w, "        do:       %s\n", r.Hint)
	}
}

// indented is a text that a runtime had a part in, for a person to read beside its name.
func indented(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(spec.Visible(text)), "\n", "\n                  ")
}

// sum prints the last line.
func (r pluginReport) sum(w io.Writer, only int) error {
	failed := 0
	for _, c := range r.Checks {
		if !c.OK {
			failed++
		}
	}
	all := len(pluginChecks())
	text := fmt.Sprintf("checks: %d ok, %d failed", len(r.Checks)-failed, failed)
	if missing := all - len(r.Checks); only == 0 && missing > 0 {
		text += fmt.Sprintf(", %d not run", missing)
	}
	switch {
	case r.Unfinished != "":
		text += ": " + r.Unfinished
	case only == 0 && len(r.Checks) == 1 && failed == 1:
		text += ": what does not start cannot be tested"
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

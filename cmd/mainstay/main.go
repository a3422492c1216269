// Command mainstay is GitOps for AI agents: what runs is what is on the branch, and what an agent wants to change comes
// back as a pull request.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/plugins/loop"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

func main() {
	// As a plugin, this executable is an agent and nothing else: no flags, no files, no environment.
	if len(os.Args) == 2 && os.Args[1] == runtimeArg {
		loop.Serve()
		return
	}
	// As what evaluates Jsonnet, neither; it puts limits on its own process.
	if len(os.Args) == 2 && os.Args[1] == pdfArg {
		os.Exit(readPDF())
	}
	if len(os.Args) == 2 && os.Args[1] == renderArg {
		os.Exit(renderManifests())
	}
	if len(os.Args) == 2 && os.Args[1] == jsonnetArg {
		os.Exit(serveJsonnet())
	}
	os.Exit(runProcess(environment{}))
}

// runProcess runs the program on this process's arguments, files and signals.
func runProcess(env environment) int {
	// Go's HTTP client quotes there what a server sends out of turn, which may be anything, a secret too.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal drains. The second one ends the process as signals do by default.
	context.AfterFunc(ctx, stop)
	return run(ctx, env, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// runtimeArg makes the executable serve as the reference runtime where no mainstay-loop stands beside it.
const runtimeArg = "__runtime-loop"

// pdfArg makes the executable read the PDF file that it is given on its standard input.
const pdfArg = "__pdf"

// renderArg makes the executable render the charts and kustomizations that it is given on its standard input.
const renderArg = "__render"

// jsonnetArg makes the executable evaluate the programs that it is given on its standard input.
const jsonnetArg = "__jsonnet"

func serveJsonnet() int {
	if err := jsonnet.ServeChild(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "mainstay: evaluate Jsonnet: %v\n", err)
		return exitFailed
	}
	return 0
}

// environment is what differs between the real program and its tests.
type environment struct {
	// barrier is called before and after every durable write; tests end the process there. Nil for users.
	barrier func(point string)
	// now is the clock. Nil for users: it is time.Now.
	now func() time.Time
	// after is how the reconciler waits. Nil for users: it is time.After.
	after func(time.Duration) <-chan time.Time
}

func (e environment) clock() func() time.Time {
	if e.now == nil {
		return time.Now
	}
	return e.now
}

func (e environment) waiting() func(time.Duration) <-chan time.Time {
	if e.after == nil {
		return time.After
	}
	return e.after
}

// run is the whole program but for the process around it. It returns the exit code.
func run(ctx context.Context, env environment, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && asksForExitCode(args) && !errors.Is(err, errChanges) {
		err = failure{err}
	}
	return report(ctx, err, stderr)
}

// report tells a person why a command failed, and returns the exit code.
func report(ctx context.Context, err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, errSilent), errors.Is(err, errChanges):
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "mainstay: interrupted")
		return exitFailed // Not unreachable: what was read or written stopped because it was told to.
	default:
		// An error may quote what a document, a server or the name of a file says.
		fmt.Fprintf(stderr, "mainstay: %s%s\n", spec.Visible(err.Error()), hint(err))
	}
	return exitCode(err)
}

// hint says what to do about errors of git and ssh that do not say it themselves.
func hint(err error) string {
	text := err.Error()
	for _, h := range []struct{ sign, advice string }{
		{"dubious ownership", "the folder belongs to somebody else; if you trust it: git config --global --add safe.directory FOLDER"},
		{"SSH_AUTH_SOCK", "no ssh-agent runs, and there is no key without a passphrase in ~/.ssh: start one and ssh-add your key, or make such a key"},
		{"unable to authenticate", "the server takes none of your keys: ssh-add the right one, or give the server your public key"},
	} {
		if strings.Contains(text, h.sign) {
			return "\n  " + h.advice
		}
	}
	return ""
}

// The exit codes. 0 is success; scripts may rely on the others. With --exit-code they are those of `terraform plan
// -detailed-exitcode`: every error is exitFailed, a wrong command line too, since exitChanges is no error.
const (
	exitFailed      = 1 // a resource failed, a check found problems
	exitUsage       = 2 // the command line is wrong
	exitChanges     = 2 // with --exit-code: something would change
	exitUnreachable = 3 // Git could not be reached
)

// errSilent ends a command whose output has said already what is wrong.
var errSilent = errors.New("failed")

// errChanges ends a command that was asked to tell by its exit code that something would change.
var errChanges = errors.New("something would change")

// failure is an error that is nothing more than that to whoever looks at the exit code.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// asksForExitCode reports whether the command line asks for --exit-code. It is asked of the words themselves, for they may
// not be a command line that can be understood.
func asksForExitCode(args []string) bool {
	return slices.Contains(args, "--exit-code") || slices.Contains(args, "--exit-code=true")
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	var failed failure
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.As(err, &failed):
		return exitFailed
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, remote.ErrUnreachable):
		return exitUnreachable
	default:
		return exitFailed
	}
}

func newRoot(env environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "mainstay",
		Short: "GitOps for AI agents",
		Long: "Mainstay runs the AI agents that a Git branch declares. What an agent wants to change comes back as a pull\n" +
			"request; merging it is the approval, and Mainstay then executes it once and leaves a signed receipt in Git.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          chooseCommand,
		// Nothing that this program starts may read its memory or environment.
		PersistentPreRunE: func(*cobra.Command, []string) error { return host.Harden() },
	}
	root.SetHelpFunc(writeHelp)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newDemo(env), newInit(), newRun(env), newValidate(), newFmt(), newBuild(env), newLock(env), newPlan(env), newExplain(), newSchema(), newAsk(env), newChat(env), newThreads(), newRuns(env), newGet(), newCost(env), newKB(env), newDescribe(), newLogs(),
		newSuspend(env), newResume(env),
		newProposals(env), newActions(env), newRollback(env), newLedger(env), newVerify(env), newModels(env), newDoctor(env), newPlugin(), newVersion(),
	)
	for _, group := range root.Commands() {
		if group.HasSubCommands() && !group.Runnable() {
			group.Args, group.RunE = cobra.ArbitraryArgs, chooseCommand
		}
	}
	return root
}

// chooseCommand is what a command does that only holds others.
func chooseCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := "see " + cmd.CommandPath() + " --help"
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return usageError{fmt.Errorf("unknown command %q; %s", strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), "mainstay")+" "+args[0]), hint)}
}

// arguments checks the number of arguments and makes a wrong one a usage error.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}

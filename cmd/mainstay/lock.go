package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

func newLock(env environment) *cobra.Command {
	var (
		overlay, output string
		check           bool
	)
	cmd := &cobra.Command{
		Use:   "lock [DIR] [KIND/NAME...]",
		Short: "Pin what lies outside of the repository: what tools say of themselves, models, runtimes",
		Long: "Start every tool server that the files of DIR (default: this folder) declare, ask what it says of its tools, ask for the\n" +
			"digests of models, read the runtimes that do not come with Mainstay, and write all that to mainstay.lock. What has changed\n" +
			"since is printed word by word: read it before you commit it, because what a tool says of itself is what models are told.\n" +
			"From then on what is something else is refused.\n\n" +
			"With names such as ToolServer/cluster only those are asked. With --env the overlay is applied and its own lock written,\n" +
			"overlays/ENV/mainstay.lock, for an environment whose tools or models are others.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return usageError{fmt.Errorf("unknown output %q; known is json", output)}
			}
			dir, wanted := ".", args
			if len(args) > 0 && !isLocked(args[0]) {
				dir, wanted = args[0], args[1:]
			}
			job, err := readLocking(cmd.Context(), dir, overlay, wanted)
			if err != nil {
				return err
			}
			made, err := job.make(cmd.Context(), env, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if output == "json" {
				return made.printJSON(cmd.OutOrStdout(), check)
			}
			return made.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), check)
		},
	}
	addEnvFlag(cmd, &overlay)
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 if the lock is not what would be written, for CI")
	cmd.Flags().StringVarP(&output, "output", "o", "", "the `form` of the changes: json")
	return cmd
}

// isLocked reports whether an argument names a resource that a lock pins.
func isLocked(arg string) bool {
	kind, _, ok := strings.Cut(arg, "/")
	return ok && (slices.Contains([]spec.Kind{spec.KindToolServer, spec.KindModel, spec.KindRuntime}, spec.Kind(kind))) && !isDir(arg)
}

// locking is a lock file, and what it is a lock of.
type locking struct {
	dir string
	// file is the lock, from dir; raw is what it holds, and nil where it is not there.
	file   string
	raw    []byte
	old    *spec.Lock
	broken error // why old could not be read
	fleet  *spec.Fleet
	wanted []string
}

// readLocking loads what is declared, and the lock that there is.
func readLocking(ctx context.Context, dir, env string, wanted []string) (*locking, error) {
	fleet, problems, err := loadDir(ctx, dir, spec.LoadOptions{Env: env, IgnoreLock: true})
	if err := errors.Join(err, problems.Err()); err != nil {
		return nil, err
	}
	j := &locking{dir: dir, file: spec.LockFile, fleet: fleet, wanted: wanted}
	if env != "" {
		j.file = path.Join("overlays", env, spec.LockFile)
	}
	var known []string
	for _, r := range fleet.Resources {
		if r.Kind == spec.KindToolServer || r.Kind == spec.KindModel && fleet.Models[r.Name].Pinned() {
			known = append(known, r.Ref.String())
		}
	}
	for _, a := range fleet.Agents {
		if ref := (spec.Ref{Kind: spec.KindRuntime, Name: a.Runtime}).String(); a.Runtime != spec.DefaultRuntime && !slices.Contains(known, ref) {
			known = append(known, ref)
		}
	}
	slices.Sort(known)
	for _, want := range wanted {
		if !slices.Contains(known, want) {
			return nil, usageError{fmt.Errorf("there is no %q to lock; there are: %s", want, dash(strings.Join(known, ", ")))}
		}
	}
	if j.raw, err = os.ReadFile(j.path()); errors.Is(err, fs.ErrNotExist) {
		return j, nil
	} else if err != nil {
		return nil, err
	}
	old, problems := spec.ParseLock(j.file, j.raw)
	j.old, j.broken = old, problems.Err()
	if len(wanted) > 0 && j.broken != nil {
		return nil, fmt.Errorf("%w\n  to write it anew, name no resources", j.broken)
	}
	return j, nil
}

func (j *locking) path() string { return filepath.Join(j.dir, filepath.FromSlash(j.file)) }

// madeLock is what the lock should be.
type madeLock struct {
	*locking
	lock    *spec.Lock
	changes []spec.LockChange
	errs    []error
}

// make asks what is to be pinned.
func (j *locking) make(ctx context.Context, env environment, stderr io.Writer) (_ *madeLock, err error) {
	dir, err := os.MkdirTemp("", "mainstay-lock-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	secrets := secret.New(secret.Options{Env: os.LookupEnv, Tree: func() (fs.FS, error) { return os.DirFS(j.dir), nil }, Now: env.clock()})
	hide := broker.NewRedactor(secrets.Known).Text
	tools := tool.New(tool.Options{Dir: dir, Self: self, Env: os.LookupEnv, Secret: secrets.Resolve, Hide: hide, Now: env.clock()})
	defer tools.Close()
	l := broker.Locking{Fleet: j.fleet, Old: j.old, Tools: tools, Models: model.Providers{Secret: secrets.Resolve, Hide: hide}, Platform: host.Platform,
		Runtime: func(name string) (spec.Digest, error) {
			found, err := runtimes(self)(name)
			if err != nil {
				return "", err
			}
			return host.Checksum(found.Path)
		}}
	if len(j.wanted) > 0 {
		l.Wanted = func(ref spec.Ref) bool { return slices.Contains(j.wanted, ref.String()) }
	}
	m := &madeLock{locking: j}
	var left []spec.Ref
	m.lock, left, m.errs = broker.MakeLock(ctx, l)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, ref := range left {
		fmt.Fprintf(stderr, "note: %s is left out: this version does not ask servers at a URL yet\n", ref)
	}
	if j.broken != nil {
		if len(m.errs) > 0 {
			return nil, errors.Join(append([]error{j.broken}, m.errs...)...)
		}
		fmt.Fprintf(stderr, "note: the old lock is no good, and everything in it is asked anew: %v\n", j.broken)
	}
	m.changes = j.old.Changes(m.lock)
	return m, nil
}

// content is what the file should hold; nil where there should be none.
func (m *madeLock) content() []byte {
	if m.raw == nil && m.lock.Empty() {
		return nil
	}
	return m.lock.Format()
}

// upToDate reports whether the file is what it should be.
func (m *madeLock) upToDate() bool { return string(m.content()) == string(m.raw) }

// reformed reports whether the file pins what it should, and is only written in another form: it was edited, or merged by
// hand, or comes from another version.
func (m *madeLock) reformed() bool { return m.old != nil && len(m.changes) == 0 && !m.upToDate() }

// settle writes the file, or checks it, and returns why the command fails.
func (m *madeLock) settle(check bool) error {
	errs := m.errs
	command := spec.LockCommand(m.file)
	switch {
	case m.upToDate():
	case check && m.raw == nil:
		errs = append(errs, fmt.Errorf("there is no %s: run `%s`, and commit what it writes", m.file, command))
	case check && m.reformed():
		errs = append(errs, fmt.Errorf("%s is out of date: it pins what it should, and only its form differs; run `%s`, and commit what it writes", m.file, command))
	case check:
		errs = append(errs, fmt.Errorf("%s is out of date: read the changes, run `%s`, and commit what it writes", m.file, command))
	default:
		if _, problems := spec.ParseLock(m.file, m.content()); problems.HasErrors() {
			errs = append(errs, fmt.Errorf("%s is not written, since it could not be read: %w", m.file, problems.Err()))
		} else if err := replaceFile(m.path(), m.content()); err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", m.file, err))
		}
	}
	if len(m.errs) > 0 {
		errs = append(errs, errors.New("what could not be asked keeps the pins that it had"))
	}
	return errors.Join(errs...)
}

// print tells a person what has changed.
func (m *madeLock) print(stdout, stderr io.Writer, check bool) error {
	signs := map[string]string{spec.LockAdded: "+", spec.LockRemoved: "-", spec.LockChanged: "~"}
	for _, c := range m.changes {
		fmt.Fprintln(stdout, signs[c.Change], spec.Escaped(c.Resource.String()), c)
	}
	upToDate, reformed := m.upToDate(), m.reformed()
	if err := m.settle(check); err != nil {
		return err
	}
	switch {
	case m.content() == nil:
		fmt.Fprintln(stdout, "there is nothing to lock: no tool server, no model that has a digest, and no runtime of your own")
	case upToDate:
		fmt.Fprintf(stdout, "%s: up to date\n", m.file)
	case reformed:
		fmt.Fprintf(stdout, "%s: written; only its form differs from before, and not what it pins; commit it\n", m.file)
	default:
		fmt.Fprintf(stdout, "%s: written, with %s; commit it\n", m.file, changes(len(m.changes)))
	}
	return nil
}

func changes(n int) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}

// printJSON tells a program.
func (m *madeLock) printJSON(w io.Writer, check bool) error {
	told := struct {
		File     string            `json:"file"`
		UpToDate bool              `json:"upToDate"`
		Written  bool              `json:"written"`
		Changes  []spec.LockChange `json:"changes"`
		Errors   []string          `json:"errors,omitempty"`
	}{File: m.file, UpToDate: m.upToDate(), Written: !check && !m.upToDate(), Changes: m.changes}
	if told.Changes == nil {
		told.Changes = []spec.LockChange{}
	}
	for _, err := range m.errs {
		told.Errors = append(told.Errors, err.Error())
	}
	failed := m.settle(check)
	b, err := encodeJSON(told)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, spec.EscapedJSON(string(b))); err != nil {
		return err
	}
	return failed
}

// replaceFile writes a file so that it is either the old one or the new one, whatever happens.
func replaceFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // It is gone where it was renamed.
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/format"
)

func newFmt() *cobra.Command {
	var f formatting
	cmd := &cobra.Command{
		Use:   "fmt [PATH...]",
		Short: "Format the files of a spec repository, and keep every comment",
		Long: "Write the resources at each PATH, a folder or a file (default: this folder), in canonical form, and print the names of\n" +
			"the files that changed. Comments, blank lines, quotes and texts stay as they are, and so does every digest. A file that\n" +
			"cannot be read, or would say something else, is left as it is and reported. Actions, skills and whatever is no resource\n" +
			"are never touched. With the PATH - standard input is formatted to standard output, as editors want it.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			child, err := jsonnetChild()
			if err != nil {
				return err
			}
			f.formatter.Jsonnet, f.out, f.problems = child, cmd.OutOrStdout(), cmd.ErrOrStderr()
			switch {
			case slices.Equal(args, []string{"-"}):
				return f.stdin(cmd.Context(), cmd.InOrStdin())
			case slices.Contains(args, "-"):
				return usageError{errors.New("- is standard input: give it alone")}
			case cmd.Flags().Changed("stdin-name"):
				return usageError{errors.New("--stdin-name is for standard input: give the PATH -")}
			case len(args) == 0:
				args = []string{"."}
			}
			return f.paths(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "write nothing, and exit with 1 if a file is not formatted")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "write nothing, and print what would change")
	cmd.Flags().StringVar(&f.stdinName, "stdin-name", "stdin.yaml", "the `file` whose text standard input is; its extension says how it is written")
	return cmd
}

// rootFile is the file that makes a folder the root of a spec repository.
var rootFile = spec.FileOf(spec.Ref{Kind: spec.KindFleet})

// formatting is one call of the command.
type formatting struct {
	check, diff bool
	stdinName   string
	formatter   format.Formatter
	// out gets the names or differences, problems what is wrong.
	out, problems io.Writer
	// differ and failed say that a file is not formatted, and that one cannot be.
	differ, failed bool
}

// result is what the command says in the end.
func (f *formatting) result() error {
	if f.failed || f.check && f.differ {
		return errSilent
	}
	return nil
}

func (f *formatting) fail(shown string, problems spec.Problems) {
	f.failed = true
	for _, p := range problems {
		p.File = shown
		fmt.Fprintln(f.problems, p)
	}
}

// report prints what is different in a file.
func (f *formatting) report(shown string, before, after []byte) error {
	f.differ = true
	if !f.diff {
		_, err := fmt.Fprintln(f.out, spec.Visible(shown))
		return err
	}
	text, err := proposal.Diff([]spec.FileEdit{{Path: filepath.ToSlash(shown), Content: string(after)}},
		func(string) (string, bool, error) { return string(before), true, nil })
	if err == nil {
		_, err = io.WriteString(f.out, text)
	}
	return err
}

func (f *formatting) stdin(ctx context.Context, in io.Reader) error {
	if !format.Known(f.stdinName) {
		return usageError{fmt.Errorf("--stdin-name %s: its extension is none that resources have", f.stdinName)}
	}
	before, err := reading(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, spec.MaxFile+1)) })
	if err != nil {
		return err
	}
	after, problems, err := f.formatter.File(ctx, filepath.ToSlash(f.stdinName), before)
	switch {
	case err != nil:
		return err
	case problems != nil:
		f.fail(f.stdinName, problems)
	case !f.check && !f.diff:
		if _, err := f.out.Write(after); err != nil {
			return err
		}
	case string(after) != string(before):
		if err := f.report(f.stdinName, before, after); err != nil {
			return err
		}
	}
	return f.result()
}

func (f *formatting) paths(ctx context.Context, args []string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	wanted := map[string][]string{} // the files of each root
	for _, arg := range args {
		root, names, err := resources(arg)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			fmt.Fprintf(f.problems, "note: %s holds no resource\n", arg)
		}
		wanted[root] = append(wanted[root], names...)
	}
	for _, root := range slices.Sorted(maps.Keys(wanted)) {
		slices.Sort(wanted[root])
		if err := f.root(ctx, here, root, slices.Compact(wanted[root])); err != nil {
			return err
		}
	}
	return f.result()
}

// resources returns the root of the spec repository that a path is in, and the files at the path that are formatted.
func resources(arg string) (dir string, names []string, err error) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("no file or folder %s", arg)
	} else if err != nil {
		return "", nil, err
	}
	dir = abs
	if !info.IsDir() {
		dir = filepath.Dir(abs)
	}
	dir, ok := folderWith(dir, rootFile)
	if !ok {
		return "", nil, fmt.Errorf("%s is in no spec repository: there is no %s in its folder or above", arg, rootFile)
	}
	within, err := filepath.Rel(dir, abs)
	if err != nil {
		return "", nil, err
	}
	within = filepath.ToSlash(within)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	if !info.IsDir() {
		if err := format.Check(root.FS(), within); err != nil {
			return "", nil, usageError{fmt.Errorf("cannot format %s: %w", arg, err)}
		}
		return dir, []string{within}, nil
	}
	names, err = format.Files(root.FS())
	if within != "." {
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, within+"/") })
	}
	return dir, names, err
}

// root formats files of one spec repository.
func (f *formatting) root(ctx context.Context, here, dir string, names []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	shown := func(name string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return path
	}
	before, after := map[string][]byte{}, map[string][]byte{}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		raw, err := readAtMost(root, name)
		if err != nil {
			return err
		}
		out, problems, err := f.formatter.File(ctx, name, raw)
		switch {
		case err != nil:
			return err
		case problems != nil:
			f.fail(shown(name), problems)
		case string(out) != string(raw):
			before[name], after[name] = raw, out
		}
	}
	if err := f.programs(ctx, root, after, shown); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if !f.check && !f.diff {
			if err := rewrite(root, name, after[name]); err != nil {
				return fmt.Errorf("write %s: %w", shown(name), err)
			}
		}
		if err := f.report(shown(name), before[name], after[name]); err != nil {
			return err
		}
	}
	return nil
}

// programs takes the Jsonnet files, and what they can import, out of those that are formatted if a program would evaluate
// to something else.
func (f *formatting) programs(ctx context.Context, root *os.Root, after map[string][]byte, shown func(string) string) error {
	importable := func(name string) bool { return strings.HasSuffix(name, "sonnet") || strings.HasSuffix(name, ".json") }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(after)), importable) {
		return nil
	}
	names, err := format.Files(root.FS())
	if err != nil {
		return err
	}
	was, is := map[string]string{}, map[string]string{}
	for _, name := range names {
		if !importable(name) {
			continue
		}
		raw, err := readAtMost(root, name)
		if err != nil {
			return err
		}
		was[name], is[name] = string(raw), string(raw)
		if out, ok := after[name]; ok {
			is[name] = string(out)
		}
	}
	problems, err := f.formatter.Programs(ctx, was, is)
	for _, p := range problems {
		f.fail(shown(p.File), spec.Problems{p})
	}
	if len(problems) > 0 {
		maps.DeleteFunc(after, func(name string, _ []byte) bool { return importable(name) })
	}
	return err
}

// readAtMost reads a file, and at most one byte more than is read of a resource.
func readAtMost(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, spec.MaxFile+1))
}

// rewrite replaces the content of a file at once, and keeps its permissions. Who reads it meanwhile sees the old content or
// the new one.
func rewrite(root *os.Root, name string, content []byte) (err error) {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file any more")
	}
	// The name is hidden, so that nobody takes the file for a resource.
	temporary := filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d", filepath.Base(name), os.Getpid()))
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temporary))
		}
	}()
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(info.Mode().Perm()), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return root.Rename(temporary, name)
}

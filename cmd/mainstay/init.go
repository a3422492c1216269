package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/schemas"
	"github.com/mainstay-dev/mainstay/spec"
)

// scaffold is a spec repository in its folder repository, and the models that it can have.
//
//go:embed all:scaffold
var scaffold embed.FS

// The placeholders in the files of the scaffold.
const (
	placeVersion = "MAINSTAY_VERSION"
	placeModel   = "MODEL_NAME"
)

func newInit() *cobra.Command {
	model := spec.ProviderOllama + ":qwen3:4b"
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a new spec repository that is useful at once",
		Long: "Write a spec repository into DIR (default: this folder): an agent that answers questions about the repository and\n" +
			"proposes fixes to its documents, a persona, a skill, a policy, a model, and a workflow that checks pull requests.\n" +
			"Where there is no Git repository one is made. Nothing is committed, and no file is ever overwritten: a\n" +
			"README.md and the like stay as they are, and with any other file of the same name nothing is written.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if dir == "" {
				return usageError{errors.New("the folder has no name; leave it out for this folder")}
			}
			i := initialising{cmd: cmd, dir: dir}
			return i.run(model)
		},
	}
	cmd.Flags().StringVar(&model, "model", model, "the `model` of the agent: ollama:NAME, or scripted, which needs nothing")
	return cmd
}

type initialising struct {
	cmd *cobra.Command
	dir string
}

func (i *initialising) say(format string, args ...any) {
	fmt.Fprintf(i.cmd.OutOrStdout(), format+"\n", args...)
}

func (i *initialising) run(model string) error {
	abs, err := filepath.Abs(i.dir)
	if err != nil {
		return err
	}
	files, pull, err := scaffoldFiles(model)
	if err != nil {
		return err
	}
	repository, inside := folderWith(abs, ".git")
	where := wholeRepository
	if inside && repository != abs {
		if where, err = partOf(repository, abs); err != nil {
			return err
		}
		makePartial(files, where)
	}
	attributes := files[".gitattributes"]
	conflicts, kept, err := takeOutWhatIsThere(abs, files)
	if err != nil {
		return err
	}
	if len(conflicts) > 0 {
		fmt.Fprintf(i.cmd.ErrOrStderr(), "mainstay: nothing was written, because these are there already; move them away, or choose another folder:\n")
		for _, name := range conflicts {
			fmt.Fprintf(i.cmd.ErrOrStderr(), "  %s\n", spec.Visible(filepath.Join(i.dir, filepath.FromSlash(name))))
		}
		return errSilent
	}
	if err := writeNew(abs, files); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		i.say("%s", filepath.Join(i.dir, filepath.FromSlash(name)))
	}
	for _, name := range kept {
		i.say("%s stays as it is", filepath.Join(i.dir, filepath.FromSlash(name)))
	}
	if slices.Contains(kept, ".gitattributes") {
		i.say("\nAdd this to %s, or digests differ between systems:\n\n%s\n", filepath.Join(i.dir, ".gitattributes"), bytes.TrimSpace(attributes))
	}
	if len(files) == 0 && len(kept) == 0 {
		i.say("nothing to write: all of it is there")
	}
	if !inside {
		if _, err := git.PlainInitWithOptions(abs, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: plumbing.Main}}); err != nil {
			return fmt.Errorf("make a Git repository in %s: %w", i.dir, err)
		}
		i.say("made a Git repository with the branch main, and no commit yet")
	}
	if where != wholeRepository {
		i.say("left out the workflow and the editor's settings: they belong to the root of the repository, %s", repository)
	}
	i.next(where, pull)
	return nil
}

// next says what to do now.
func (i *initialising) next(where, pull string) {
	p := program()
	i.say("\nNext:")
	if i.dir != "." {
		i.say("  cd %s", quoted(i.dir))
	}
	i.say("  %s validate", p)
	i.say(`  git add -A . && git commit -m "Declare the first agent"`)
	if pull != "" {
		i.say("  ollama pull %s", quoted(pull))
	}
	i.say(`  %s ask guide "What is in this repository?" %s`, p, where)
}

// wholeRepository are the flags for a spec repository that is the Git repository in the current folder.
const wholeRepository = "--repo ."

// partOf returns the flags for a spec repository in a folder of a Git repository, from that folder.
func partOf(repository, dir string) (string, error) {
	within, err := filepath.Rel(repository, dir)
	if err != nil {
		return "", err
	}
	up, err := filepath.Rel(dir, repository)
	return fmt.Sprintf("--repo %s --path %s", quoted(filepath.ToSlash(up)), quoted(filepath.ToSlash(within))), err
}

// makePartial takes out what GitHub and VS Code look for at the root of a Git repository alone.
func makePartial(files map[string][]byte, where string) {
	atRoot := func(name string) bool {
		return strings.HasPrefix(name, ".github/") || strings.HasPrefix(name, ".vscode/")
	}
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return atRoot(name) })
	var readme strings.Builder
	for l := range strings.Lines(string(files["README.md"])) {
		if !atRoot(strings.TrimPrefix(l, "| `")) {
			readme.WriteString(strings.ReplaceAll(l, wholeRepository, where))
		}
	}
	files["README.md"] = []byte(readme.String())
}

// scaffoldFiles returns the files of a new repository, and the model that Ollama must have pulled, if it is one of Ollama's.
func scaffoldFiles(model string) (files map[string][]byte, pull string, err error) {
	source := "scaffold/models/" + spec.ProviderScripted + ".yaml"
	if model != spec.ProviderScripted {
		if pull, err = ollamaName(model); err != nil {
			return nil, "", usageError{fmt.Errorf("%w, or scripted", err)}
		}
		source = "scaffold/models/" + spec.ProviderOllama + ".yaml"
	}
	raw, err := scaffold.ReadFile(source)
	if err != nil {
		return nil, "", err
	}
	schema, ok := schemas.JSON(schemas.All)
	if !ok {
		return nil, "", errors.New("this build has no schemas")
	}
	files = map[string][]byte{
		"models/default.yaml":          bytes.ReplaceAll(raw, []byte(placeModel), []byte(fmt.Sprintf("%q", pull))),
		".vscode/mainstay.schema.json": schema,
	}
	const root = "scaffold/repository"
	err = fs.WalkDir(scaffold, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := scaffold.ReadFile(name)
		files[strings.TrimPrefix(name, root+"/")] = bytes.ReplaceAll(raw, []byte(placeVersion), []byte(installable(version())))
		return err
	})
	return files, pull, err
}

// installable is the version by which the Go tool finds this build, or else the newest one.
func installable(version string) string {
	if strings.HasPrefix(version, "v") && !strings.Contains(version, "+dirty") {
		return version
	}
	return "latest"
}

// folderWith returns the nearest folder that holds an entry of a name: dir, or one above it.
func folderWith(dir, name string) (string, bool) {
	for {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return dir, true
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", false
		}
		dir = above
	}
}

// optional are the files that most repositories have, and that a spec repository can do without.
var optional = []string{".gitattributes", ".vscode/settings.json", "README.md"}

// takeOutWhatIsThere takes the files out that are there with the same content or are optional, and returns the names of
// those that are not the same and those that are kept, sorted.
func takeOutWhatIsThere(dir string, files map[string][]byte) (conflicts, kept []string, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode().IsRegular() && info.Size() == int64(len(files[name])) {
			if raw, err := root.ReadFile(name); err == nil && bytes.Equal(raw, files[name]) {
				delete(files, name)
				continue
			}
		}
		if err == nil && info.Mode().IsRegular() && slices.Contains(optional, name) {
			kept = append(kept, name)
			delete(files, name)
			continue
		}
		conflicts = append(conflicts, name) // A folder on the way may be a file, too.
	}
	return conflicts, kept, nil
}

// writeNew writes files that are not there.
func writeNew(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = file.Write(files[name])
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

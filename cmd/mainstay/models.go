package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

func newModels(env environment) *cobra.Command {
	cmd := &cobra.Command{Use: "models", Short: "Look at the models that a folder declares, and have their Ollama server get them"}
	cmd.AddCommand(newModelsList(env), newModelsPull(env), newModelsCheck(env))
	return cmd
}

// declaredModels are the models of a folder.
type declaredModels struct {
	fleet     *spec.Fleet
	providers model.Providers
	files     fs.FS
	wanted    []*spec.Model
	other     []*spec.Model // of other providers than ollama, or not wanted
}

// openModels loads DIR [NAME...].
func openModels(ctx context.Context, env environment, overlay string, args []string) (*declaredModels, error) {
	dir, names := ".", args
	if len(args) > 0 && isDir(args[0]) {
		dir, names = args[0], args[1:]
	}
	fleet, problems, err := loadDir(ctx, dir, spec.LoadOptions{Env: overlay})
	if err := errors.Join(err, problems.Err()); err != nil {
		return nil, err
	}
	d := &declaredModels{fleet: fleet, providers: localProviders(env, dir), files: os.DirFS(dir)}
	for _, name := range names {
		if fleet.Models[name] == nil {
			return nil, usageError{fmt.Errorf("there is no model %q in %s; there are: %s", name, dir, dash(strings.Join(slices.Sorted(maps.Keys(fleet.Models)), ", ")))}
		}
		if p := fleet.Models[name].Spec.Provider; p != spec.ProviderOllama {
			return nil, usageError{fmt.Errorf("model %s is of provider %s; only models of provider %s are pulled and checked", name, p, spec.ProviderOllama)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fleet.Models)) {
		if m := fleet.Models[name]; m.Spec.Provider == spec.ProviderOllama && (len(names) == 0 || slices.Contains(names, name)) {
			d.wanted = append(d.wanted, m)
		} else {
			d.other = append(d.other, m)
		}
	}
	return d, nil
}

// localProviders ask the servers of models that a folder declares.
func localProviders(env environment, dir string) model.Providers {
	secrets := secret.New(secret.Options{Env: os.LookupEnv, Tree: func() (fs.FS, error) { return os.DirFS(dir), nil }, Now: env.clock()})
	return model.Providers{Secret: secrets.Resolve, Hide: broker.NewRedactor(secrets.Known).Text}
}

// modelRow is a model as `models list` shows it to programs.
type modelRow struct {
	Name     string      `json:"name"`
	Provider string      `json:"provider"`
	Model    string      `json:"model,omitempty"`
	State    string      `json:"state,omitempty"`
	Message  string      `json:"message,omitempty"`
	Digest   spec.Digest `json:"digest,omitempty"`
}

func newModelsList(env environment) *cobra.Command {
	var overlay, output string
	cmd := &cobra.Command{
		Use:   "list [DIR] [NAME...]",
		Short: "List the models that the files of DIR (default: this folder) declare, and what their servers have",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openModels(cmd.Context(), env, overlay, args)
			if err != nil {
				return err
			}
			rows := []modelRow{}
			for _, m := range d.wanted {
				s := models.Check(cmd.Context(), d.providers, m, d.files, d.fleet)
				rows = append(rows, modelRow{Name: m.Name, Provider: m.Spec.Provider, Model: m.Spec.Name, State: s.Reason, Message: s.Message, Digest: s.Digest})
			}
			if len(d.wanted) == 0 || len(args) == 0 || len(args) == 1 && isDir(args[0]) {
				for _, m := range d.other {
					rows = append(rows, modelRow{Name: m.Name, Provider: m.Spec.Provider, Model: m.Spec.Name})
				}
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			slices.SortFunc(rows, func(a, b modelRow) int { return cmp.Compare(a.Name, b.Name) })
			t := table{header: []string{"NAME", "PROVIDER", "MODEL", "STATE", "DIGEST", "MESSAGE"}, items: rows}
			for _, r := range rows {
				t.rows = append(t.rows, []string{r.Name, r.Provider, dash(spec.Visible(r.Model)), dash(r.State), dash(r.Digest.Short()), firstLine(spec.Visible(r.Message))})
			}
			return t.print(cmd.OutOrStdout(), output)
		},
	}
	addEnvFlag(cmd, &overlay)
	addOutputFlag(cmd, &output)
	return cmd
}

func newModelsPull(env environment) *cobra.Command {
	var overlay string
	cmd := &cobra.Command{
		Use:   "pull [DIR] [NAME...]",
		Short: "Have the Ollama servers pull or create the models that the files of DIR (default: this folder) declare",
		Long: "Have the Ollama servers pull or create the models that the files of DIR (default: this folder) declare and that are not\n" +
			"there, or those with the names. `mainstay run` does the same for models that have a source. Nothing that is there is\n" +
			"replaced, but for a model with pull: always.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openModels(cmd.Context(), env, overlay, args)
			if err != nil {
				return err
			}
			return d.each(cmd, func(m *spec.Model, tell func(models.State)) models.State {
				if m.Spec.Source == nil || m.Spec.Source.Pull == "never" { // Who calls this wants it.
					asked := *m
					asked.Spec.Source = &spec.ModelSource{Pull: "missing"}
					if s := m.Spec.Source; s != nil {
						asked.Spec.Source.Digest = s.Digest
					}
					m = &asked
				}
				return models.Ensure(cmd.Context(), d.providers, m, d.files, d.fleet, tell)
			})
		},
	}
	addEnvFlag(cmd, &overlay)
	return cmd
}

func newModelsCheck(env environment) *cobra.Command {
	var overlay string
	cmd := &cobra.Command{
		Use:   "check [DIR] [NAME...]",
		Short: "Check that models are there, are what is declared, and fit into the memory of their servers",
		Long: "Check that the models that the files of DIR (default: this folder) declare are on their Ollama servers and are what is\n" +
			"declared: their digest, that they call tools where agents have some, and that they read as much as is asked of them. Each is\n" +
			"then loaded, which may push others out of the server's memory. Exit 1 if one is not as it should be.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openModels(cmd.Context(), env, overlay, args)
			if err != nil {
				return err
			}
			return d.each(cmd, func(m *spec.Model, tell func(models.State)) models.State {
				s := models.Check(cmd.Context(), d.providers, m, d.files, d.fleet)
				if s.Reason != models.Present {
					return s
				}
				tell(models.State{Reason: models.Checking, Message: "it is being loaded"})
				return models.Loaded(cmd.Context(), d.providers, m, s)
			})
		},
	}
	addEnvFlag(cmd, &overlay)
	return cmd
}

// each does something with each model that is wanted, one after the other, and prints what came of it.
func (d *declaredModels) each(cmd *cobra.Command, do func(m *spec.Model, tell func(models.State)) models.State) error {
	if len(d.wanted) == 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "no model of provider %s is declared\n", spec.ProviderOllama)
		return err
	}
	var failed bool
	for _, m := range d.wanted {
		p := newProgress(cmd, m.Name)
		s := do(m, func(s models.State) { p.tell(s.Reason, s.Message, s.Percent, s.Reason == models.Checking) })
		p.end()
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		if s.Reason != models.Present {
			failed = true
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s: %s\n", m.Name, s.Reason, spec.Visible(s.Message))
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", m.Name, spec.Visible(s.Message))
	}
	if failed {
		return errSilent
	}
	return nil
}

// progress shows a person how far something is: on a terminal in one line, elsewhere in a line for every tenth.
type progress struct {
	out      io.Writer
	name     string
	terminal bool
	reason   string
	percent  int
	shown    bool
}

func newProgress(cmd *cobra.Command, name string) *progress {
	return &progress{out: cmd.ErrOrStderr(), name: name, terminal: isTerminal(cmd.ErrOrStderr()), percent: -1}
}

// tell shows a state. What is brief is shown on a terminal alone.
func (p *progress) tell(reason, message string, percent int, brief bool) {
	text := fmt.Sprintf("%s: %s", p.name, spec.Visible(message))
	switch {
	case brief && !p.terminal:
	case p.terminal:
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		p.shown = true
	case reason != p.reason || percent/10 != p.percent/10:
		fmt.Fprintln(p.out, text)
		p.reason, p.percent = reason, percent
	}
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

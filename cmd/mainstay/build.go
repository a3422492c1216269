package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/format"
)

func newBuild(env environment) *cobra.Command {
	var (
		repo         repoFlags
		output, out  string
		instructions bool
	)
	cmd := &cobra.Command{
		Use:   "build [DIR] [KIND/NAME...]",
		Short: "Print the resolved form: the exact instructions of each agent, every reference, every digest",
		Long: "Print what the files of DIR (default: this folder), or with --repo those of a branch, become: each resource with its\n" +
			"overlay merged and the Fleet's defaults filled in, and below status what Mainstay makes of it. With --out the same is\n" +
			"written as a repository without overlays, whose resources have the same digests. Nothing is run.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var dir, wanted []string
			for i, arg := range args {
				if kind, _, ok := strings.Cut(arg, "/"); i > 0 || ok && isKind(kind) && !isDir(arg) {
					wanted = append(wanted, arg)
				} else {
					dir = append(dir, arg)
				}
			}
			if repo.repo != "" && len(dir) > 0 {
				return usageError{errors.New("give DIR or --repo, not both")}
			}
			declared, err := declaredIn(cmd.Context(), env, &repo, dir)
			if err != nil {
				return err
			}
			defer declared.close()
			fleet := declared.fleet
			docs, err := builtDocuments(fleet, wanted)
			switch {
			case err != nil:
				return err
			case out != "":
				if len(wanted) > 0 {
					return usageError{errors.New("--out writes the whole repository: name no resources")}
				}
				return writeBuilt(cmd.Context(), fleet, declared.files, docs, out)
			case instructions:
				return printInstructions(cmd.OutOrStdout(), fleet, wanted)
			case output == "json":
				return printItems(cmd.OutOrStdout(), output, docs)
			case output == "" || output == "yaml":
				return printDocuments(cmd.Context(), cmd.OutOrStdout(), docs)
			}
			return usageError{fmt.Errorf("unknown output %q; known are json and yaml", output)}
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the `form`: yaml (the default) or json")
	cmd.Flags().StringVar(&out, "out", "", "write a repository of the resolved form into this `folder`, which must be empty")
	cmd.Flags().BoolVar(&instructions, "instructions", false, "print the instructions of one agent, to the letter, and nothing else")
	return cmd
}

func isKind(name string) bool {
	return spec.Written[spec.Kind(name)] != nil || name == string(spec.KindSkill)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// document is a resource in its resolved form.
type document struct {
	APIVersion string         `json:"apiVersion"`
	Kind       spec.Kind      `json:"kind"`
	Metadata   spec.Metadata  `json:"metadata"`
	Spec       map[string]any `json:"spec,omitempty"`
	Status     builtStatus    `json:"status"`

	place spec.Place
}

// builtStatus is what Mainstay makes of a resource.
type builtStatus struct {
	Digest           spec.Digest       `json:"digest"`
	Place            string            `json:"place"`
	DependsOn        []string          `json:"dependsOn,omitempty"`
	NotYetReconciled string            `json:"notYetReconciled,omitempty"`
	Instructions     string            `json:"instructions,omitempty"`
	Model            string            `json:"model,omitempty"`
	Runtime          string            `json:"runtime,omitempty"`
	Tools            []builtTool       `json:"tools,omitempty"`
	Skills           map[string]string `json:"skills,omitempty"`
	ReadPaths        []string          `json:"readPaths,omitempty"`
	ProposePaths     []string          `json:"proposePaths,omitempty"`
	Limits           map[string]any    `json:"limits,omitempty"`
	Files            []string          `json:"files,omitempty"`
}

type builtTool struct {
	Name    string `json:"name"`
	Effect  string `json:"effect"`
	Timeout string `json:"timeout"`
}

// builtDocuments are the resources that are wanted, or all of them.
func builtDocuments(fleet *spec.Fleet, wanted []string) ([]document, error) {
	var docs []document
	var known []string
	for _, r := range fleet.Resources {
		known = append(known, r.Ref.String())
		if len(wanted) > 0 && !slices.Contains(wanted, r.Ref.String()) {
			continue
		}
		d := document{APIVersion: spec.APIVersion, Kind: r.Kind, Metadata: spec.Metadata{Name: r.Name, Labels: r.Labels}, Spec: fleet.Written(r.Ref), place: r.Place}
		if d.Spec == nil && r.Kind != spec.KindSkill {
			continue // A trigger that its agent's document holds.
		}
		d.Status = builtStatus{Digest: r.Digest, Place: r.Place.String(), NotYetReconciled: r.NotYetReconciled()}
		for _, ref := range r.DependsOn {
			d.Status.DependsOn = append(d.Status.DependsOn, ref.String())
		}
		switch r.Kind {
		case spec.KindAgent:
			buildAgent(&d, fleet, fleet.Agents[spec.AgentName(r.Name)])
		case spec.KindSkill:
			for name := range fleet.Skills[r.Name].Files {
				d.Status.Files = append(d.Status.Files, name)
			}
			slices.Sort(d.Status.Files)
		}
		docs = append(docs, d)
	}
	for _, want := range wanted {
		if !slices.Contains(known, want) {
			return nil, usageError{fmt.Errorf("no resource %q is declared; resources are written as KIND/NAME, such as Agent/triage", want)}
		}
	}
	return docs, nil
}

// buildAgent fills in the Fleet's defaults, and what the agent is resolved to.
func buildAgent(d *document, fleet *spec.Fleet, a *spec.Agent) {
	limits := map[string]any{"turns": a.Limits.Turns, "toolCalls": a.Limits.ToolCalls, "wallTime": spec.Duration(a.Limits.WallTime).String(), "outputBytes": a.Limits.OutputBytes}
	if a.Limits.Tokens > 0 {
		limits["tokens"] = a.Limits.Tokens
	}
	if a.Limits.Cost > 0 {
		limits["cost"] = a.Limits.Cost
	}
	d.Spec["limits"], d.Spec["model"], d.Spec["runtime"] = limits, a.Model.Name, a.Runtime
	for _, ref := range a.DependsOn {
		if ref.Kind == spec.KindPersona {
			d.Spec["persona"] = ref.Name
		}
	}
	s := &d.Status
	s.Instructions, s.Model, s.Runtime, s.Limits = a.Instructions, a.Model.Name, a.Runtime, limits
	s.ReadPaths, s.ProposePaths = a.ReadPaths, a.ProposePaths
	for _, t := range a.Tools {
		s.Tools = append(s.Tools, builtTool{t.FullName(), t.Effect, t.Timeout.String()})
	}
	for _, skill := range a.Skills {
		if s.Skills == nil {
			s.Skills = map[string]string{}
		}
		s.Skills[skill.Name] = string(skill.Digest)
	}
}

// yaml returns the document as mainstay fmt would have it.
func (d document) yaml(ctx context.Context) ([]byte, error) {
	raw, err := yaml.Marshal(d)
	if err != nil || d.Kind == spec.KindAction { // An Action is never formatted.
		return raw, err
	}
	formatted, problems, err := new(format.Formatter).File(ctx, "built.yaml", raw)
	return formatted, errors.Join(err, problems.Err())
}

func printDocuments(ctx context.Context, w io.Writer, docs []document) error {
	for i, d := range docs {
		raw, err := d.yaml(ctx)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(w, "---")
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

func printInstructions(w io.Writer, fleet *spec.Fleet, wanted []string) error {
	if len(wanted) == 1 {
		if name, ok := strings.CutPrefix(wanted[0], string(spec.KindAgent)+"/"); ok {
			_, err := io.WriteString(w, fleet.Agents[spec.AgentName(name)].Instructions)
			return err
		}
	}
	return usageError{errors.New("--instructions is for one agent; name it as Agent/NAME")}
}

// writeBuilt writes a repository of the resolved form. Skills and actions are copied byte for byte: a skill is what its
// files are, and an action was approved as it stands.
func writeBuilt(ctx context.Context, fleet *spec.Fleet, files fs.FS, docs []document, out string) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty: name one that is, or one that is not there yet", out)
	}
	write := func(name string, content []byte) error {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o644)
	}
	if lock := fleet.Pins(); lock != nil {
		if err := write(spec.LockFile, lock.Format()); err != nil {
			return err
		}
	}
	for _, d := range docs {
		var err error
		switch d.Kind {
		case spec.KindAction:
			var raw []byte
			if raw, err = fs.ReadFile(files, d.place.File); err == nil {
				err = write(d.place.File, raw)
			}
		case spec.KindSkill:
			for name, content := range fleet.Skills[d.Metadata.Name].Files {
				err = errors.Join(err, write("skills/"+d.Metadata.Name+"/"+name, content))
			}
		default:
			var raw []byte
			if raw, err = d.yaml(ctx); err == nil {
				err = write(spec.FileOf(spec.Ref{Kind: d.Kind, Name: d.Metadata.Name}), raw)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

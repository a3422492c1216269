package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/schemas"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/near"
)

func newSchema() *cobra.Command {
	var (
		crd, front bool
		out        string
	)
	cmd := &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON Schema of a kind, for editors, or its CustomResourceDefinition",
		Long: "Print the JSON Schema of KIND, by which editors complete and check its fields without a network, or list the kinds. KIND\n" +
			"all is the schema of a file with resources of any kind. --out writes all schemas into a folder.",
		Args:              arguments(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			switch {
			case out != "":
				return writeSchemas(out)
			case len(args) == 0:
				for _, kind := range schemas.Kinds() {
					fmt.Fprintln(w, kind)
				}
				return nil
			case args[0] == schemas.All && !crd && !front:
				raw, _ := schemas.JSON(schemas.All)
				_, err := w.Write(raw)
				return err
			}
			kind, err := findKind(args[0])
			if err != nil {
				return err
			}
			raw, ok := schemas.JSON(string(kind))
			switch {
			case crd:
				raw, ok = schemas.CRD(kind)
			case front:
				raw, ok = schemas.FrontMatter(kind)
			}
			if !ok {
				return usageError{fmt.Errorf("there is no such schema of %s", kind)}
			}
			_, err = w.Write(raw)
			return err
		},
	}
	cmd.Flags().BoolVar(&crd, "crd", false, "print the CustomResourceDefinition for a Kubernetes API server")
	cmd.Flags().BoolVar(&front, "front-matter", false, "print the schema of a Markdown file's front matter")
	cmd.Flags().StringVar(&out, "out", "", "write all schemas and definitions into this `folder`")
	return cmd
}

func writeSchemas(dir string) error {
	for name, content := range schemas.Files() {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// findKind finds a kind that a person has written in any case, in the singular or plural.
func findKind(name string) (spec.Kind, error) {
	known := append(schemas.Kinds(), spec.KindSkill)
	var names []string
	for _, kind := range known {
		if strings.EqualFold(name, string(kind)) || strings.EqualFold(name, schemas.Plural(kind)) {
			return kind, nil
		}
		names = append(names, string(kind))
	}
	slices.Sort(names)
	hint := near.Hint(name, names, "known are "+strings.Join(names, ", "))
	return "", usageError{fmt.Errorf("unknown kind %q; %s", name, hint)}
}

func completeKinds(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, kind := range schemas.Kinds() {
		names = append(names, string(kind))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

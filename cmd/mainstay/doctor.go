package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/spec"
)

// askedFor bounds how long a server is asked what it has.
const askedFor = 5 * time.Second

func newDoctor(env environment) *cobra.Command {
	var overlay string
	cmd := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Find Ollama, list its models that can call tools, and say what the declared fleet lacks",
		Long: "Look for Ollama where models are asked, at the endpoints that the files of DIR (default: this folder) declare, or else at\n" +
			"$OLLAMA_HOST or 127.0.0.1:11434. List the models that it has and which of them can call tools. Where DIR declares a fleet, say\n" +
			"what its models lack, each with the command that mends it. Nothing is changed, and no daemon is needed. Exit 1 if something is missing.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return examine(cmd.Context(), env, dir, overlay, cmd.OutOrStdout())
		},
	}
	addEnvFlag(cmd, &overlay)
	return cmd
}

// examine prints what is there and what is missing.
func examine(ctx context.Context, env environment, dir, overlay string, out io.Writer) error {
	var d *declaredModels
	if _, err := os.Stat(filepath.Join(dir, "mainstay.yaml")); err == nil {
		if d, err = openModels(ctx, env, overlay, []string{dir}); err != nil {
			return err
		}
	} else if !isDir(dir) {
		return usageError{fmt.Errorf("no folder %s", dir)}
	}
	servers := []*spec.Model{{Spec: spec.ModelSpec{Provider: spec.ProviderOllama}}}
	providers := localProviders(env, dir)
	if d != nil && len(d.wanted) > 0 {
		servers, providers = nil, d.providers
		for _, m := range d.wanted {
			if !slices.ContainsFunc(servers, func(s *spec.Model) bool { return s.Spec.Endpoint == m.Spec.Endpoint }) {
				servers = append(servers, m)
			}
		}
	}
	wrong, silent := 0, map[string]bool{}
	for _, s := range servers {
		there := listServer(ctx, providers, s, out)
		if err := ctx.Err(); err != nil {
			return err
		}
		if !there {
			wrong++
			silent[s.Spec.Endpoint] = true
		}
	}
	switch {
	case d == nil:
		fmt.Fprintf(out, "\nno fleet is declared in %s: there is no mainstay.yaml; `mainstay init` writes one\n", dir)
	case len(d.wanted) == 0:
		fmt.Fprintf(out, "\nno model of provider %s is declared; nothing is missing\n", spec.ProviderOllama)
		wrong = 0 // Nobody needs the server.
	default:
		fmt.Fprintln(out, "\nDeclared models:")
		for _, m := range d.wanted {
			s := models.State{Reason: models.ServerUnavailable, Message: "its server was not found, as is told above"}
			if !silent[m.Spec.Endpoint] {
				s = models.Check(ctx, d.providers, m, d.files, d.fleet)
			}
			mark := "ok"
			if s.Reason != models.Present {
				mark = s.Reason
				wrong++
			}
			fmt.Fprintf(out, "  %s (%s): %s: %s\n", m.Name, spec.Visible(m.Spec.Name), mark, spec.Visible(s.Message))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if wrong > 0 {
		return errSilent
	}
	return nil
}

// listServer prints what the server of a model has, and returns false where it cannot be asked.
func listServer(ctx context.Context, providers model.Providers, server *spec.Model, out io.Writer) bool {
	where := "at " + providers.OllamaAt(server)
	within, cancel := context.WithTimeout(ctx, askedFor)
	defer cancel()
	all, err := providers.Installed(within, server)
	if ctx.Err() != nil {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it gives no answer in %s: look whether `ollama list` does there", askedFor)
	}
	if err != nil {
		fmt.Fprintf(out, "Ollama %s: not found\n  %s\n", where, spec.Visible(err.Error()))
		return false
	}
	fmt.Fprintf(out, "Ollama %s: found, %s\n", where, countOf(len(all), "model"))
	for _, has := range all {
		one := *server
		one.Spec.Name = has.Name
		can := "cannot call tools"
		is, err := providers.Describe(within, &one)
		switch {
		case err != nil:
			can = "cannot be asked: " + err.Error()
		case is.Tools:
			can = "can call tools"
		}
		if is.ContextLength > 0 {
			can += fmt.Sprintf(", reads %d tokens", is.ContextLength)
		}
		fmt.Fprintf(out, "  %s: %s\n", firstLine(spec.Visible(has.Name)), spec.Visible(can))
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "  get one that can call tools: ollama pull qwen3:4b")
	}
	return true
}

// countOf writes a number of things: `1 model`, `3 models`.
func countOf(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %s", n, strings.TrimSuffix(thing, "s")+"s")
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/spec"
)

// Whoever follows a run learns how it has ended also where nobody tells.
func TestAnEndThatIsNotToldIsFound(t *testing.T) {
	w := world{t, t.TempDir()}
	w.declares(map[string]string{
		"mainstay.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: m}}\n",
	})
	loaded := make(chan struct{}, 1)
	all, err := wire(t.Context(), environment{}, wiring{repo: repoFlags{repo: w.path("repo"), ref: "main"}, state: stateFlags{dir: w.path("state")},
		interval: time.Second, log: slog.New(slog.DiscardHandler), getenv: os.LookupEnv, observe: func(e reconciler.Event) {
			if e.Type == reconciler.StepDone {
				select {
				case loaded <- struct{}{}:
				default:
				}
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- all.Run(ctx) }()
	<-loaded
	deaf := &followers{look: 50 * time.Millisecond} // Nothing is told to it.
	var last happening
	within, giveUp := context.WithTimeout(ctx, patience)
	defer giveUp()
	err = threadViews(all, deaf).Say(within, "t", serve.Said{Agent: "keeper", Text: "Look."}, func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &last)
	})
	if err != nil || last.Summary == nil || last.Summary.Phase != spec.PhaseSucceeded {
		t.Errorf("it heard %+v, and %v", last, err)
	}
	stop()
	if err := errors.Join(<-ended, all.close(t.Context())); err != nil {
		t.Error(err)
	}
}

// declares commits files to the branch main of a new repository, besides an agent and its model m.
func (w world) declares(files map[string]string) {
	w.t.Helper()
	all := map[string]string{
		"models/m.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec:\n  provider: scripted\n" +
			"  rules:\n  - text: All is well.\n",
		"agents/keeper.md": "You keep.\n",
	}
	maps.Copy(all, files)
	for name, text := range all {
		path := w.path(filepath.Join("repo", name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git("repo", "init", "-q", "-b", "main")
	w.git("repo", "add", "-A")
	w.git("repo", "commit", "-q", "-m", "An agent")
}

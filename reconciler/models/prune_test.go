package models_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model/ollamatest"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/spec"
)

// shop is a fleet that prunes, or not, with these models of provider ollama, by name.
func shop(t *testing.T, prune bool, specs map[string]string) *spec.Fleet {
	t.Helper()
	files := fstest.MapFS{"mainstay.yaml": {Data: fmt.Appendf(nil, "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {prune: %t}\n", prune)}}
	for name, text := range specs {
		files["models/"+name+".yaml"] = &fstest.MapFile{Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: " + name + "}\nspec: " + text)}
	}
	fleet, problems := spec.Load(files, spec.LoadOptions{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return fleet
}

// world is an Ollama server that pulls whatever it is asked for.
type ollamaWorld struct {
	has     map[string]int // the digests by name
	deleted []string
	broken  bool
}

func (o *ollamaWorld) start(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		if o.broken {
			http.Error(w, `{"error":"the disk is away"}`, http.StatusInternalServerError)
			return
		}
		var all []string
		for name, digest := range o.has {
			all = append(all, fmt.Sprintf(`{"name":%q,"digest":"%064d"}`, name, digest))
		}
		fmt.Fprintf(w, `{"models":[%s]}`, strings.Join(all, ","))
	})
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"capabilities":["tools"]}`) })
	mux.HandleFunc("POST /api/pull", func(w http.ResponseWriter, _ *http.Request) {
		o.has["qwen3:4b"] = 1
		fmt.Fprintln(w, `{"status":"success"}`)
	})
	mux.HandleFunc("DELETE /api/delete", func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		o.deleted = append(o.deleted, string(body[:n]))
		delete(o.has, "qwen3:4b")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestOnlyWhatMainstayGotAndNothingNamesIsDeleted(t *testing.T) {
	for _, test := range []struct {
		name    string
		there   bool // before Mainstay comes
		after   map[string]string
		keep    bool // the Fleet does not prune
		used    bool // by a run
		unknown bool // what runs use
		change  func(*ollamaWorld)
		deleted bool
		forgets bool
	}{
		{name: "what it has pulled", deleted: true, forgets: true},
		{name: "what was there before", there: true, forgets: true},
		{name: "where the Fleet does not say so", keep: true},
		{name: "what a run may ask", used: true},
		{name: "what nobody knows whether a run may ask", unknown: true},
		{name: "what another Model names", after: map[string]string{"other": "{provider: ollama, name: library/QWEN3:4b, endpoint: http://127.0.0.1:1}"}},
		{name: "what another Model names by another protocol", after: map[string]string{"other": "{provider: openai, name: qwen3:4b, endpoint: http://127.0.0.1:1/v1}"}},
		{name: "what is another one by now", change: func(o *ollamaWorld) { o.has["qwen3:4b"] = 2 }, forgets: true},
		{name: "what somebody has deleted already", change: func(o *ollamaWorld) { delete(o.has, "qwen3:4b") }, forgets: true},
		{name: "while its server fails", change: func(o *ollamaWorld) { o.broken = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &ollamaWorld{has: map[string]int{}}
			if test.there {
				o.has["qwen3:4b"] = 1
			}
			first := map[string]string{"local": "{provider: ollama, name: \"qwen3:4b\", source: {}, endpoint: \"" + o.start(t) + "\"}"}
			before := shop(t, true, first)
			var mem memory
			var told []string
			k := models.New(models.Options{Memory: &mem, Now: time.Now,
				Used: func(context.Context) ([]*spec.Fleet, error) {
					if test.unknown {
						return nil, errors.New("a revision is gone")
					}
					if test.used {
						return []*spec.Fleet{before}, nil
					}
					return nil, nil
				},
				Pruned: func(m *spec.Model, text string, err error) { told = append(told, fmt.Sprint(m.Ref, ": ", text, err)) }})
			keep := func(fleet *spec.Fleet, revision spec.Revision) {
				k.Keep(t.Context(), fleet, revision, fstest.MapFS{})
				k.Wait()
			}
			keep(before, "main@sha1:1")
			if s, _ := k.State(before.Models["local"]); s.Reason != models.Present || s.Made == test.there || len(o.deleted) > 0 {
				t.Fatalf("it begins as %+v, deleted %q", s, o.deleted)
			}
			if test.change != nil {
				test.change(o)
			}
			for i := range 3 { // It does not matter how often.
				keep(shop(t, !test.keep, test.after), spec.Revision(fmt.Sprintf("main@sha1:%d", 2+i)))
			}
			if got := len(o.deleted) > 0; got != test.deleted || len(o.deleted) > 1 || got && !strings.Contains(o.deleted[0], `"model":"qwen3:4b"`) {
				t.Errorf("deleted %q", o.deleted)
			}
			if all, _ := mem.All(t.Context()); (len(all) == 0) != test.forgets {
				t.Errorf("it remembers %+v", all)
			}
			if says := test.deleted || test.change != nil && len(o.has) > 0; says != (len(told) > 0) || len(told) > 1 {
				t.Errorf("told %q", told)
			}
		})
	}
}

// Where the process is killed after the deletion, the next one finds the model gone, and forgets it.
func TestADeletionIsDoneOnce(t *testing.T) {
	o := &ollamaWorld{has: map[string]int{}}
	fleet := shop(t, true, map[string]string{"local": "{provider: ollama, name: \"qwen3:4b\", source: {}, endpoint: \"" + o.start(t) + "\"}"})
	var mem memory
	process := func(fleet *spec.Fleet) {
		k := models.New(models.Options{Memory: &mem, Now: time.Now, Used: func(context.Context) ([]*spec.Fleet, error) { return nil, nil }})
		k.Keep(t.Context(), fleet, "main@sha1:1", fstest.MapFS{})
		k.Wait()
	}
	process(fleet)
	mem.crash = true
	process(shop(t, true, nil))
	if all, _ := mem.All(t.Context()); len(all) != 1 || len(o.deleted) != 1 {
		t.Fatalf("it remembers %+v, deleted %q", all, o.deleted)
	}
	mem.crash = false
	process(shop(t, true, nil))
	if all, _ := mem.All(t.Context()); len(all) != 0 || len(o.deleted) != 1 {
		t.Errorf("it remembers %+v, deleted %q", all, o.deleted)
	}
}

func TestModelsAreDeletedFromARealServer(t *testing.T) {
	server := ollamatest.Start(t)
	script := ollamatest.Script{Tools: true, Turns: [][]string{{"Good day."}}}
	weights, err := script.GGUF()
	if err != nil {
		t.Fatal(err)
	}
	server.Create("talker", script)
	registry := ollamatest.NewRegistry(t, server)
	files := fstest.MapFS{"made.gguf": {Data: weights}}
	var mem memory
	k := models.New(models.Options{Memory: &mem, Now: time.Now, Used: func(context.Context) ([]*spec.Fleet, error) { return nil, nil }})
	keep := func(fleet *spec.Fleet, revision spec.Revision) []string {
		k.Keep(t.Context(), fleet, revision, files)
		k.Wait()
		all, err := model.Providers{}.Installed(t.Context(), &spec.Model{Spec: spec.ModelSpec{Endpoint: server.URL}})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, has := range all {
			names = append(names, has.Name)
		}
		return names
	}
	at := ", endpoint: \"" + server.URL + "\"}"
	got := keep(shop(t, true, map[string]string{"made": "{provider: ollama, name: made, source: {file: made.gguf}" + at,
		"pulled": "{provider: ollama, name: \"" + registry.Name("talker") + "\", source: {}" + at, "talker": "{provider: ollama, name: talker, source: {}" + at}), "main@sha1:1")
	if len(got) != 3 {
		t.Fatalf("there are %q", got)
	}
	if got = keep(shop(t, true, nil), "main@sha1:2"); !slices.Equal(got, []string{"talker:latest"}) {
		t.Errorf("there are %q", got)
	}
}

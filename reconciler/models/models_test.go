package models_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model/ollamatest"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/spec"
)

// fleetOf is a fleet of one model, local, and an agent that has tools.
func fleetOf(t *testing.T, modelSpec string) *spec.Fleet {
	t.Helper()
	files := fstest.MapFS{
		"mainstay.yaml":     {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: local}}\n")},
		"models/local.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: local}\nspec:\n  provider: ollama\n" + modelSpec)},
		"agents/a.md":       {Data: []byte("---\nfiles: {read: [\"**\"]}\n---\nHello.\n")},
	}
	fleet, problems := spec.Load(files, spec.LoadOptions{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return fleet
}

// memory is a Memory for tests.
type memory struct {
	mu   sync.Mutex
	made map[string]spec.Digest
	all  map[string]*spec.Model
	// crash lets nothing be forgotten.
	crash bool
}

func (m *memory) Made(_ context.Context, of *spec.Model) (spec.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made[of.Spec.Name], nil
}

func (m *memory) Remember(_ context.Context, of *spec.Model, digest spec.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil {
		m.made = map[string]spec.Digest{}
	}
	m.made[of.Spec.Name] = digest
	if m.all == nil {
		m.all = map[string]*spec.Model{}
	}
	pinned := *of
	pinned.Pin = digest
	m.all[of.Spec.Name] = &pinned
	return nil
}

func (m *memory) All(context.Context) ([]*spec.Model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.all)), nil
}

func (m *memory) Forget(_ context.Context, of *spec.Model) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crash {
		return errors.New("the process is killed here")
	}
	delete(m.made, of.Spec.Name)
	delete(m.all, of.Spec.Name)
	return nil
}

// fake answers as an Ollama server that has one model, qwen3:4b.
func fake(t *testing.T, capabilities string, chat http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"models":[{"name":"qwen3:4b","digest":"%064d"}]}`, 1)
	})
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"capabilities":[%s],"model_info":{"qwen3.context_length":4096}}`, capabilities)
	})
	mux.HandleFunc("POST /api/pull", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"error":"pull model manifest: Get \"https://registry.ollama.ai/\": dial tcp: no route to host"}`)
	})
	if chat != nil {
		mux.HandleFunc("POST /api/chat", chat)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestEachFaultHasItsReason(t *testing.T) {
	const tools = `"completion","tools"`
	good := "sha256:" + strings.Repeat("0", 63) + "1"
	for _, test := range []struct{ name, capabilities, spec, reason, says string }{
		{"all is well", tools, "  name: qwen3:4b\n", models.Present, "qwen3:4b is there"},
		{"the digest is the one that is declared", tools, "  name: qwen3:4b\n  source: {digest: \"" + good + "\"}\n", models.Present, "is there"},
		{"it is missing, and nobody may pull it", tools, "  name: llama3\n  source: {pull: never}\n", models.ModelMissing, "`ollama pull llama3`"},
		{"it is missing, and has no source", tools, "  name: llama3\n", models.ModelMissing, "`ollama pull llama3`"},
		{"it cannot be pulled", tools, "  name: llama3\n  source: {}\n", models.PullFailed, "spec.source.file"},
		{"it is there, and the newest cannot be pulled", tools, "  name: qwen3:4b\n  source: {pull: always}\n", models.Present, "is there"},
		{"its file is not there", tools, "  name: llama3\n  source: {file: models/llama.gguf}\n", models.CreateFailed, "models/llama.gguf"},
		{"it is another one", tools, "  name: qwen3:4b\n  source: {digest: \"sha256:" + strings.Repeat("2", 64) + "\"}\n", models.DigestMismatch, "write digest: " + good},
		{"it cannot call tools", `"completion"`, "  name: qwen3:4b\n", models.NoTools, "agent a has some"},
		{"it reads less than it is told to", tools, "  name: qwen3:4b\n  parameters: {num_ctx: 8192}\n", models.ContextOverflow, "reads 4096 tokens at most"},
		{"it reads less than is remembered", tools, "  name: qwen3:4b\n  context: {window: 8192}\n", models.ContextOverflow, "spec.context.window says 8192"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fleet := fleetOf(t, test.spec+"  endpoint: "+fake(t, test.capabilities, nil)+"\n")
			got := models.Ensure(t.Context(), model.Providers{}, fleet.Models["local"], fstest.MapFS{}, fleet, func(models.State) {})
			if got.Reason != test.reason || !strings.Contains(got.Message, test.says) {
				t.Errorf("got %+v, want %s: ...%s...", got, test.reason, test.says)
			}
		})
	}
	t.Run("its server is not there", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		fleet := fleetOf(t, "  name: qwen3:4b\n  source: {}\n  endpoint: "+server.URL+"\n")
		got := models.Ensure(t.Context(), model.Providers{}, fleet.Models["local"], nil, fleet, func(models.State) {})
		if got.Reason != models.ServerUnavailable || !strings.Contains(got.Message, "`ollama serve`") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestWhatRunsMeetIsRemembered(t *testing.T) {
	fails := `{"error":"model requires more system memory (9.0 GiB) than is available (2.0 GiB)"}`
	fleet := fleetOf(t, "  name: qwen3:4b\n  endpoint: "+fake(t, `"tools"`, func(w http.ResponseWriter, _ *http.Request) {
		if fails != "" {
			http.Error(w, fails, http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, `{"message":{"content":"ok"},"done":true}`)
	})+"\n")
	m := fleet.Models["local"]
	k := models.New(models.Options{Memory: models.Forgetful{}, Now: time.Now})
	k.Keep(t.Context(), fleet, "main@sha1:1", nil)
	k.Wait()
	if s, ok := k.State(m); !ok || s.Reason != models.Present {
		t.Fatalf("it begins as %+v", s)
	}
	ask := func() error {
		_, err := k.Chat(t.Context(), m, model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hello"}}}, nil)
		return err
	}
	if err := ask(); err == nil {
		t.Fatal("it answers")
	}
	if s, _ := k.State(m); s.Reason != models.OutOfMemory || !strings.Contains(s.Message, "`ollama stop`") {
		t.Errorf("it is %+v", s)
	}
	if fails = ""; ask() != nil {
		t.Fatal("it does not answer")
	}
	if s, _ := k.State(m); s.Reason != models.Present {
		t.Errorf("it is %+v", s)
	}
	k.Keep(t.Context(), &spec.Fleet{}, "main@sha1:2", nil)
	if _, ok := k.State(m); ok {
		t.Error("what is not declared any more is still kept")
	}
}

func TestAModelIsPulledBesideEverythingElse(t *testing.T) {
	server := ollamatest.Start(t)
	server.Create("talker", ollamatest.Script{Tools: true, Turns: [][]string{{"Good day."}}})
	registry := ollamatest.NewRegistry(t, server)
	registry.Hold = make(chan struct{})
	server.Forget("talker")
	fleet := fleetOf(t, fmt.Sprintf("  name: %q\n  endpoint: %s\n  source: {digest: %q}\n", registry.Name("talker"), server.URL, registry.Digest("talker")))
	m := fleet.Models["local"]
	half := make(chan struct{})
	var once sync.Once
	var told []models.State
	k := models.New(models.Options{Memory: models.Forgetful{}, Now: time.Now, Changed: func(_ *spec.Model, s models.State) {
		told = append(told, s)
		if s.Percent >= 40 {
			once.Do(func() { close(half) })
		}
	}})
	k.Keep(t.Context(), fleet, "main@sha1:1", nil)
	<-half
	s, _ := k.State(m)
	if s.Reason != models.Pulling || s.Percent < 40 || s.Percent > 60 || !k.Busy() || !strings.Contains(s.Message, "%") {
		t.Errorf("in the middle it is %+v", s)
	}
	_, err := k.Chat(t.Context(), m, model.Request{}, nil)
	if !model.Later(err) || !strings.Contains(err.Error(), "is being pulled") {
		t.Errorf("a run that asks it gets %v", err)
	}
	close(registry.Hold)
	k.Wait()
	if s, _ = k.State(m); s.Reason != models.Present || k.Busy() || string(s.Digest) != registry.Digest("talker") {
		t.Errorf("in the end it is %+v, told %+v", s, told)
	}
	if answer, err := k.Chat(t.Context(), m, model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hello"}}}, nil); err != nil || answer.Text != "Good day." {
		t.Errorf("it says %+v, %v", answer, err)
	}
}

func TestAModelIsMadeOfAFile(t *testing.T) {
	server := ollamatest.Start(t)
	script := ollamatest.Script{Tools: true, Turns: [][]string{{"Good day."}}}
	weights, err := script.GGUF()
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"models/files/talker.gguf": {Data: weights}, "models/files/Modelfile": {Data: []byte(script.Modelfile("talker.gguf"))}}
	fleet := fleetOf(t, "  name: talker\n  endpoint: "+server.URL+"\n  source: {file: models/files/Modelfile}\n")
	m := fleet.Models["local"]
	var mem memory
	keep := func(revision spec.Revision) models.State {
		k := models.New(models.Options{Memory: &mem, Now: time.Now})
		k.Keep(t.Context(), fleet, revision, files)
		k.Wait()
		s, _ := k.State(m)
		return s
	}
	made := keep("main@sha1:1")
	if made.Reason != models.Present {
		t.Fatalf("it is %+v", made)
	}
	if answer, err := (model.Providers{}).Chat(t.Context(), m, model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hello"}}}, nil); err != nil || answer.Text != "Good day." {
		t.Errorf("it says %+v, %v", answer, err)
	}
	mem = memory{} // A fresh machine knows nothing, and sees that it is the one.
	if !made.Made {
		t.Error("it is not known as Mainstay's own")
	}
	made.Made = false
	if again := keep("main@sha1:2"); again != made {
		t.Errorf("it was %+v and is %+v", made, again)
	}
	files["models/files/Modelfile"] = &fstest.MapFile{Data: []byte(script.Modelfile("talker.gguf") + "SYSTEM Be brief.\n")}
	if s := keep("main@sha1:3"); s.Reason != models.DigestMismatch || !strings.Contains(s.Message, "`ollama rm talker`") {
		t.Errorf("what Mainstay does not know to be its own is %+v", s)
	}
	mem.made = map[string]spec.Digest{"talker": made.Digest}
	if s := keep("main@sha1:3"); s.Reason != models.Present || s.Digest == made.Digest {
		t.Errorf("what it made is not made again: %+v", s)
	}
}

// A model is made of another one, which is declared too, and of an adapter. Nothing is pulled that nobody has asked for.
func TestAModelIsMadeOfAnotherOne(t *testing.T) {
	server := ollamatest.Start(t)
	script := ollamatest.Script{Tools: true, Turns: [][]string{{"Good day."}}}
	weights, err := script.GGUF()
	if err != nil {
		t.Fatal(err)
	}
	adapter, err := script.Adapter()
	if err != nil {
		t.Fatal(err)
	}
	server.Create("talker", script)
	registry := ollamatest.NewRegistry(t, server)
	server.Forget("talker")
	name := registry.Name("talker")
	ollama := func(name, file string) string {
		return fmt.Sprintf("{provider: ollama, name: %q, endpoint: %q, source: {file: %q}}", name, server.URL, file)
	}
	files := fstest.MapFS{"talker.gguf": {Data: weights}, "adapter.gguf": {Data: adapter}}
	file := func(name, text string) string {
		files[name] = &fstest.MapFile{Data: []byte(text)}
		return name
	}
	fleet := shop(t, false, map[string]string{
		"adapted": ollama("adapted", file("adapted.Modelfile", script.Modelfile("talker.gguf")+"ADAPTER ./adapter.gguf\n")),
		"base":    ollama(name, ""), "brief": ollama("brief", file("brief.Modelfile", "FROM "+strings.TrimPrefix(name, "http://")+"\nSYSTEM Be brief.\nPARAMETER num_ctx 512\n")),
		"briefer": ollama("briefer", file("briefer.Modelfile", "FROM brief\nADAPTER adapter.gguf\n")),
		"chicken": ollama("chicken", file("chicken.Modelfile", "FROM egg\n")), "egg": ollama("egg", file("egg.Modelfile", "FROM chicken:latest\n")),
		"itself": ollama("itself", file("itself.Modelfile", "FROM itself:latest\n")), "unasked": ollama("unasked", file("unasked.Modelfile", "FROM "+strings.TrimPrefix(registry.Name("other"), "http://")+"\n")),
	})
	var mem memory
	keep := func(revision spec.Revision) *models.Keeper {
		k := models.New(models.Options{Memory: &mem, Now: time.Now})
		k.Keep(t.Context(), fleet, revision, files)
		k.Wait()
		return k
	}
	k := keep("main@sha1:1")
	digests := map[string]spec.Digest{}
	for _, name := range []string{"adapted", "base", "brief", "briefer"} {
		s, _ := k.State(fleet.Models[name])
		if s.Reason != models.Present || !s.Made {
			t.Errorf("%s is %+v", name, s)
			continue
		}
		digests[name] = s.Digest
		if answer, err := (model.Providers{}).Chat(t.Context(), fleet.Models[name], model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hello"}}}, nil); err != nil || answer.Text != "Good day." {
			t.Errorf("%s says %+v, %v", name, answer, err)
		}
	}
	is, err := (model.Providers{}).Describe(t.Context(), fleet.Models["briefer"])
	if err != nil || !strings.Contains(is.Modelfile, "SYSTEM Be brief.") || !strings.Contains(is.Modelfile, "ADAPTER /") || !strings.Contains(is.Modelfile, "PARAMETER num_ctx 512") {
		t.Errorf("it is %s, %v", is.Modelfile, err)
	}
	for name, says := range map[string]string{"unasked": "which FROM names: declare it as a Model", "itself": "FROM names the model itself", "chicken": "", "egg": ""} {
		if s, _ := k.State(fleet.Models[name]); s.Reason != models.CreateFailed || !strings.Contains(s.Message, says) {
			t.Errorf("%s is %+v", name, s)
		}
	}
	k = keep("main@sha1:2") // What is as it should be is not made again, though its file is read again.
	for name, digest := range digests {
		if s, _ := k.State(fleet.Models[name]); s.Digest != digest {
			t.Errorf("%s was %s and is %+v", name, digest, s)
		}
	}
	server.Forget(strings.TrimPrefix(name, "http://"))
	fleet.Models["base"].Spec.Source = nil
	if s, _ := keep("main@sha1:3").State(fleet.Models["brief"]); s.Reason != models.Present || s.Digest != digests["brief"] {
		t.Errorf("without what it was made of it is %+v", s)
	}
}

func TestOnlyModelsAreReadFromTheDisk(t *testing.T) {
	url := fake(t, `"tools"`, nil)
	for _, file := range []string{"/etc/passwd", "Modelfile"} {
		fleet := fleetOf(t, "  name: mine\n  endpoint: "+url+"\n  source: {file: "+file+"}\n")
		for _, from := range []string{"/etc/passwd", "../secret.gguf", "/dev/zero"} {
			files := fstest.MapFS{"Modelfile": {Data: []byte("FROM " + from + "\n")}}
			s := models.Ensure(t.Context(), model.Providers{}, fleet.Models["local"], files, fleet, func(models.State) {})
			if s.Reason != models.CreateFailed {
				t.Errorf("%s from %s: %+v", file, from, s)
			}
		}
	}
}

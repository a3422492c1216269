package model

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"
	ollamaname "github.com/ollama/ollama/types/model"

	"github.com/mainstay-dev/mainstay/spec"
)

// The methods here look after models of provider ollama. Each is one request to their server, but for those whose bodies are files.

// Progress is how far a server has come with a model.
type Progress struct {
	// Doing is what it does, such as `pulling manifest`.
	Doing string
	// Percent is how much of what it knows of is there, from 0 to 100.
	Percent int
}

// Pull has the server pull the model from its registry. A name that begins with http:// is pulled without TLS.
func (p Providers) Pull(ctx context.Context, m *spec.Model, tell func(Progress)) error {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return fmt.Errorf("pull model %s: %w", m.Name, err)
	}
	layers := map[string]api.ProgressResponse{}
	done := false
	err = client.Pull(ctx, &api.PullRequest{Model: m.Spec.Name, Insecure: strings.HasPrefix(m.Spec.Name, "http://")}, func(r api.ProgressResponse) error {
		done = r.Status == "success"
		if r.Digest != "" {
			layers[r.Digest] = r
		}
		var completed, total int64
		for _, layer := range layers {
			completed, total = completed+layer.Completed, total+layer.Total
		}
		at := Progress{Doing: r.Status}
		if total > 0 {
			at.Percent = int(min(completed, total) * 100 / total)
		}
		tell(at)
		return nil
	})
	if err == nil && !done {
		err = client.unfinished()
	}
	if err != nil {
		return fmt.Errorf("pull model %s: %w", m.Name, p.explainPull(ctx, err, shown(endpoint), m))
	}
	return nil
}

// explainPull says what to do about a model that cannot be pulled. What the registry answers comes as the server's own failure.
func (p Providers) explainPull(ctx context.Context, err error, endpoint string, m *spec.Model) error {
	text := err.Error()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case strings.Contains(text, "file does not exist") || strings.Contains(text, "invalid model name"):
		return failed(Missing, "the registry has no %s: correct spec.name of Model/%s", m.Spec.Name, m.Name)
	case strings.Contains(text, "no space left"):
		return failed(Unavailable, "the Ollama server at %s has no room on its disk for %s: remove others with `ollama rm`", endpoint, m.Spec.Name)
	case strings.HasPrefix(text, "pull model manifest:") || strings.Contains(text, "max retries exceeded"):
		return failed(Unavailable, "the Ollama server at %s cannot pull %s: %s: give it a way to the registry, or write spec.source.file for a machine without one",
			endpoint, m.Spec.Name, p.short(text))
	}
	_, at, clientErr := p.ollamaClient(ctx, m)
	if clientErr != nil {
		return clientErr
	}
	return p.explain(ctx, err, at, "/api/pull", m)
}

// Delete has the server delete the model, and what of it no other model has.
func (p Providers) Delete(ctx context.Context, m *spec.Model) error {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err == nil {
		if err = client.Delete(ctx, &api.DeleteRequest{Model: m.Spec.Name}); err != nil {
			err = p.explain(ctx, err, endpoint, "/api/delete", m)
		}
	}
	if err != nil {
		return fmt.Errorf("delete model %s: %w", m.Name, err)
	}
	return nil
}

// SameName reports whether two names are of one model of an Ollama server, as qwen3 and library/qwen3:latest are.
func SameName(a, b string) bool { return WholeName(a) == WholeName(b) }

// WholeName is the name of a model of an Ollama server with its registry, namespace and tag, in lower case.
func WholeName(name string) string {
	n := ollamaname.ParseName(name)
	return strings.ToLower(n.Host + "/" + n.Namespace + "/" + n.Model + ":" + n.Tag)
}

// Recipe is what a model is made of.
type Recipe struct {
	// Weights are a GGUF file, and From is the name of a model that the server has, instead. One that it does not have it would pull.
	Weights Blob
	From    string
	// Adapter is a GGUF file that changes the weights; nil is none.
	Adapter          *Blob
	Template, System string
	Licenses         []string
	Parameters       map[string]any
	Messages         []api.Message
}

// Blob is a file that goes to a server.
type Blob struct {
	Digest spec.Digest
	Open   func() (io.ReadCloser, error)
}

// Create has the server make the model of a recipe, in place of one of that name.
func (p Providers) Create(ctx context.Context, m *spec.Model, r Recipe, tell func(Progress)) error {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return fmt.Errorf("create model %s: %w", m.Name, err)
	}
	request := &api.CreateRequest{Model: m.Spec.Name, Template: r.Template, System: r.System, Parameters: r.Parameters, Messages: r.Messages}
	if len(r.Licenses) > 0 {
		request.License = r.Licenses
	}
	send := func(b Blob) error {
		tell(Progress{Doing: "sending " + b.Digest.Short()})
		file, err := b.Open()
		if err != nil {
			return err
		}
		defer file.Close()
		return client.CreateBlob(ctx, string(b.Digest), file)
	}
	if request.From = r.From; r.From == "" {
		request.Files = map[string]string{"model.gguf": string(r.Weights.Digest)}
		err = send(r.Weights)
	}
	if err == nil && r.Adapter != nil {
		request.Adapters = map[string]string{"adapter.gguf": string(r.Adapter.Digest)}
		err = send(*r.Adapter)
	}
	done := false
	if err == nil {
		err = client.Create(ctx, request, func(s api.ProgressResponse) error {
			done = s.Status == "success"
			tell(Progress{Doing: s.Status})
			return nil
		})
	}
	if err == nil && !done {
		err = client.unfinished()
	}
	if err != nil {
		return fmt.Errorf("create model %s: %w", m.Name, p.explain(ctx, err, endpoint, "/api/create", m))
	}
	return nil
}

// Described is what a server says of a model.
type Described struct {
	// Tools, Thinking, Vision and Embedding are what it can.
	Tools, Thinking, Vision, Embedding bool
	// ContextLength is how many tokens it can read at once; 0 where the server does not say.
	ContextLength int
	// Modelfile is how it was made.
	Modelfile string
}

// Describe asks the server of what a model can.
func (p Providers) Describe(ctx context.Context, m *spec.Model) (Described, error) {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return Described{}, fmt.Errorf("describe model %s: %w", m.Name, err)
	}
	shown, err := client.Show(ctx, &api.ShowRequest{Model: m.Spec.Name})
	if err != nil {
		return Described{}, fmt.Errorf("describe model %s: %w", m.Name, p.explain(ctx, err, endpoint, "/api/show", m))
	}
	can := func(what string) bool {
		for _, c := range shown.Capabilities {
			if string(c) == what {
				return true
			}
		}
		return false
	}
	d := Described{Tools: can("tools"), Thinking: can("thinking"), Vision: can("vision"), Embedding: can("embedding"), Modelfile: shown.Modelfile}
	for key, value := range shown.ModelInfo {
		if n, ok := value.(float64); ok && strings.HasSuffix(key, ".context_length") {
			d.ContextLength = int(n)
		}
	}
	return d, nil
}

// Installed is a model that a server has.
type Installed struct {
	Name string
	// Digest is empty where the server tells none.
	Digest spec.Digest
	// Size is in bytes.
	Size int64
}

// Installed asks the server of a model which models it has, sorted by name. Of m only its endpoint and credentials count.
func (p Providers) Installed(ctx context.Context, m *spec.Model) ([]Installed, error) {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return nil, err
	}
	list, err := client.List(ctx)
	if err != nil {
		return nil, p.explain(ctx, err, endpoint, "/api/tags", m)
	}
	var all []Installed
	for _, has := range list.Models {
		all = append(all, Installed{Name: has.Name, Digest: digestOf(has), Size: has.Size})
	}
	slices.SortFunc(all, func(a, b Installed) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Load has the server bring a model into its memory, as the first question to it would, with the parameters of m.
func (p Providers) Load(ctx context.Context, m *spec.Model) error {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return fmt.Errorf("load model %s: %w", m.Name, err)
	}
	request, err := chatRequest(m.Spec, Request{})
	if err != nil {
		return fmt.Errorf("load model %s: %w", m.Name, err)
	}
	if err := client.Chat(ctx, request, func(api.ChatResponse) error { return nil }); err != nil {
		return fmt.Errorf("load model %s: %w", m.Name, p.explain(ctx, err, endpoint, "/api/chat", m))
	}
	return nil
}

// OllamaAt returns the address of the server of a model of provider ollama, as people may see it.
func (p Providers) OllamaAt(m *spec.Model) string {
	endpoint, err := ollamaEndpoint(m)
	if err != nil {
		return m.Spec.Endpoint
	}
	return shown(endpoint)
}

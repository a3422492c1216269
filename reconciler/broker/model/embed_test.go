package model

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// vectorServer answers as the servers of both providers do: for each text a vector of its length and of 1.
func vectorServer(t *testing.T, answer func(texts []string) string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer(asked.Input))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func openAIVectors(texts []string) string {
	var list []string
	for i, text := range texts {
		list = append(list, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":[%d,1]}`, i, len(text)))
	}
	slices.Reverse(list) // Their order says nothing.
	return `{"object":"list","data":[` + strings.Join(list, ",") + `],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}`
}

func ollamaVectors(texts []string) string {
	var list []string
	for _, text := range texts {
		list = append(list, fmt.Sprintf("[%d,1]", len(text)))
	}
	return `{"model":"m","embeddings":[` + strings.Join(list, ",") + `]}`
}

func embedder(provider, endpoint string) *spec.Model {
	return &spec.Model{Resource: spec.Resource{Ref: spec.Ref{Name: "vectors"}}, Spec: spec.ModelSpec{Provider: provider, Name: "m", Endpoint: endpoint}}
}

func TestEachTextHasItsVector(t *testing.T) {
	for provider, answer := range map[string]func([]string) string{spec.ProviderOpenAI: openAIVectors, spec.ProviderOllama: ollamaVectors} {
		got, err := Providers{}.Embed(t.Context(), embedder(provider, vectorServer(t, answer)), []string{"a", "bb", "ccc"})
		if err != nil {
			t.Fatal(provider, err)
		}
		for i, v := range got {
			if len(got) != 3 || !slices.Equal(v, []float32{float32(i + 1), 1}) {
				t.Errorf("%s: %v", provider, got)
			}
		}
	}
}

func TestVectorsThatNothingCanBeComparedBy(t *testing.T) {
	for name, row := range map[string]struct{ provider, answer, want string }{
		"too few":           {spec.ProviderOllama, `{"embeddings":[[1,2]]}`, "1 vectors for 2 texts"},
		"too many":          {spec.ProviderOllama, `{"embeddings":[[1],[2],[3]]}`, "3 vectors for 2 texts"},
		"of two lengths":    {spec.ProviderOllama, `{"embeddings":[[1,2],[1]]}`, "vectors of 2 and of 1 numbers"},
		"empty":             {spec.ProviderOllama, `{"embeddings":[[],[]]}`, "vectors of 0"},
		"beyond the texts":  {spec.ProviderOpenAI, `{"data":[{"index":7,"embedding":[1]}]}`, "a vector for text 7 of 2"},
		"twice for one":     {spec.ProviderOpenAI, `{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`, "a vector for text 0"},
		"one is missing":    {spec.ProviderOpenAI, `{"data":[{"index":1,"embedding":[1]}]}`, "vectors of 0"},
		"further than far":  {spec.ProviderOpenAI, `{"data":[{"index":0,"embedding":[1e300]},{"index":1,"embedding":[1]}]}`, "no place"},
		"nothing but words": {spec.ProviderOpenAI, `{"error":{"message":"no such model"}}`, "vectors of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			at := vectorServer(t, func([]string) string { return row.answer })
			_, err := Providers{}.Embed(t.Context(), embedder(row.provider, at), []string{"a", "b"})
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "embed with model vectors: ") {
				t.Errorf("%v, want %s", err, row.want)
			}
		})
	}
}

func TestOnlySomeModelsMakeVectors(t *testing.T) {
	if _, err := (Providers{}).Embed(t.Context(), embedder(spec.ProviderAnthropic, ""), []string{"a"}); err == nil || !strings.Contains(err.Error(), "anthropic makes no vectors") {
		t.Error(err)
	}
	if _, err := (Providers{}).Embed(t.Context(), embedder(spec.ProviderOllama, ""), make([]string, MaxEmbedded+1)); err == nil || !strings.Contains(err.Error(), "65 texts") {
		t.Error(err)
	}
}

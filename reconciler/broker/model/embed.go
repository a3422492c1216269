package model

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ollama/ollama/api"
	"github.com/openai/openai-go/v3"

	"github.com/mainstay-dev/mainstay/spec"
)

// MaxEmbedded is how many texts one request of [Providers.Embed] may have.
const MaxEmbedded = 64

// maxDimensions bounds the length of a vector.
const maxDimensions = 16384

// Embed has a model of provider ollama or openai say where texts lie among all texts: one vector each, all as long as another. An error
// of a server is as that of Chat.
func (p Providers) Embed(ctx context.Context, m *spec.Model, texts []string) (vectors [][]float32, err error) {
	switch {
	case len(texts) == 0 || len(texts) > MaxEmbedded:
		err = fmt.Errorf("%d texts are not 1 to %d", len(texts), MaxEmbedded)
	case m.Spec.Provider == spec.ProviderOpenAI:
		vectors, err = openAI{p}.embed(ctx, m, texts)
	case m.Spec.Provider == spec.ProviderOllama:
		vectors, err = p.ollamaEmbed(ctx, m, texts)
	default:
		err = fmt.Errorf("a model of provider %s makes no vectors", m.Spec.Provider)
	}
	if err == nil {
		err = sound(vectors, len(texts))
	}
	if err != nil {
		return nil, fmt.Errorf("embed with model %s: %w", m.Name, err)
	}
	return vectors, nil
}

// sound refuses vectors that nothing can be compared by.
func sound(vectors [][]float32, texts int) error {
	if len(vectors) != texts {
		return fmt.Errorf("the server has %d vectors for %d texts", len(vectors), texts)
	}
	for _, v := range vectors {
		if len(v) == 0 || len(v) > maxDimensions || len(v) != len(vectors[0]) {
			return fmt.Errorf("the server has vectors of %d and of %d numbers", len(vectors[0]), len(v))
		}
		for _, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return errors.New("the server has a vector that is no place")
			}
		}
	}
	return nil
}

func (p Providers) ollamaEmbed(ctx context.Context, m *spec.Model, texts []string) ([][]float32, error) {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return nil, err
	}
	chat, err := chatRequest(m.Spec, Request{})
	if err != nil {
		return nil, err
	}
	answer, err := client.Embed(ctx, &api.EmbedRequest{Model: m.Spec.Name, Input: texts, KeepAlive: chat.KeepAlive, Truncate: chat.Truncate, Options: chat.Options})
	if err != nil {
		return nil, p.explain(ctx, err, endpoint, "/api/embed", m)
	}
	return answer.Embeddings, nil
}

func (p openAI) embed(ctx context.Context, m *spec.Model, texts []string) ([][]float32, error) {
	client, endpoint, at, err := p.dial(ctx, m, Request{}, openAIBase, bearer)
	if err != nil {
		return nil, err
	}
	service := openai.NewEmbeddingService(openAIOptions(at.whole(client), endpoint)...)
	answer, err := service.New(ctx, openai.EmbeddingNewParams{
		Model: m.Spec.Name, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	})
	if err != nil {
		return nil, at.openAIError(ctx, err)
	}
	vectors := make([][]float32, len(texts))
	for _, one := range answer.Data {
		if one.Index < 0 || one.Index >= int64(len(vectors)) || vectors[one.Index] != nil {
			return nil, fmt.Errorf("the server has a vector for text %d of %d", one.Index, len(texts))
		}
		v := make([]float32, len(one.Embedding))
		for i, x := range one.Embedding {
			v[i] = float32(x)
		}
		vectors[one.Index] = v
	}
	return vectors, nil
}

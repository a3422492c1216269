package model

import "github.com/mainstay-dev/mainstay/spec"

// AsksServer says whether a model is at a server, which may forget to say what an answer took.
func AsksServer(m *spec.Model) bool {
	return m.Spec.Provider != spec.ProviderScripted && m.Spec.Provider != spec.ProviderReplay
}

// Estimate is what the request took where the server does not say it: what was sent, and what has come, which is an answer, or so many
// bytes of one.
func (r Request) Estimate(seen int, answer Answer) spec.Usage {
	whole := len(answer.Text)
	for _, c := range answer.Calls {
		whole += len(c.Name) + len(c.Arguments)
	}
	return spec.Usage{Input: r.Bytes() / BytesPerToken, Output: max(whole, seen) / BytesPerToken}
}

// Package server serves the shop.
package server

import "net/http"

// Limit bounds requests.
const Limit = 10

// Server serves.
type Server struct {
	mux *http.ServeMux
}

// Start starts it.
//
// It blocks.
func (s *Server) Start(addr string) error {
	return http.ListenAndServe(addr, s.mux)
}

func helper[T any](x T) T {
	return x
}

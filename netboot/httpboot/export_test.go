package httpboot

import "net/http"

// Handler is what the server serves, without a network.
func (s *Server) Handler() http.Handler { return s.http.Handler }

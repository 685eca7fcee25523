package emulator

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strconv"
	"time"
)

const sessionsPath = "/redfish/v1/SessionService/Sessions"

type session struct {
	id, token string
	used      time.Time
}

// OpenSessions is how many sessions there are.
func (s *Server) OpenSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return len(s.sessions)
}

// EndSessions forgets all sessions, as a BMC that restarts does.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// expire needs the lock.
func (s *Server) expire() {
	now := s.config.Now()
	for id, session := range s.sessions {
		if now.Sub(session.used) > s.config.SessionTimeout {
			delete(s.sessions, id)
		}
	}
}

// authenticate tells how a request did, and whether it may be served.
func (s *Server) authenticate(r *http.Request) (Authentication, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		for _, session := range s.sessions {
			if equal(session.token, token) {
				session.used = s.config.Now()
				return Session, !s.lies.DeadSessions
			}
		}
		return Session, false
	}
	user, password, given := r.BasicAuth()
	if !given {
		return Anonymous, false
	}
	return Basic, !s.lies.NoBasic && equal(user, s.config.User) && equal(password, s.config.Password)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (s *Server) login(x *exchange) {
	x.action = "login"
	var credentials struct{ UserName, Password string }
	if !x.decode(&credentials) {
		return
	}
	if !equal(credentials.UserName, s.config.User) || !equal(credentials.Password, s.config.Password) {
		x.fail(http.StatusUnauthorized, "Base.1.8.ResourceAtUriUnauthorized", "The user name or the password is wrong.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if s.lies.NoSessions {
		x.fail(http.StatusMethodNotAllowed, "Base.1.8.OperationNotAllowed", "Sessions are not supported.")
		return
	}
	if len(s.sessions) >= s.config.Sessions {
		x.fail(http.StatusServiceUnavailable, "Base.1.8.SessionLimitExceeded", "There are too many sessions.")
		return
	}
	s.counter++
	opened := &session{id: strconv.Itoa(s.counter), token: rand.Text(), used: s.config.Now()}
	s.sessions[opened.id] = opened
	x.header("X-Auth-Token", opened.token)
	x.header("Location", sessionsPath+"/"+opened.id)
	x.answer(http.StatusCreated, s.sessionResource(opened.id))
}

func (s *Server) logout(x *exchange) {
	x.action = "logout"
	s.mu.Lock()
	defer s.mu.Unlock()
	id := x.request.PathValue("id")
	if s.sessions[id] == nil {
		x.missing()
		return
	}
	delete(s.sessions, id)
	x.answer(http.StatusNoContent, nil)
}

func (s *Server) sessionResource(id string) resource {
	return resource{
		"@odata.id": sessionsPath + "/" + id, "@odata.type": "#Session.v1_1_0.Session",
		"Id": id, "Name": "Session " + id, "UserName": s.config.User,
	}
}

func (s *Server) getSession(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := x.request.PathValue("id")
	if s.sessions[id] == nil {
		x.missing()
		return
	}
	x.answer(http.StatusOK, s.sessionResource(id))
}

func (s *Server) listSessions(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	var ids []string
	for id := range s.sessions {
		ids = append(ids, id)
	}
	x.answer(http.StatusOK, collection(sessionsPath, "SessionCollection", ids))
}

package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// resource is a JSON object.
type resource map[string]any

// exchange is a request and the answer that is to be sent.
type exchange struct {
	request *http.Request
	action  string
	system  string

	headers http.Header
	status  int
	body    any
}

func (x *exchange) header(name, value string) { x.headers.Set(name, value) }

func (x *exchange) answer(status int, body any) { x.status, x.body = status, body }

// fail answers as DSP0266 section "Error responses" says.
func (x *exchange) fail(status int, id, message string) {
	x.answer(status, resource{"error": resource{
		"code": "Base.1.8.GeneralError", "message": "See @Message.ExtendedInfo for more information.",
		"@Message.ExtendedInfo": []resource{{
			"@odata.type": "#Message.v1_0_8.Message", "MessageId": id, "Message": message, "Severity": "Critical", "Resolution": "None.",
		}},
	}})
}

func (x *exchange) missing() {
	x.fail(http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "There is no resource at "+x.request.URL.Path+".")
}

func (x *exchange) decode(into any) bool {
	if err := json.NewDecoder(io.LimitReader(x.request.Body, 1<<20)).Decode(into); err != nil {
		x.fail(http.StatusBadRequest, "Base.1.8.MalformedJSON", "The request is not JSON: "+err.Error()+".")
		return false
	}
	return true
}

// routes are all there is. What is not behind open needs authentication.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, serve func(*exchange)) { mux.Handle(pattern, s.handle(serve, false)) }
	route := func(pattern string, serve func(*exchange)) { mux.Handle(pattern, s.handle(serve, true)) }
	open("GET /redfish", func(x *exchange) { x.answer(http.StatusOK, resource{"v1": "/redfish/v1/"}) })
	open("GET /redfish/v1", s.root)
	open("GET /redfish/v1/{$}", s.root)
	open("POST "+sessionsPath, s.login)
	route("GET /redfish/v1/SessionService", s.sessionService)
	route("GET "+sessionsPath, s.listSessions)
	route("GET "+sessionsPath+"/{id}", s.getSession)
	route("DELETE "+sessionsPath+"/{id}", s.logout)
	route("GET "+systemsPath, s.listSystems)
	route("GET "+systemsPath+"/{id}", s.getSystem)
	route("PATCH "+systemsPath+"/{id}", s.patchSystem)
	route("GET "+systemsPath+"/{id}/SD", s.getSettings)
	route("PATCH "+systemsPath+"/{id}/SD", s.patchSettings)
	route("GET "+systemsPath+"/{id}/ResetActionInfo", s.getActionInfo)
	route("POST "+systemsPath+"/{id}/Actions/ComputerSystem.Reset", s.reset)
	route("GET /redfish/v1/Managers", func(x *exchange) {
		x.answer(http.StatusOK, collection("/redfish/v1/Managers", "ManagerCollection", []string{"BMC"}))
	})
	route("GET /redfish/v1/Managers/BMC", s.manager)
	route("GET /redfish/v1/Chassis", func(x *exchange) {
		x.answer(http.StatusOK, collection("/redfish/v1/Chassis", "ChassisCollection", nil))
	})
	route("/", func(x *exchange) { x.missing() })
	return mux
}

// handle makes a handler that lies, authenticates, serves, and logs.
func (s *Server) handle(serve func(*exchange), authenticated bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lies := s.telling()
		if !s.delay(r, lies) {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		x := &exchange{request: r, headers: http.Header{"OData-Version": {"4.0"}, "Cache-Control": {"no-cache"}}}
		authentication, allowed := s.authenticate(r)
		switch {
		case r.Method == http.MethodGet && lies.Redirect != "":
			x.header("Location", lies.Redirect)
			x.answer(http.StatusTemporaryRedirect, nil)
		case authenticated && !allowed:
			x.fail(http.StatusUnauthorized, "Base.1.8.NoValidSession", "There is no valid session for the request.")
			x.header("WWW-Authenticate", `Basic realm="BMC"`)
		default:
			serve(x)
		}
		s.record(x, authentication)
		s.write(w, x, lies)
	})
}

// delay is false when there is to be no answer.
func (s *Server) delay(r *http.Request, lies Lies) bool {
	var over <-chan time.Time
	switch {
	case lies.Hang:
	case lies.Delay > 0:
		timer := time.NewTimer(lies.Delay)
		defer timer.Stop()
		over = timer.C
	default:
		return true
	}
	// Only a server that reads the body notices that the client is gone.
	if body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20)); err == nil {
		r.Body = io.NopCloser(&buffer{body})
	}
	select {
	case <-over:
		return true
	case <-r.Context().Done():
	case <-s.closing:
	}
	return false
}

// buffer is a body that was read already.
type buffer struct{ rest []byte }

func (b *buffer) Read(into []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(into, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (s *Server) record(x *exchange, authentication Authentication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, Command{
		Time: s.config.Now(), Remote: x.request.RemoteAddr, Method: x.request.Method, Path: x.request.URL.Path,
		Authentication: authentication, Action: x.action, System: x.system, Status: x.status,
	})
}

func (s *Server) write(w http.ResponseWriter, x *exchange, lies Lies) {
	for name, values := range x.headers {
		w.Header()[name] = values
	}
	if x.status == http.StatusNoContent {
		w.WriteHeader(x.status)
		return
	}
	body, err := json.Marshal(x.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if lies.Garbage != "" && x.request.Method == http.MethodGet && x.status == http.StatusOK {
		body = []byte(lies.Garbage)
	}
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(x.status)
	_, _ = w.Write(body)
}

func (s *Server) root(x *exchange) {
	x.answer(http.StatusOK, resource{
		"@odata.id": "/redfish/v1/", "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
		"Id": "RootService", "Name": "Root Service", "RedfishVersion": "1.8.0", "UUID": "92384634-2938-2342-8820-489239905423",
		"Systems": link(systemsPath), "Chassis": link("/redfish/v1/Chassis"), "Managers": link("/redfish/v1/Managers"),
		"SessionService": link("/redfish/v1/SessionService"),
		"Links":          resource{"Sessions": link(sessionsPath)},
	})
}

func (s *Server) sessionService(x *exchange) {
	x.answer(http.StatusOK, resource{
		"@odata.id": "/redfish/v1/SessionService", "@odata.type": "#SessionService.v1_1_6.SessionService",
		"Id": "SessionService", "Name": "Session Service", "ServiceEnabled": true,
		"SessionTimeout": int(s.config.SessionTimeout.Seconds()), "Status": resource{"State": "Enabled", "Health": "OK"},
		"Sessions": link(sessionsPath),
	})
}

func (s *Server) manager(x *exchange) {
	x.answer(http.StatusOK, resource{
		"@odata.id": "/redfish/v1/Managers/BMC", "@odata.type": "#Manager.v1_5_0.Manager",
		"Id": "BMC", "Name": "Manager", "ManagerType": "BMC", "FirmwareVersion": "1.0", "PowerState": "On",
		"Status": resource{"State": "Enabled", "Health": "OK"},
	})
}

func link(path string) resource { return resource{"@odata.id": path} }

func collection(path, kind string, ids []string) resource {
	slices.Sort(ids)
	members := []resource{}
	for _, id := range ids {
		members = append(members, link(path+"/"+id))
	}
	return resource{
		"@odata.id": path, "@odata.type": "#" + kind + "." + kind, "Name": kind,
		"Members": members, "Members@odata.count": len(members),
	}
}

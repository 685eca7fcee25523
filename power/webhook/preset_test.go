package webhook

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// plug answers as the makes' public documentation shows it, and keeps a relay.
type plug struct {
	on   bool
	sent []string
}

func (p *plug) set(on bool) { p.on = on }

// shellyGen1 is /relay/0 of Shelly's first generation.
func (p *plug) shellyGen1(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "admin" || password != "pa ss&" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.URL.Query().Get("turn") {
	case "on":
		p.set(true)
	case "off":
		p.set(false)
	}
	fmt.Fprintf(w, `{"ison":%t,"has_timer":false,"timer_started":0,"timer_duration":0,"timer_remaining":0,"source":"http"}`, p.on)
}

// shellyGen2 is RPC over HTTP of its second.
func (p *plug) shellyGen2(w http.ResponseWriter, r *http.Request) {
	const nonce = "1625038762"
	parameters, _ := digestParameters(r.Header.Get("Authorization"))
	want, _ := digestParameters(challenge{realm: "shellyplus1pm-a8032abe54dc", nonce: nonce, algorithm: "SHA-256", qop: "auth"}.
		authorization(Auth{User: "admin", Password: "pa ss&"}, r.Method, r.URL.RequestURI(), parameters["cnonce"]))
	if parameters["response"] != want["response"] {
		w.Header().Set("WWW-Authenticate", `Digest qop="auth", realm="shellyplus1pm-a8032abe54dc", nonce="`+nonce+`", algorithm=SHA-256`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch query := r.URL.Query(); r.URL.Path {
	case "/rpc/Switch.Set":
		fmt.Fprintf(w, `{"was_on":%t}`, p.on)
		p.set(query.Get("on") == "true")
	case "/rpc/Switch.GetStatus":
		fmt.Fprintf(w, `{"id":0,"source":"HTTP_in","output":%t,"apower":0,"voltage":237.5}`, p.on)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// tasmota is /cm; a wrong password has status 200, as before version 12.
func (p *plug) tasmota(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("user") != "admin" || query.Get("password") != "pa ss&" {
		fmt.Fprint(w, `{"WARNING":"Need user=<username>&password=<password>"}`)
		return
	}
	switch command := query.Get("cmnd"); {
	case command == "Power1 On":
		p.set(true)
	case command == "Power1 Off":
		p.set(false)
	case strings.HasPrefix(command, "Backlog "):
		p.set(false)
		fmt.Fprint(w, `{}`)
		return
	case command != "Power1":
		fmt.Fprint(w, `{"Command":"Unknown"}`)
		return
	}
	state := "OFF"
	if p.on {
		state = "ON"
	}
	fmt.Fprintf(w, `{"POWER":"%s"}`, state)
}

// homeAssistant is its REST API.
func (p *plug) homeAssistant(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer to.ken" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "401: Unauthorized")
		return
	}
	body, _ := io.ReadAll(r.Body)
	switch what := r.Method + " " + r.URL.Path; {
	case what == "GET /api/states/switch.rack_7":
		state := "off"
		if p.on {
			state = "on"
		}
		fmt.Fprintf(w, `{"entity_id":"switch.rack_7","state":"%s","attributes":{}}`, state)
	case string(body) == `{"entity_id":"switch.rack_7"}` && strings.HasPrefix(what, "POST /api/services/homeassistant/turn_"):
		p.set(strings.HasSuffix(what, "_on"))
		fmt.Fprint(w, `[]`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestPresets(t *testing.T) {
	good := Target{Password: "pa ss&", Token: "to.ken", Off: 7 * time.Second}
	bad := Target{Password: "hunter2", Token: "hunter2"}
	for name, test := range map[string]struct {
		serve  func(*plug, http.ResponseWriter, *http.Request)
		entity string
		cycle  string // what a cycle sends; empty when it is off and on
	}{
		ShellyGen1:    {(*plug).shellyGen1, "", "/relay/0?turn=off&timer=7"},
		ShellyGen2:    {(*plug).shellyGen2, "0", "/rpc/Switch.Set?id=0&on=false&toggle_after=7"},
		Tasmota:       {(*plug).tasmota, "1", "/cm?user=admin&password=pa+ss%26&cmnd=Backlog%20Power1%20Off%3BDelay%2070%3BPower1%20On"},
		HomeAssistant: {(*plug).homeAssistant, "switch.rack_7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plug{}
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p.sent = append(p.sent, r.URL.RequestURI())
				test.serve(p, w, r)
			}))
			plugged := func(target Target) *Driver {
				target.URL, target.Entity = url+"/", test.entity
				config, err := Preset(name, target)
				if err != nil {
					t.Fatal(err)
				}
				if config.Cycle == nil {
					config.Pause = time.Millisecond
				}
				return driver(t, config)
			}
			d := plugged(good)
			for _, want := range []power.State{power.Off, power.On, power.Off} {
				var err error
				switch {
				case want == power.On:
					err = d.On(t.Context())
				case p.on:
					err = d.Off(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				if state, err := d.State(t.Context()); state != want || err != nil || p.on != (want == power.On) {
					t.Errorf("state is %s, %v, not %s", state, err, want)
				}
			}
			if err := d.Cycle(t.Context()); err != nil {
				t.Error(err)
			}
			if test.cycle != "" && p.sent[len(p.sent)-1] != test.cycle {
				t.Errorf("a cycle sends %s", p.sent[len(p.sent)-1])
			}
			if test.cycle == "" && !p.on {
				t.Error("a cycle leaves it off")
			}
			p.on = false
			stranger := plugged(bad)
			for what, err := range map[string]error{"on": stranger.On(t.Context()), "cycle": stranger.Cycle(t.Context())} {
				if err == nil || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s with a wrong password: %v", what, err)
				}
			}
			if state, err := stranger.State(t.Context()); err == nil || state != power.Unknown || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("state with a wrong password: %s, %v", state, err)
			}
			if p.on {
				t.Error("on by a wrong password")
			}
		})
	}
}

// TestTasmotaRelays: a device with several relays names them all by number, one with a single one does not.
func TestTasmotaRelays(t *testing.T) {
	for body, want := range map[string]power.State{`{"POWER":"ON"}`: power.On, `{"POWER1":"OFF"}`: power.Off, `{"POWER2":"ON"}`: power.Unknown} {
		config, err := Preset(Tasmota, Target{URL: serve(t, &device{body: body})})
		if err != nil {
			t.Fatal(err)
		}
		if state, _ := driver(t, config).State(t.Context()); state != want {
			t.Errorf("%s is %s", body, state)
		}
	}
	config, err := Preset(Tasmota, Target{URL: "http://x", Entity: "12"})
	if err != nil || config.On.URL != "http://x/cm?cmnd=Power12%20On" {
		t.Errorf("%v, %v", config.On, err)
	}
}

func TestPresetMistakes(t *testing.T) {
	good := Target{URL: "http://10.0.0.9"}
	for want, ask := range map[string]func() (string, Target){
		`"kasa" is none of home-assistant, shelly-gen1, shelly-gen2, tasmota`: func() (string, Target) { return "kasa", good },
		"preset shelly-gen1: entity: \"x\" is not a channel":                  func() (string, Target) { return ShellyGen1, Target{URL: good.URL, Entity: "x"} },
		"\"0\" is not a channel between 1 and 32":                             func() (string, Target) { return Tasmota, Target{URL: good.URL, Entity: "0"} },
		"preset home-assistant: entity: \"Rack 7\" is not":                    func() (string, Target) { return HomeAssistant, Target{URL: good.URL, Entity: "Rack 7"} },
		"token: is required":                func() (string, Target) { return HomeAssistant, Target{URL: good.URL, Entity: "switch.a"} },
		"url: is not one of a device":       func() (string, Target) { return ShellyGen2, Target{URL: "http://x/?a=b"} },
		"off: 1.5s is not whole seconds":    func() (string, Target) { return ShellyGen2, Target{URL: good.URL, Off: 1500 * time.Millisecond} },
		"off: Tasmota delays 6 min at most": func() (string, Target) { return Tasmota, Target{URL: good.URL, Off: 7 * time.Minute} },
	} {
		name, target := ask()
		if _, err := Preset(name, target); !matches(err, want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if names := Presets(); !slices.Contains(names, Tasmota) || len(names) != 4 {
		t.Error(names)
	}
	for _, name := range Presets() {
		config, err := Preset(name, Target{URL: "https://device.example:8443/base", Entity: map[string]string{HomeAssistant: "switch.a"}[name], Token: "t"})
		if err != nil || config.Validate() != nil {
			t.Errorf("%s: %v, %v", name, err, config.Validate())
		}
	}
}

package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Target is the device that a preset is for.
type Target struct {
	// URL is how the device is reached, such as http://10.0.0.9 or https://home.example:8123.
	URL string
	// Entity is the channel of a device with several (Shelly counts from 0, Tasmota from 1; the first when empty), or Home
	// Assistant's entity, such as switch.rack_7.
	Entity string
	// User, Password and Token as the preset says.
	User, Password, Token string
	// Off is for how long a cycle leaves the machine without power: 10 s.
	Off time.Duration
}

// The presets.
const (
	// ShellyGen1 is Shelly's first generation (Shelly 1, Plug, Plug S): /relay/N, whose timer gives the power back by itself.
	// User and Password are optional, sent by basic authentication.
	// Source: https://shelly-api-docs.shelly.cloud/gen1/
	ShellyGen1 = "shelly-gen1"
	// ShellyGen2 is Shelly's second and later generations (Plus, Pro, Gen3, Gen4): RPC Switch.Set and Switch.GetStatus over
	// HTTP, whose toggle_after gives the power back by itself. Password is optional, sent by digest authentication; the user
	// is always admin. Source: https://shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Switch and
	// /gen2/General/Authentication
	ShellyGen2 = "shelly-gen2"
	// Tasmota is that firmware's /cm?cmnd=; a Backlog with a Delay gives the power back by itself. Password is optional,
	// sent in the query; the user is admin when empty. Source: https://tasmota.github.io/docs/Commands/
	Tasmota = "tasmota"
	// HomeAssistant calls the services turn_on and turn_off of its REST API. Token is a long-lived access token. A cycle is
	// off, a pause, on. Source: https://developers.home-assistant.io/docs/api/rest/
	HomeAssistant = "home-assistant"
)

// presets are made from a target whose URL ends without a slash and whose Off is set.
func presets() map[string]func(Target) (Config, error) {
	return map[string]func(Target) (Config, error){
		ShellyGen1: shellyGen1, ShellyGen2: shellyGen2, Tasmota: tasmota, HomeAssistant: homeAssistant,
	}
}

// Presets are their names, sorted.
func Presets() []string { return slices.Sorted(maps.Keys(presets())) }

// Preset is the configuration for a device of a known make.
func Preset(name string, target Target) (Config, error) {
	build, known := presets()[name]
	if !known {
		return Config{}, fmt.Errorf("preset: %q is none of %s", name, strings.Join(Presets(), ", "))
	}
	target.Off = cmp.Or(target.Off, 10*time.Second)
	var mistakes []error
	if target.Off < time.Second || target.Off > 10*time.Minute || target.Off%time.Second != 0 {
		mistakes = append(mistakes, fmt.Errorf("off: %s is not whole seconds between 1 s and 10 min", target.Off))
	}
	if strings.ContainsAny(target.URL, "?#$") || target.URL == "" {
		mistakes = append(mistakes, errors.New("url: is not one of a device: it is like http://10.0.0.9"))
	}
	target.URL = strings.TrimRight(target.URL, "/")
	config, err := build(target)
	if err := errors.Join(append(mistakes, err)...); err != nil {
		return Config{}, fmt.Errorf("preset %s: %w", name, err)
	}
	return config, nil
}

// channel is a number between two, the first one when there is none.
func channel(entity string, first, last int) (int, error) {
	if entity == "" {
		return first, nil
	}
	number, err := strconv.Atoi(entity)
	if err != nil || number < first || number > last {
		return 0, fmt.Errorf("entity: %q is not a channel between %d and %d", entity, first, last)
	}
	return number, nil
}

func seconds(duration time.Duration) int { return int(duration / time.Second) }

func shellyGen1(target Target) (Config, error) {
	number, err := channel(target.Entity, 0, 9)
	relay := fmt.Sprintf("%s/relay/%d", target.URL, number)
	const on, off = `"ison"\s*:\s*true`, `"ison"\s*:\s*false`
	config := Config{
		On:    &Request{URL: relay + "?turn=on", Success: on},
		Off:   &Request{URL: relay + "?turn=off", Success: off},
		Cycle: &Request{URL: fmt.Sprintf("%s?turn=off&timer=%d", relay, seconds(target.Off)), Success: off},
		State: &StateRequest{Request: Request{URL: relay}, JSONPath: "ison"},
		Pause: target.Off,
	}
	if target.Password != "" {
		config.Auth = Auth{Scheme: Basic, User: cmp.Or(target.User, "admin"), Password: target.Password}
	}
	return config, err
}

func shellyGen2(target Target) (Config, error) {
	number, err := channel(target.Entity, 0, 99)
	set := fmt.Sprintf("%s/rpc/Switch.Set?id=%d&on=", target.URL, number)
	const done = `"was_on"`
	config := Config{
		On:    &Request{URL: set + "true", Success: done},
		Off:   &Request{URL: set + "false", Success: done},
		Cycle: &Request{URL: fmt.Sprintf("%sfalse&toggle_after=%d", set, seconds(target.Off)), Success: done},
		State: &StateRequest{Request: Request{URL: fmt.Sprintf("%s/rpc/Switch.GetStatus?id=%d", target.URL, number)}, JSONPath: "output"},
		Pause: target.Off,
	}
	if target.Password != "" {
		config.Auth = Auth{Scheme: Digest, User: "admin", Password: target.Password}
	}
	return config, err
}

// tasmota: the answer names the relay POWER where there is one only, else POWER1 and so on; and a wrong password is
// answered with status 200 and a WARNING by older versions.
func tasmota(target Target) (Config, error) {
	number, err := channel(target.Entity, 1, 32)
	command := target.URL + "/cm?"
	config := Config{Pause: target.Off}
	if target.Password != "" {
		command += "user=${user}&password=${password}&"
		config.Auth = Auth{User: cmp.Or(target.User, "admin"), Password: target.Password}
	}
	command += "cmnd="
	relay := fmt.Sprintf("POWER%d", number)
	if number == 1 {
		relay = "POWER1?"
	}
	answer := func(state string) string { return fmt.Sprintf(`"%s"\s*:\s*"%s"`, relay, state) }
	const refused = `"WARNING"`
	config.On = &Request{URL: fmt.Sprintf("%sPower%d%%20On", command, number), Success: answer("ON"), Failure: refused}
	config.Off = &Request{URL: fmt.Sprintf("%sPower%d%%20Off", command, number), Success: answer("OFF"), Failure: refused}
	config.Cycle = &Request{
		// Delay counts tenths of a second.
		URL:     fmt.Sprintf("%sBacklog%%20Power%d%%20Off%%3BDelay%%20%d%%3BPower%d%%20On", command, number, 10*seconds(target.Off), number),
		Failure: refused,
	}
	config.State = &StateRequest{Request: Request{URL: fmt.Sprintf("%sPower%d", command, number), Failure: refused}, Regexp: answer("(ON|OFF)")}
	// Delay's largest value.
	if target.Off > 6*time.Minute {
		err = errors.Join(err, errors.New("off: Tasmota delays 6 min at most"))
	}
	return config, err
}

func homeAssistant(target Target) (Config, error) {
	var mistakes []error
	if matched, _ := regexp.MatchString(`^[a-z0-9_]+\.[a-z0-9_]+$`, target.Entity); !matched {
		mistakes = append(mistakes, fmt.Errorf("entity: %q is not one of Home Assistant, which are like switch.rack_7", target.Entity))
	}
	if target.Token == "" {
		mistakes = append(mistakes, errors.New("token: is required: make a long-lived access token on the profile page of Home Assistant's user"))
	}
	// The domain homeassistant turns on and off entities of every domain.
	service := func(name string) *Request {
		return &Request{
			Method: http.MethodPost, URL: target.URL + "/api/services/homeassistant/" + name,
			Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"entity_id":"` + target.Entity + `"}`,
		}
	}
	return Config{
		On: service("turn_on"), Off: service("turn_off"),
		State: &StateRequest{Request: Request{URL: target.URL + "/api/states/" + target.Entity}, JSONPath: "state"},
		Pause: target.Off,
		Auth:  Auth{Scheme: Bearer, Token: target.Token},
	}, errors.Join(mistakes...)
}

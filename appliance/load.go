package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Sources are where a configuration comes from, besides the defaults.
type Sources struct {
	// Flags that were parsed from the command line; only those that were given count.
	Flags *pflag.FlagSet
	// Environment in the form of os.Environ.
	Environment []string
	// ReadFile is os.ReadFile.
	ReadFile func(path string) ([]byte, error)
}

// Override is a setting that the environment decided.
type Override struct {
	Key      string // the setting's key in the configuration file
	Variable string
	Value    string
}

// Loaded is a configuration and what there is to say about where it came from.
type Loaded struct {
	Config
	// Overrides are the settings that the environment decided.
	Overrides []Override
	// Ignored are variables that look like settings but are none in this version.
	Ignored []string
}

// given is a setting's value from one source.
type given struct {
	flag  string // or the key of a structure
	value string
	node  *yaml.Node // a structure's value
	where string     // names the source in errors
}

// Load puts the configuration together: a flag beats the environment, that
// beats the file, and that beats the defaults. The error joins everything that
// is wrong, each with the key, variable or flag it is about.
func Load(from Sources) (Loaded, error) {
	environment, ignored := readEnvironment(from.Environment)
	flags := changedFlags(from.Flags)
	file, errs := readConfigFile(from.ReadFile, slices.Concat(environment, flags))
	config := Defaults()
	for _, layer := range [][]given{file, environment, flags} {
		errs = append(errs, apply(&config, layer)...)
	}
	errs = append(errs, config.absolute())
	if err := errors.Join(errs...); err != nil {
		return Loaded{}, err
	}
	unread := config.readAuthorities(from.ReadFile)
	if err := errors.Join(append(unread, config.Validate())...); err != nil {
		return Loaded{}, err
	}
	return Loaded{Config: config, Overrides: overrides(environment, flags), Ignored: ignored}, nil
}

// apply writes the values of one source over what weaker sources said.
func apply(c *Config, layer []given) []error {
	var errs []error
	table := settings(c)
	for _, s := range table { // an alias stands behind what it is the alias of
		g, ok := find(layer, s.flag)
		if !ok {
			continue
		}
		target, clash := find(layer, s.aliasOf)
		before := aliased(table, s).String()
		if err := s.value.Set(g.value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.where, err))
			continue
		}
		if after := aliased(table, s).String(); clash && before != after {
			errs = append(errs, fmt.Errorf("%s: says %s but %s says %s: they are two names of one setting, give one", g.where, after, target.where, before))
		}
	}
	for _, s := range structures(c) {
		if g, ok := find(layer, s.key); ok && !isNull(g.node) {
			errs = append(errs, s.read(g.where, g.node)...)
		}
	}
	return errs
}

// aliased is the value that the setting writes to, under its main name.
func aliased(table []setting, s setting) pflag.Value {
	at := slices.IndexFunc(table, func(t setting) bool { return t.flag == s.aliasOf })
	if at < 0 {
		return s.value
	}
	return table[at].value
}

func find(layer []given, flag string) (given, bool) {
	at := slices.IndexFunc(layer, func(g given) bool { return g.flag == flag })
	if at < 0 {
		return given{}, false
	}
	return layer[at], true
}

// readEnvironment returns the settings that the environment gives, and the
// names of variables that look like settings but are none. An empty variable
// counts as absent, as in a systemd EnvironmentFile that is only half filled in.
func readEnvironment(environment []string) (layer []given, ignored []string) {
	present := map[string]string{}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, environmentPrefix) || strings.HasPrefix(name, upstreamPrefix)
		if ours && value != "" {
			present[name] = value
		}
	}
	for _, s := range settings(&Config{}) {
		found := false
		for _, name := range s.variables() {
			value, ok := present[name]
			delete(present, name)
			if ok && !found {
				layer = append(layer, given{flag: s.flag, value: value, where: name})
				found = true
			}
		}
	}
	for name := range present {
		ignored = append(ignored, name)
	}
	slices.Sort(ignored)
	return layer, ignored
}

// changedFlags returns the flags that were on the command line.
func changedFlags(flags *pflag.FlagSet) []given {
	var layer []given
	if flags == nil {
		return nil
	}
	flags.Visit(func(f *pflag.Flag) {
		layer = append(layer, given{flag: f.Name, value: f.Value.String(), where: "--" + f.Name})
	})
	return layer
}

func overrides(environment, flags []given) []Override {
	var out []Override
	for _, s := range settings(&Config{}) {
		g, ok := find(environment, s.flag)
		if _, beaten := find(flags, s.flag); ok && !beaten {
			out = append(out, Override{Key: s.key(), Variable: g.where, Value: g.value})
		}
	}
	return out
}

// readConfigFile reads the file that the other sources name, or the default one
// if it exists.
func readConfigFile(read func(string) ([]byte, error), named []given) ([]given, []error) {
	path := ""
	for _, g := range named {
		if g.flag == "config" {
			path = g.value // a later source is a stronger one
		}
	}
	if path == "" {
		data, err := read(DefaultConfigFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return parseOrFail(DefaultConfigFile, data, err)
	}
	data, err := read(path)
	return parseOrFail(path, data, err)
}

func parseOrFail(path string, data []byte, err error) ([]given, []error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, []error{fmt.Errorf("read configuration file: %w: write it, or name another with --config", err)}
	case errors.Is(err, fs.ErrPermission):
		return nil, []error{fmt.Errorf("read configuration file: %w: let everybody read it, there are no secrets in it, with: chmod 644 %s", err, path)}
	case err != nil:
		return nil, []error{fmt.Errorf("read configuration file: %w", err)}
	}
	return parseFile(path, data)
}

package modules

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Dir is where an initramfs keeps modules, relative to its root.
const Dir = "modules"

// IndexFile is where the initramfs of that name says which modules it holds, relative
// to its root. Each has its own, because the kernel unpacks one over the other.
func IndexFile(initramfs string) string { return path.Join(Dir, initramfs+".index") }

// Module is a kernel module of the initramfs.
type Module struct {
	// Name as the kernel spells it, with underscores.
	Name string
	// File is its name in the modules' directory.
	File string
	// Needs are the names of the modules to load before it.
	Needs []string
	// Then are the names of the modules to load after it, which do the work that no
	// device asks for: the network side of a card, the device node of a bus. It works
	// without them.
	Then []string
	// Aliases are the patterns of the device identifiers it drives.
	Aliases []string
}

// Index is the set of modules at hand, read-only once made.
type Index struct {
	modules map[string]Module
	// aliases are kept by bus, the part of a modalias before its colon: a device is
	// compared with the patterns of its own bus only.
	aliases map[string][]alias
}

// alias is a pattern and the part of it before its first wildcard, which tells most
// devices apart at a tenth of the cost.
type alias struct{ prefix, pattern, module string }

func newAlias(pattern, module string) alias {
	prefix := pattern
	if end := strings.IndexAny(pattern, `*?[\`); end >= 0 {
		prefix = pattern[:end]
	}
	return alias{prefix: prefix, pattern: pattern, module: module}
}

// busOf is the part before the colon, without the star that patterns of ACPI have
// there. It is "" for what stands for no device: crypto-crc32c, block-major-8-*.
func busOf(modalias string) string {
	name, _, found := strings.Cut(modalias, ":")
	if !found {
		return ""
	}
	return strings.TrimSuffix(name, "*")
}

// NewIndex checks that the set is closed: every need is there, under a name used once.
func NewIndex(list []Module) (Index, error) {
	index := Index{modules: map[string]Module{}, aliases: map[string][]alias{}}
	for _, module := range list {
		if module.Name == "" || module.File == "" || module.File != path.Base(module.File) {
			return Index{}, fmt.Errorf("index modules: name %q and file %q do not make a module", module.Name, module.File)
		}
		if _, twice := index.modules[module.Name]; twice {
			return Index{}, fmt.Errorf("index modules: %s is there twice", module.Name)
		}
		index.modules[module.Name] = module
		for _, pattern := range module.Aliases {
			if _, err := path.Match(pattern, ""); err != nil {
				return Index{}, fmt.Errorf("index modules: alias %q of %s: %w", pattern, module.Name, err)
			}
			if bus := busOf(pattern); bus != "" {
				index.aliases[bus] = append(index.aliases[bus], newAlias(pattern, module.Name))
			}
		}
	}
	checked := map[string]bool{}
	for _, module := range list {
		if err := index.checkNeeds(module, checked, nil); err != nil {
			return Index{}, err
		}
		for _, name := range module.Then {
			if _, found := index.modules[name]; !found {
				return Index{}, fmt.Errorf("index modules: %s is followed by %s, which is not there", module.Name, name)
			}
		}
	}
	return index, nil
}

// checkNeeds refuses a need that is missing or that leads back to its module; way
// holds the modules from the first one to this one.
func (ix Index) checkNeeds(module Module, checked map[string]bool, way []string) error {
	if checked[module.Name] {
		return nil
	}
	way = append(way, module.Name)
	for _, name := range module.Needs {
		need, found := ix.modules[name]
		if !found {
			return fmt.Errorf("index modules: %s needs %s, which is not there", module.Name, name)
		}
		if slices.Contains(way, name) {
			return fmt.Errorf("index modules: %s needs itself by way of %s", name, strings.Join(way, ", "))
		}
		if err := ix.checkNeeds(need, checked, way); err != nil {
			return err
		}
	}
	checked[module.Name] = true
	return nil
}

// Match returns the names of the modules that drive a device, sorted.
func (ix Index) Match(modalias string) []string {
	var names []string
	for _, candidate := range ix.aliases[busOf(modalias)] {
		if !strings.HasPrefix(modalias, candidate.prefix) {
			continue
		}
		if matched, err := path.Match(candidate.pattern, modalias); err == nil && matched {
			names = append(names, candidate.module)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Format writes the index as text, one fact a line, which Parse reads:
//
//	module NAME FILE NEED...
//	then NAME OTHER...
//	alias NAME PATTERN
func Format(list []Module) []byte {
	var text strings.Builder
	for _, module := range list {
		fmt.Fprintln(&text, strings.Join(append([]string{"module", module.Name, module.File}, module.Needs...), " "))
		if len(module.Then) > 0 {
			fmt.Fprintln(&text, strings.Join(append([]string{"then", module.Name}, module.Then...), " "))
		}
		for _, pattern := range module.Aliases {
			fmt.Fprintln(&text, "alias", module.Name, pattern)
		}
	}
	return []byte(text.String())
}

// Parse reads what Format wrote, once or several times: the texts of several sets make
// one set of all their modules.
func Parse(text []byte) (Index, error) {
	var list []Module
	for line := range strings.Lines(string(text)) {
		field := strings.Fields(line)
		var last *Module
		if len(list) > 0 {
			last = &list[len(list)-1]
		}
		switch {
		case len(field) >= 3 && field[0] == "module":
			list = append(list, Module{Name: field[1], File: field[2], Needs: field[3:]})
		case len(field) >= 3 && field[0] == "then" && last != nil && last.Name == field[1]:
			last.Then = field[2:]
		case len(field) == 3 && field[0] == "alias" && last != nil && last.Name == field[1]:
			last.Aliases = append(last.Aliases, field[2])
		default:
			return Index{}, fmt.Errorf("parse module index: line %q is neither a module nor about the one before", strings.TrimSpace(line))
		}
	}
	return NewIndex(list)
}

// Read reads the indexes of all initramfs that the kernel unpacked to root.
func Read(root fs.FS) (Index, error) {
	files, err := fs.Glob(root, IndexFile("*"))
	if err != nil {
		return Index{}, fmt.Errorf("find module indexes: %w", err)
	}
	if len(files) == 0 {
		return Index{}, fmt.Errorf("find module indexes: there is no %s", IndexFile("*"))
	}
	var text []byte
	for _, file := range files {
		part, err := fs.ReadFile(root, file)
		if err != nil {
			return Index{}, fmt.Errorf("read module index: %w", err)
		}
		text = append(text, part...)
	}
	return Parse(text)
}

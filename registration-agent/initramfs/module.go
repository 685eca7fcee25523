package initramfs

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

// Module is a kernel module and the bytes of its file, signature included.
type Module struct {
	modules.Module
	// softdeps are the values of that name (modprobe.d(5)): what must come before or
	// after for this module to work, though no symbol says so.
	softdeps []string
	// Firmware are the files it may ask for, below /lib/firmware.
	Firmware []string
	Content  []byte
}

// Choice says which modules to take.
type Choice struct {
	// Tree is the kernel's /lib/modules/RELEASE.
	Tree fs.FS
	// Wanted are modules by name; what they need comes along.
	Wanted []string
	// Present are those of an initramfs that is unpacked before, which are left out.
	Present []Module
	// Implied says in the words of a softdep (modprobe.d(5)) what a module asks modprobe
	// for while it runs: there is none in an initramfs.
	Implied map[string]string
}

// selection is a choice and what there is to choose from.
type selection struct {
	Choice
	files   map[string]string
	builtin map[string]bool
}

// Select reads the wanted modules and what they need, and returns them sorted by name.
// What the kernel has built in is left out.
func Select(choice Choice) ([]Module, error) {
	files, err := moduleFiles(choice.Tree)
	if err != nil {
		return nil, err
	}
	builtin, err := builtinModules(choice.Tree)
	if err != nil {
		return nil, err
	}
	s := selection{Choice: choice, files: files, builtin: builtin}
	chosen := map[string]Module{}
	queue := slices.Clone(choice.Wanted)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, done := chosen[name]; done || builtin[name] || contains(choice.Present, name) {
			continue
		}
		module, err := s.read(name)
		if err != nil {
			return nil, err
		}
		chosen[name] = module
		queue = slices.Concat(queue, module.Needs, module.Then)
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b Module) int { return strings.Compare(a.Name, b.Name) }), nil
}

func contains(list []Module, name string) bool {
	return slices.ContainsFunc(list, func(module Module) bool { return module.Name == name })
}

// read describes a module, with what goes before and after it in this kernel.
func (s selection) read(name string) (Module, error) {
	file, found := s.files[name]
	if !found {
		return Module{}, fmt.Errorf("select modules: the kernel has no module %s", name)
	}
	module, err := readModule(s.Tree, file)
	if err != nil {
		return Module{}, err
	}
	for _, words := range append(module.softdeps, s.Implied[name]) {
		before, after := parseSoftdep(words)
		module.Needs = append(module.Needs, s.known(before)...)
		module.Then = append(module.Then, s.known(after)...)
	}
	module.Needs = s.loadable(module.Needs)
	module.Then = s.loadable(module.Then)
	return module, nil
}

// known keeps what this kernel has of the names in a soft dependency. A checksum such
// as crc32c is a module of its own in none; the portable one of those that provide it
// has _generic after its name.
func (s selection) known(names []string) []string {
	var known []string
	for _, name := range names {
		for _, name := range []string{name, name + "_generic"} {
			if _, found := s.files[name]; found {
				known = append(known, name)
			}
		}
	}
	return known
}

// loadable leaves out what is built in, and what is there twice.
func (s selection) loadable(names []string) []string {
	var loadable []string
	for _, name := range names {
		if !s.builtin[name] && !slices.Contains(loadable, name) {
			loadable = append(loadable, name)
		}
	}
	return loadable
}

func readModule(tree fs.FS, file string) (Module, error) {
	content, err := fs.ReadFile(tree, file)
	if err != nil {
		return Module{}, fmt.Errorf("read module: %w", err)
	}
	module, err := parseModinfo(content)
	if err != nil {
		return Module{}, fmt.Errorf("read module %s: %w", file, err)
	}
	module.Name = ModuleName(file)
	module.File = path.Base(file)
	module.Content = content
	return module, nil
}

// parseModinfo reads what a module says of itself from the .modinfo section of its ELF
// file: KEY=VALUE strings, each ended by a zero byte (the kernel's MODULE_INFO).
func parseModinfo(content []byte) (Module, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return Module{}, err
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return Module{}, fmt.Errorf("it has no section .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return Module{}, err
	}
	var module Module
	for info := range strings.SplitSeq(string(data), "\x00") {
		key, value, _ := strings.Cut(info, "=")
		switch key {
		case "alias":
			module.Aliases = append(module.Aliases, value)
		case "depends":
			module.Needs = strings.FieldsFunc(kernelName(value), func(char rune) bool { return char == ',' })
		case "softdep":
			module.softdeps = append(module.softdeps, value)
		case "firmware":
			module.Firmware = append(module.Firmware, value)
		}
	}
	return module, nil
}

// parseSoftdep splits "pre: a b post: c" into the modules that come before and after.
func parseSoftdep(words string) (before, after []string) {
	var part *[]string
	for word := range strings.FieldsSeq(words) {
		switch {
		case word == "pre:":
			part = &before
		case word == "post:":
			part = &after
		case part != nil:
			*part = append(*part, kernelName(word))
		}
	}
	return before, after
}

// moduleFiles maps each module of the tree to its path.
func moduleFiles(tree fs.FS) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(tree, "kernel", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(file, ".ko") {
			files[ModuleName(file)] = file
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	return files, nil
}

func builtinModules(tree fs.FS) (map[string]bool, error) {
	text, err := fs.ReadFile(tree, "modules.builtin")
	if err != nil {
		return nil, fmt.Errorf("list built-in modules: %w", err)
	}
	builtin := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		builtin[ModuleName(strings.TrimSpace(line))] = true
	}
	return builtin, nil
}

// ModuleName is the kernel's name for the module in a file: virtio-rng.ko holds
// virtio_rng.
func ModuleName(file string) string {
	return kernelName(strings.TrimSuffix(path.Base(file), ".ko"))
}

func kernelName(name string) string { return strings.ReplaceAll(name, "-", "_") }

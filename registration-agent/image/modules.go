package main

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

// chosenModule is a module and the bytes of its file, signature included.
type chosenModule struct {
	modules.Module
	// softdeps are the values of that name (modprobe.d(5)): what must come before or
	// after for this module to work, though no symbol says so.
	softdeps []string
	// firmware are the files it may ask for, below /lib/firmware.
	firmware []string
	Content  []byte
}

// selection is the choice of modules from a kernel's module tree.
type selection struct {
	tree    fs.FS
	files   map[string]string
	builtin map[string]bool
}

// selectModules reads the wanted modules and what they need from a kernel's module
// tree and returns them sorted by name. What the kernel has built in is left out, and
// what is present already.
func selectModules(tree fs.FS, wanted []string, present []chosenModule) ([]chosenModule, error) {
	files, err := moduleFiles(tree)
	if err != nil {
		return nil, err
	}
	builtin, err := builtinModules(tree)
	if err != nil {
		return nil, err
	}
	s := selection{tree: tree, files: files, builtin: builtin}
	chosen := map[string]chosenModule{}
	queue := slices.Clone(wanted)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, done := chosen[name]; done || builtin[name] || contains(present, name) {
			continue
		}
		module, err := s.read(name)
		if err != nil {
			return nil, err
		}
		chosen[name] = module
		queue = slices.Concat(queue, module.Needs, module.Then)
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b chosenModule) int { return strings.Compare(a.Name, b.Name) }), nil
}

func contains(list []chosenModule, name string) bool {
	return slices.ContainsFunc(list, func(module chosenModule) bool { return module.Name == name })
}

// read describes a module, with what goes before and after it in this kernel.
func (s selection) read(name string) (chosenModule, error) {
	file, found := s.files[name]
	if !found {
		return chosenModule{}, fmt.Errorf("select modules: the kernel has no module %s", name)
	}
	module, err := readModule(s.tree, file)
	if err != nil {
		return chosenModule{}, err
	}
	for _, words := range append(module.softdeps, impliedModules()[name]) {
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

func readModule(tree fs.FS, file string) (chosenModule, error) {
	content, err := fs.ReadFile(tree, file)
	if err != nil {
		return chosenModule{}, fmt.Errorf("read module: %w", err)
	}
	module, err := parseModinfo(content)
	if err != nil {
		return chosenModule{}, fmt.Errorf("read module %s: %w", file, err)
	}
	module.Name = moduleName(file)
	module.File = path.Base(file)
	module.Content = content
	return module, nil
}

// parseModinfo reads what a module says of itself from the .modinfo section of its ELF
// file: KEY=VALUE strings, each ended by a zero byte (the kernel's MODULE_INFO).
func parseModinfo(content []byte) (chosenModule, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return chosenModule{}, err
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return chosenModule{}, fmt.Errorf("it has no section .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return chosenModule{}, err
	}
	var module chosenModule
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
			module.firmware = append(module.firmware, value)
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
			files[moduleName(file)] = file
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
		builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return builtin, nil
}

// moduleName is the kernel's name for the module in a file: virtio-rng.ko holds
// virtio_rng.
func moduleName(file string) string {
	return kernelName(strings.TrimSuffix(path.Base(file), ".ko"))
}

func kernelName(name string) string { return strings.ReplaceAll(name, "-", "_") }

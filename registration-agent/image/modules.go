package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

// wantedModules are the drivers the agent may need; what they need comes along.
func wantedModules() []string {
	return []string{
		// Virtual machines. Without virtio_rng a virtual CPU that lacks RDRAND leaves
		// the agent waiting for random numbers before its first DHCP packet.
		"virtio_pci", "virtio_rng", "virtio_net", "virtio_blk", "virtio_scsi",
		// Network.
		"e1000", "e1000e",
		// Disks.
		"ahci", "nvme", "sd_mod",
	}
}

// chosenModule is a module and the bytes of its file, signature included.
type chosenModule struct {
	modules.Module
	// soft are needs that the module can do without where nothing has that name.
	soft    []string
	Content []byte
}

// selectModules reads the wanted modules and what they need from a kernel's module
// tree and returns them sorted by name. What the kernel has built in is left out.
func selectModules(tree fs.FS, wanted []string) ([]chosenModule, error) {
	files, err := moduleFiles(tree)
	if err != nil {
		return nil, err
	}
	builtin, err := builtinModules(tree)
	if err != nil {
		return nil, err
	}
	chosen := map[string]chosenModule{}
	queue := slices.Clone(wanted)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, done := chosen[name]; done || builtin[name] {
			continue
		}
		file, found := files[name]
		if !found {
			return nil, fmt.Errorf("select modules: the kernel has no module %s", name)
		}
		module, err := readModule(tree, file)
		if err != nil {
			return nil, err
		}
		for _, need := range module.soft {
			if _, found := files[need]; found {
				module.Needs = appendName(module.Needs, need)
			}
		}
		module.Needs = slices.DeleteFunc(module.Needs, func(need string) bool { return builtin[need] })
		chosen[name] = module
		queue = append(queue, module.Needs...)
	}
	list := make([]chosenModule, 0, len(chosen))
	for _, module := range chosen {
		list = append(list, module)
	}
	slices.SortFunc(list, func(a, b chosenModule) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
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

// parseModinfo reads a module's needs and aliases from the .modinfo section of its ELF
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
			for need := range strings.SplitSeq(value, ",") {
				module.Needs = appendName(module.Needs, need)
			}
		case "softdep":
			module.soft = appendSoftNeeds(module.soft, value)
		}
	}
	return module, nil
}

// appendSoftNeeds adds the "pre:" part of a soft dependency (modprobe.d(5)): modules
// that must come first for this one to work, though no symbol says so.
func appendSoftNeeds(needs []string, value string) []string {
	pre := false
	for word := range strings.FieldsSeq(value) {
		if strings.HasSuffix(word, ":") {
			pre = word == "pre:"
		} else if pre {
			needs = appendName(needs, word)
		}
	}
	return needs
}

func appendName(names []string, name string) []string {
	name = strings.ReplaceAll(strings.TrimSpace(name), "-", "_")
	if name == "" || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
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
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}

package initramfs

import (
	"path"
	"slices"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

// Init are the program that the kernel starts and the directories that it needs.
func Init(program []byte) []Entry {
	return []Entry{
		{Name: "dev", Mode: ModeDir | 0o755},
		// The kernel opens it for /init before anything is mounted there.
		{Name: "dev/console", Mode: ModeChar | 0o600, Major: 5, Minor: 1},
		{Name: "etc", Mode: ModeDir | 0o755},
		{Name: "init", Mode: ModeFile | 0o755, Content: program},
		{Name: "proc", Mode: ModeDir | 0o555},
		{Name: "run", Mode: ModeDir | 0o755},
		{Name: "sys", Mode: ModeDir | 0o555},
		{Name: "tmp", Mode: ModeDir | 0o777},
	}
}

// Modules are modules and their index, for the initramfs of that name. It fails when one
// needs another that is neither among them nor present in an initramfs unpacked before.
func Modules(initramfs string, chosen, present []Module) ([]Entry, error) {
	if _, err := modules.NewIndex(indexed(slices.Concat(present, chosen))); err != nil {
		return nil, err
	}
	entries := []Entry{
		{Name: modules.Dir, Mode: ModeDir | 0o755},
		{Name: modules.IndexFile(initramfs), Mode: ModeFile | 0o644, Content: modules.Format(indexed(chosen))},
	}
	for _, module := range chosen {
		entries = append(entries, Entry{Name: path.Join(modules.Dir, module.File), Mode: ModeFile | 0o644, Content: module.Content})
	}
	return entries, nil
}

func indexed(chosen []Module) []modules.Module {
	list := make([]modules.Module, 0, len(chosen))
	for _, module := range chosen {
		list = append(list, module.Module)
	}
	return list
}

// InFolders adds to files the directories that they are in.
func InFolders(files []Entry) []Entry {
	entries := slices.Clone(files)
	made := map[string]bool{".": true}
	for _, file := range files {
		for dir := path.Dir(file.Name); !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			entries = append(entries, Entry{Name: dir, Mode: ModeDir | 0o755})
		}
	}
	return entries
}

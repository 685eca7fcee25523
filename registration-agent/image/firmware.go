package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

// firmwareFile is what a driver loads into a device.
type firmwareFile struct {
	// Name is its path below /lib/firmware.
	Name    string `json:"name"`
	Package string `json:"package"`
	// Licence as Debian's copyright file names it.
	Licence string `json:"licence"`
	content []byte
}

func fetchFirmware(ctx context.Context, archive *debian.Archive) ([]debian.Package, error) {
	var packages []debian.Package
	for _, name := range firmwarePackages() {
		pkg, err := archive.Fetch(ctx, name)
		if err != nil {
			return nil, err
		}
		packages = append(packages, pkg)
	}
	return packages, nil
}

// selectFirmware reads the files that modules name from unpacked packages, sorted by
// name. It fails when one is in none of them, or may not be passed on.
func selectFirmware(chosen []initramfs.Module, packages []debian.Package) ([]firmwareFile, error) {
	var names []string
	for _, module := range chosen {
		for _, name := range module.Firmware {
			if _, spare := spareFirmware()[name]; !spare {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var files []firmwareFile
	for _, name := range slices.Compact(names) {
		file, err := findFirmware(name, packages)
		if err != nil {
			return nil, fmt.Errorf("select firmware: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

func findFirmware(name string, packages []debian.Package) (firmwareFile, error) {
	for _, pkg := range packages {
		target, content, err := readFirmware(filepath.Join(pkg.Dir, "usr", "lib", "firmware"), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return firmwareFile{}, err
		}
		licence, err := licenceOf(pkg, target)
		if err != nil {
			return firmwareFile{}, err
		}
		return firmwareFile{Name: name, Package: pkg.Name, Licence: licence, content: content}, nil
	}
	return firmwareFile{}, fmt.Errorf("no package has %s: name the package in firmwarePackages, or say in spareFirmware why the driver works without", name)
}

// readFirmware follows the links of a package, which lead from the name that a driver
// knows to the real one, with a version in it.
func readFirmware(dir, name string) (target string, content []byte, err error) {
	path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
	if err != nil {
		return "", nil, err
	}
	target, err = filepath.Rel(dir, path)
	if err != nil {
		return "", nil, err
	}
	if !filepath.IsLocal(target) {
		return "", nil, fmt.Errorf("%s is a link out of the firmware's folder, to %s", name, path)
	}
	content, err = os.ReadFile(path)
	return target, content, err
}

func licenceOf(pkg debian.Package, file string) (string, error) {
	text, err := readCopyright(pkg)
	if err != nil {
		return "", err
	}
	licence := licenceIn(string(text), file)
	if !slices.Contains(knownLicences(), licence) {
		return "", fmt.Errorf("the licence of %s is %q by the package %s: read it, and add it to knownLicences if the file may be passed on, else the file to spareFirmware", file, licence, pkg.Name)
	}
	return licence, nil
}

func readCopyright(pkg debian.Package) ([]byte, error) {
	return os.ReadFile(filepath.Join(pkg.Dir, "usr", "share", "doc", pkg.Name, "copyright"))
}

// copyrights are the files that have to go along with what was taken from packages: one
// for each source package.
func copyrights(packages []debian.Package) ([]debian.Content, error) {
	var files []debian.Content
	for _, pkg := range packages {
		name := pkg.Source + ".copyright"
		if slices.ContainsFunc(files, func(file debian.Content) bool { return file.Name == name }) {
			continue
		}
		text, err := readCopyright(pkg)
		if err != nil {
			return nil, fmt.Errorf("read copyright of %s: %w", pkg.Name, err)
		}
		files = append(files, debian.Content{Name: name, Data: text})
	}
	return files, nil
}

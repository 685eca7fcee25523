package wipe

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

// Selector is Talos' machine.install.diskSelector: all that is set must match. In texts
// a * stands for anything. As in Talos, read-only disks and those whose bus is not known
// never match; unlike Talos, which takes the first of several, one alone must match.
type Selector struct {
	// Size is a comparison (<, >, <=, >=, ==, or none for ==) and a size: ">= 1TB".
	Size     string `json:"size,omitempty"`
	Model    string `json:"model,omitempty"`
	Serial   string `json:"serial,omitempty"`
	Modalias string `json:"modalias,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	WWID     string `json:"wwid,omitempty"`
	// Type is ssd, hdd, nvme or sd.
	Type    string `json:"type,omitempty"`
	BusPath string `json:"busPath,omitempty"`
}

// predicate tells whether a disk is meant.
type predicate func(disk.Disk) bool

// compile checks the selector and makes a predicate of it.
func (s Selector) compile() (predicate, error) {
	if s == (Selector{}) {
		return nil, errors.New("install.diskSelector is empty: say what the disk has to match")
	}
	size, err := compileSize(s.Size)
	if err != nil {
		return nil, err
	}
	kind, err := compileType(s.Type)
	if err != nil {
		return nil, err
	}
	return func(d disk.Disk) bool {
		return !d.ReadOnly && d.Transport != disk.Unknown && size(d) && kind(d) &&
			matches(s.Model, d.Model) && matches(s.Serial, d.Serial) && matches(s.Modalias, d.Modalias) &&
			matches(s.UUID, d.UUID) && matches(s.WWID, d.WWID) && matches(s.BusPath, d.BusPath)
	}, nil
}

func compileType(kind string) (predicate, error) {
	switch kind {
	case "":
		return func(disk.Disk) bool { return true }, nil
	case "nvme":
		return func(d disk.Disk) bool { return d.Transport == disk.NVMe }, nil
	case "sd":
		return func(d disk.Disk) bool { return d.Transport == disk.MMC }, nil
	case "hdd":
		return func(d disk.Disk) bool { return d.Rotational }, nil
	case "ssd":
		return func(d disk.Disk) bool { return !d.Rotational }, nil
	default:
		return nil, fmt.Errorf("install.diskSelector.type %q is none of ssd, hdd, nvme, sd", kind)
	}
}

func compileSize(condition string) (predicate, error) {
	if condition == "" {
		return func(disk.Disk) bool { return true }, nil
	}
	rest := strings.TrimLeft(condition, " ")
	operator := rest[:len(rest)-len(strings.TrimLeft(rest, "<>="))]
	size, err := parseSize(rest[len(operator):])
	if err != nil {
		return nil, fmt.Errorf("install.diskSelector.size %q: %w", condition, err)
	}
	switch operator {
	case "", "==":
		return func(d disk.Disk) bool { return d.Size == size }, nil
	case "<":
		return func(d disk.Disk) bool { return d.Size < size }, nil
	case "<=":
		return func(d disk.Disk) bool { return d.Size <= size }, nil
	case ">":
		return func(d disk.Disk) bool { return d.Size > size }, nil
	case ">=":
		return func(d disk.Disk) bool { return d.Size >= size }, nil
	default:
		return nil, fmt.Errorf("install.diskSelector.size %q: %q is none of <, <=, ==, >=, >", condition, operator)
	}
}

// parseSize reads what Talos' configuration accepts: a number and a unit, KB to EB in
// powers of a thousand, KiB to EiB in powers of 1024; B may be missing.
func parseSize(text string) (uint64, error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), ",", "")
	split := len(text) - len(strings.TrimLeft(text, "0123456789."))
	number, unit := text[:split], strings.ToLower(strings.TrimSpace(text[split:]))
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: write it as 500GB or 1TiB", text)
	}
	base := 1000.0
	unit = strings.TrimSuffix(unit, "b")
	if prefix, ok := strings.CutSuffix(unit, "i"); ok && prefix != "" {
		base, unit = 1024, prefix
	}
	power := strings.Index(" kmgtpe", unit)
	if unit == "" {
		power = 0
	}
	if power < 0 || len(unit) > 1 || unit == " " {
		return 0, fmt.Errorf("%q is no size: its unit is none of B, KB to EB, KiB to EiB", text)
	}
	value *= math.Pow(base, float64(power))
	if value >= 1<<64 {
		return 0, fmt.Errorf("%q is no size: too big", text)
	}
	return uint64(value), nil
}

// matches compares a text with a pattern in which * stands for anything; an empty
// pattern is one that was not given.
func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[last])
}

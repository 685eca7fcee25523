package wipe

import (
	"errors"
	"fmt"
	"slices"
)

// Scope is which disks are wiped.
type Scope string

// The scopes. The zero value is All, as Sidero wipes.
const (
	// All is every disk but read-only ones and removable media.
	All Scope = "all"
	// InstallDisk is the one disk that the policy's hint is for.
	InstallDisk Scope = "installDisk"
	// Selected is every disk that the policy names.
	Selected Scope = "selected"
	// None is no disk.
	None Scope = "none"
)

// Method is how a disk is wiped.
type Method string

// The methods. The zero value is Fast.
const (
	// Fast clears what makes data recognisable; see Regions.
	Fast Method = "fast"
	// Discard tells the disk to forget all its sectors, and does what Fast does.
	Discard Method = "discard"
	// Secure makes the disk erase itself, and does what Fast does.
	Secure Method = "secure"
	// Zero writes zeros over the whole disk.
	Zero Method = "zero"
)

// Policy says which disks are wiped and how.
type Policy struct {
	Scope  Scope  `json:"scope,omitempty"`
	Method Method `json:"method,omitempty"`
	// Fallback is for disks that cannot do what Method asks of them. Without it, Discard
	// becomes Fast and Secure becomes Zero.
	Fallback Method `json:"fallback,omitempty"`

	// Install is the hint that scope InstallDisk needs.
	Install *Hint `json:"install,omitempty"`
	// Select names the disks of scope Selected.
	Select *Selection `json:"select,omitempty"`
	// Keep is stronger than everything else.
	Keep Keep `json:"keep,omitzero"`
}

// Hint points to one disk: as machine.install does in Talos, by path or by selector, or
// by choice.
type Hint struct {
	// Disk is a path: /dev/sda, /dev/disk/by-id/…, /dev/disk/by-path/….
	Disk     string    `json:"disk,omitempty"`
	Selector *Selector `json:"diskSelector,omitempty"`
	Choice   *Choice   `json:"choice,omitempty"`
}

// Selection names disks; each entry must be exactly one disk's, but for choices, which
// are of one at least.
type Selection struct {
	Choices []Choice `json:"choices,omitempty"`
	Serials []string `json:"serials,omitempty"`
	WWIDs   []string `json:"wwids,omitempty"`
	// Names are the kernel's, sda or /dev/sda.
	Names []string `json:"names,omitempty"`
	// IDs are names below /dev/disk/by-id, with or without that path.
	IDs []string `json:"ids,omitempty"`
	// Labels are of partitions and file systems.
	Labels []string `json:"labels,omitempty"`
}

// Keep names disks that are not wiped. A serial number that no disk has is an error,
// because the disk that it was meant for could be the next to go. A label that no disk
// has is not: a new machine's disks have none yet. Nor is a choice that fits no disk.
type Keep struct {
	Choices []Choice `json:"choices,omitempty"`
	Serials []string `json:"serials,omitempty"`
	Labels  []string `json:"labels,omitempty"`
}

// withDefaults fills in what a zero value stands for.
func (p Policy) withDefaults() Policy {
	if p.Scope == "" {
		p.Scope = All
	}
	if p.Method == "" {
		p.Method = Fast
	}
	if p.Fallback == "" {
		p.Fallback = Zero
		if p.Method == Discard {
			p.Fallback = Fast
		}
	}
	return p
}

// Validate reports what is wrong with the policy whatever the machine's disks are.
func (p Policy) Validate() error {
	d := p.withDefaults()
	var wrong []error
	if !slices.Contains([]Scope{All, InstallDisk, Selected, None}, d.Scope) {
		wrong = append(wrong, fmt.Errorf("scope %q is none of all, installDisk, selected, none", d.Scope))
	}
	if !slices.Contains([]Method{Fast, Discard, Secure, Zero}, d.Method) {
		wrong = append(wrong, fmt.Errorf("method %q is none of fast, discard, secure, zero", d.Method))
	}
	if !slices.Contains([]Method{Fast, Discard, Zero}, d.Fallback) {
		wrong = append(wrong, fmt.Errorf("fallback %q is none of fast, discard, zero", d.Fallback))
	}
	wrong = append(wrong, d.validateHint(), d.validateSelection())
	for _, choice := range d.Keep.Choices {
		wrong = append(wrong, choice.validate())
	}
	if slices.Contains(slices.Concat(d.Keep.Serials, d.Keep.Labels), "") {
		wrong = append(wrong, errors.New("keep has an empty entry: remove it or fill it in"))
	}
	return errors.Join(wrong...)
}

func (p Policy) validateHint() error {
	switch {
	case p.Scope != InstallDisk:
		return nil
	case p.Install != nil && p.Install.Choice != nil:
		if p.Install.Disk != "" || p.Install.Selector != nil {
			return errors.New("scope installDisk needs one of install.disk, install.diskSelector and install.choice")
		}
		return p.Install.Choice.validate()
	case p.Install == nil || (p.Install.Disk == "") == (p.Install.Selector == nil):
		return errors.New("scope installDisk needs either install.disk or install.diskSelector")
	case p.Install.Selector != nil:
		_, err := p.Install.Selector.compile()
		return err
	default:
		_, err := parsePath(p.Install.Disk)
		return err
	}
}

func (p Policy) validateSelection() error {
	if p.Scope != Selected {
		return nil
	}
	if p.Select == nil {
		return errors.New("scope selected needs select: name at least one disk")
	}
	entries := slices.Concat(p.Select.Serials, p.Select.WWIDs, p.Select.Names, p.Select.IDs, p.Select.Labels)
	if len(entries) == 0 && len(p.Select.Choices) == 0 {
		return errors.New("scope selected needs select: name at least one disk")
	}
	if slices.Contains(entries, "") {
		return errors.New("select has an empty entry: remove it or fill it in")
	}
	var wrong []error
	for _, choice := range p.Select.Choices {
		wrong = append(wrong, choice.validate())
	}
	return errors.Join(wrong...)
}

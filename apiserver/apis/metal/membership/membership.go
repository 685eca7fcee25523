// Package membership tells which Servers belong to a ServerClass, and labels Servers with what classes may go by.
package membership

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/expression"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// Members are the servers of a class, sorted by name.
type Members struct {
	// Available are not allocated. They need not be clean.
	Available []string
	InUse     []string
}

// Matcher tells which servers belong to a class.
type Matcher struct {
	spec       v1alpha2.ServerClassSpec
	selector   labels.Selector
	expression *expression.Expression
}

// NewMatcher prepares a class's. The error tells what of the class cannot be understood; such a class has no servers.
func NewMatcher(spec v1alpha2.ServerClassSpec) (*Matcher, error) {
	selector, err := metav1.LabelSelectorAsSelector(&spec.Selector)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the selector
	}

	m := &Matcher{spec: spec, selector: selector}

	if spec.Expression != "" {
		if m.expression, err = expression.Compile(spec.Expression); err != nil {
			return nil, err //nolint:wrapcheck // it names the expression
		}
	}

	return m, nil
}

// Members are those of a list of servers that are accepted, not cordoned, and match.
func (m *Matcher) Members(servers []v1alpha2.Server) Members {
	members := Members{Available: []string{}, InUse: []string{}}

	for i := range servers {
		switch s := &servers[i]; m.Place(s) {
		case InUse:
			members.InUse = append(members.InUse, s.Name)
		case Available:
			members.Available = append(members.Available, s.Name)
		case Outside:
		}
	}

	slices.Sort(members.Available)
	slices.Sort(members.InUse)

	return members
}

// Place is where in a class a server is.
type Place int

// The places.
const (
	Outside Place = iota
	Available
	InUse
)

// Place tells where in the class a server is.
func (m *Matcher) Place(s *v1alpha2.Server) Place {
	switch {
	case !m.Matches(s):
		return Outside
	case s.Status.InUse:
		return InUse
	case s.Duplicate(): // nobody knows which machine would be taken
		return Outside
	default:
		return Available
	}
}

// Matches tells whether a server belongs to the class.
func (m *Matcher) Matches(s *v1alpha2.Server) bool {
	return s.Spec.Accepted && !s.Spec.Cordoned && m.Fits(s)
}

// Accepts tells whether the class accepts a server that nobody has accepted yet.
func (m *Matcher) Accepts(s *v1alpha2.Server) bool {
	return m.spec.Accept && !s.Spec.Accepted && s.Status.AcceptedAt == nil && s.DeletionTimestamp.IsZero() && !s.Duplicate() && m.Fits(s)
}

// Fits tells whether a server is what the class asks for. All of it must be true, and an expression that fails is not.
func (m *Matcher) Fits(s *v1alpha2.Server) bool {
	fits, err := m.Judge(s)

	return err == nil && fits
}

// Judge tells as well why nobody can say whether a server is what the class asks for: its expression failed on this one.
func (m *Matcher) Judge(s *v1alpha2.Server) (bool, error) {
	if !m.selector.Matches(labels.Set(s.Labels)) {
		return false, nil
	}

	if !matchesHardware(m.spec.Qualifiers.Hardware, s.Spec.Hardware) || !matchesLabels(m.spec.Qualifiers.LabelSelectors, s.Labels) {
		return false, nil
	}

	if !within(m.spec.Minimum, m.spec.Maximum, s.Spec.Hardware) {
		return false, nil
	}

	if m.expression == nil {
		return true, nil
	}

	return m.expression.Matches(s) //nolint:wrapcheck // it names the expression
}

// matchesHardware tells whether one of the filters fits what the machine has.
func matchesHardware(filters []v1alpha2.HardwareInformation, has *v1alpha2.HardwareInformation) bool {
	if len(filters) == 0 {
		return true
	}

	return has != nil && slices.ContainsFunc(filters, func(filter v1alpha2.HardwareInformation) bool {
		return partlyEqual(reflect.ValueOf(filter), reflect.ValueOf(*has))
	})
}

// partlyEqual tells whether all that a filter says is so. Lists are compared by place, as upstream does, whatever its
// documents say: the first processor of the filter with the first of the machine, and further ones do not matter.
func partlyEqual(filter, value reflect.Value) bool {
	if filter.IsZero() {
		return true
	}

	switch filter.Kind() { //nolint:exhaustive // all others are compared as they are
	case reflect.Pointer:
		return !value.IsNil() && partlyEqual(filter.Elem(), value.Elem())
	case reflect.Struct:
		for i := range filter.NumField() {
			if !partlyEqual(filter.Field(i), value.Field(i)) {
				return false
			}
		}

		return true
	case reflect.Slice:
		if filter.Len() > value.Len() {
			return false
		}

		for i := range filter.Len() {
			if !partlyEqual(filter.Index(i), value.Index(i)) {
				return false
			}
		}

		return true
	default:
		return filter.Equal(value)
	}
}

// matchesLabels is upstream's older form of a selector: any one label of any of the maps is enough. Upstream's tests pin it.
func matchesLabels(selectors []map[string]string, has map[string]string) bool {
	if len(selectors) == 0 {
		return true
	}

	for _, selector := range selectors {
		for name, value := range selector {
			if got, ok := has[name]; ok && got == value {
				return true
			}
		}
	}

	return false
}

// within tells whether a machine has at least and at most so much. One that has not told its hardware is in no bounds.
func within(least, most *v1alpha2.HardwareBounds, has *v1alpha2.HardwareInformation) bool {
	if least == nil && most == nil {
		return true
	}

	if has == nil {
		return false
	}

	if least == nil {
		least = &v1alpha2.HardwareBounds{}
	}

	if most == nil {
		most = &v1alpha2.HardwareBounds{}
	}

	size := sizeOf(has)

	return between(least.Cores, most.Cores, size.cores) &&
		between(least.Disks, most.Disks, size.disks) &&
		between(whole(least.Memory), whole(most.Memory), size.memory) &&
		between(whole(least.DiskSize), whole(most.DiskSize), size.largest) &&
		between(whole(least.NICSpeed), whole(most.NICSpeed), size.nicSpeed)
}

func between(least, most *int64, value int64) bool {
	return (least == nil || value >= *least) && (most == nil || value <= *most)
}

func whole(q *resource.Quantity) *int64 {
	if q == nil {
		return nil
	}

	value := q.Value()

	return &value
}

// size is what bounds are about, without removable disks; memory and the largest disk in bytes, the fastest adapter's speed in bits per second.
type size struct{ cores, disks, memory, largest, nicSpeed int64 }

func sizeOf(has *v1alpha2.HardwareInformation) size {
	var s size

	if has.Compute != nil {
		s.cores = has.Compute.TotalCoreCount
	}

	if has.Memory != nil {
		for _, module := range has.Memory.Modules {
			s.memory += module.Size << 20
		}

		if s.memory == 0 { // upstream's agent tells the sum too, in words
			s.memory = parseGigabytes(has.Memory.TotalSize)
		}
	}

	if has.Storage != nil {
		for _, disk := range has.Storage.Devices {
			if disk.Removable {
				continue
			}

			s.disks++
			s.largest = max(s.largest, disk.Size)
		}
	}

	s.nicSpeed = megabits(has.Network) * bitsPerMegabit

	return s
}

const bitsPerMegabit = 1_000_000

// megabits is what the fastest adapter supports. One that does not tell is as fast as its link.
func megabits(network *v1alpha2.NetworkInformation) int64 {
	var fastest int64

	if network == nil {
		return 0
	}

	for _, adapter := range network.Interfaces {
		if adapter != nil {
			fastest = max(fastest, adapter.Speed, adapter.MaximumSpeed)
		}
	}

	return fastest
}

// parseGigabytes reads a size as upstream writes it: "32 GB", in powers of two.
func parseGigabytes(text string) int64 {
	number, ok := strings.CutSuffix(text, " GB")
	if !ok {
		return 0
	}

	quantity, err := resource.ParseQuantity(number + "Gi")
	if err != nil {
		return 0
	}

	return quantity.Value()
}

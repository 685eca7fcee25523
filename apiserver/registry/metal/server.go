package metal

import (
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
)

func servers() registry.Kind[*v1alpha2.Server] {
	return registry.Kind[*v1alpha2.Server]{
		Resource:   v1alpha2.GroupVersion.WithResource("servers").GroupResource(),
		Singular:   "server",
		Categories: []string{category},
		New:        func() *v1alpha2.Server { return &v1alpha2.Server{} },
		NewList:    func() runtime.Object { return &v1alpha2.ServerList{} },
		Older:      serverVersions(),
		Spec:       func(s *v1alpha2.Server) any { return &s.Spec },
		Status:     func(s *v1alpha2.Server) any { return &s.Status },
		Normalise:  normaliseServer,
		Remember:   rememberAcceptance,
		Log:        true,
		Validate:   validateServer, ValidateStatus: validateServerStatus,
		Doubt: func(s *v1alpha2.Server) field.ErrorList {
			return DoubtPatches(field.NewPath("spec"), s.Spec.StrategicPatches)
		},
		Fields: map[string]func(*v1alpha2.Server) string{
			"spec.accepted":  func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Spec.Accepted) },
			"status.inUse":   func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Status.InUse) },
			"status.isClean": func(s *v1alpha2.Server) string { return strconv.FormatBool(s.Status.IsClean) },
			"status.power":   func(s *v1alpha2.Server) string { return s.Status.Power },
		},
		Columns: serverColumns(),
	}
}

// normaliseServer names the namespace of the Secrets that it refers to. Upstream's documents leave it out although its
// schema requires it.
func normaliseServer(s *v1alpha2.Server) []string {
	Canonical(s.Spec.ConfigPatches)

	if s.Spec.BMC == nil {
		return nil
	}

	var warnings []string

	for field, source := range map[string]*v1alpha2.CredentialSource{"userFrom": s.Spec.BMC.UserFrom, "passFrom": s.Spec.BMC.PassFrom} {
		if source == nil || source.SecretKeyRef == nil || source.SecretKeyRef.Namespace != "" {
			continue
		}

		source.SecretKeyRef.Namespace = metav1.NamespaceDefault
		warnings = append(warnings, fmt.Sprintf("spec.bmc.%s.secretKeyRef.namespace: not set, so %q is meant", field, metav1.NamespaceDefault))
	}

	slices.Sort(warnings)

	return warnings
}

// rememberAcceptance writes that a server was accepted when a person takes that back: the controller may not have looked at it meanwhile, and
// a class that accepts servers would accept it again.
func rememberAcceptance(s, stored *v1alpha2.Server) {
	if stored.Spec.Accepted && !s.Spec.Accepted && s.Status.AcceptedAt == nil {
		s.Status.AcceptedAt = new(metav1.Now())
	}
}

func serverColumns() []registry.Column[*v1alpha2.Server] {
	return []registry.Column[*v1alpha2.Server]{
		{
			Name: "Hostname", Type: "string", Description: "host name when the server registered",
			Cell: func(s *v1alpha2.Server) any { return registry.Text(s.Spec.Hostname) },
		},
		{
			Name: "BMC IP", Type: "string", Description: "address of the BMC", Priority: 1,
			Cell: func(s *v1alpha2.Server) any {
				if s.Spec.BMC == nil {
					return nil
				}

				return registry.Text(s.Spec.BMC.Endpoint)
			},
		},
		{
			Name: "Accepted", Type: "boolean", Description: "whether the server may be managed",
			Cell: func(s *v1alpha2.Server) any { return s.Spec.Accepted },
		},
		{
			Name: "Cordoned", Type: "boolean", Description: "whether the server is kept out of every class",
			Cell: func(s *v1alpha2.Server) any { return s.Spec.Cordoned },
		},
		{
			Name: "Allocated", Type: "boolean", Description: "whether the server is in use",
			Cell: func(s *v1alpha2.Server) any { return s.Status.InUse },
		},
		{
			Name: "Clean", Type: "boolean", Description: "whether the server has been wiped",
			Cell: func(s *v1alpha2.Server) any { return s.Status.IsClean },
		},
		{
			Name: "Power", Type: "string", Description: "state of the server's power",
			Cell: func(s *v1alpha2.Server) any { return registry.Text(s.Status.Power) },
		},
		{
			Name: "Phase", Type: "string", Description: "what the server is doing",
			Cell: func(s *v1alpha2.Server) any { return registry.Text(s.Status.Phase) },
		},
		{
			Name: "Waiting For", Type: "string", Description: "what has to happen next", Priority: 1,
			Cell: func(s *v1alpha2.Server) any { return registry.Text(s.Status.WaitingFor) },
		},
		registry.Age[*v1alpha2.Server](),
	}
}

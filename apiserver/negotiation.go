package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// textual are the codecs of the native kinds without protobuf, which their types do not have. A client that would rather
// have protobuf, as Kubernetes's own controllers do, gets JSON; it would get an error after its request was carried out.
type textual struct {
	runtime.NegotiatedSerializer
}

// SupportedMediaTypes implements NegotiatedSerializer.
func (t textual) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(t.NegotiatedSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}

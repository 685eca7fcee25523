package appliance

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/clusterapi"
)

const (
	webhookServicesKey = "webhookServices"
	defaultServicePort = 443
)

// WebhookService tells where something runs that webhook configurations and
// CustomResourceDefinitions take for a Service.
type WebhookService struct {
	Namespace string
	Name      string
	Port      int
	Address   string // host:port
	CAFile    string
	CAData    string // PEM, or that in base64 as in a caBundle; the content of CAFile if that is given
}

func (c *Config) readWebhookServices(where string, node *yaml.Node) (errs []error) {
	if node.Kind != yaml.SequenceNode {
		return []error{fmt.Errorf("%s: must be a list", where)}
	}
	c.WebhookServices = nil
	for i, entry := range node.Content {
		service := WebhookService{Port: defaultServicePort}
		errs = append(errs, readFields(fmt.Sprintf("%s[%d]", where, i), entry, map[string]any{
			"namespace": &service.Namespace, "name": &service.Name, "port": &service.Port,
			"address": &service.Address, "caFile": &service.CAFile, "caData": &service.CAData,
		})...)
		c.WebhookServices = append(c.WebhookServices, service)
	}
	return errs
}

// readAuthorities reads the files that the configuration names.
func (c *Config) readAuthorities(read func(path string) ([]byte, error)) (errs []error) {
	for i := range c.WebhookServices {
		s := &c.WebhookServices[i]
		path := fmt.Sprintf("%s[%d].caFile", webhookServicesKey, i)
		if s.CAFile == "" {
			continue
		}
		if s.CAData != "" {
			errs = append(errs, fmt.Errorf("%s: is there beside caData: give one of them", path))
			continue
		}
		absolute, err := filepath.Abs(s.CAFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		content, err := read(absolute)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
		s.CAFile, s.CAData = absolute, string(content)
		if len(content) == 0 && err == nil {
			errs = append(errs, fmt.Errorf("%s: %s is empty", path, absolute))
		}
	}
	return errs
}

// authority is the CA in PEM.
func (s WebhookService) authority() []byte {
	if decoded, err := base64.StdEncoding.DecodeString(s.CAData); err == nil {
		return decoded
	}
	return []byte(s.CAData)
}

func (c Config) validateWebhookServices(v *problems) {
	for i, s := range c.WebhookServices {
		path := fmt.Sprintf("%s[%d]", webhookServicesKey, i)
		v.check(path+".namespace", len(validation.IsDNS1123Label(s.Namespace)) == 0, "must be the name of a namespace, not %q", s.Namespace)
		v.check(path+".name", len(validation.IsDNS1123Label(s.Name)) == 0, "must be the name of a Service, not %q", s.Name)
		v.check(path+".port", validPort(s.Port), "must be a port from 1 to 65535, not %d", s.Port)
		v.check(path+".address", isHostPort(s.Address), "must be a host and a port, such as 192.0.2.7:9443, not %q", s.Address)
		v.check(path+".caData", s.CAData == "" || x509.NewCertPool().AppendCertsFromPEM(s.authority()), "holds no certificate in PEM, nor one in base64")
		v.check(path, !slices.Contains(clusterapi.Names(), s.Name+"."+s.Namespace+".svc"), "%s/%s is answered by the appliance itself", s.Namespace, s.Name)
		first := slices.IndexFunc(c.WebhookServices, func(o WebhookService) bool {
			return o.Namespace == s.Namespace && o.Name == s.Name && o.Port == s.Port
		})
		v.check(path, first == i, "%s/%s:%d is there already, as %s[%d]", s.Namespace, s.Name, s.Port, webhookServicesKey, first)
	}
}

func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.Atoi(port)
	return err == nil && portErr == nil && host != "" && validPort(number)
}

// webhookServices are the Services as the API server takes them.
func (c Config) webhookServices() []apiserver.WebhookService {
	var all []apiserver.WebhookService
	for _, s := range c.WebhookServices {
		all = append(all, apiserver.WebhookService{
			Namespace: s.Namespace, Name: s.Name, Port: int32(s.Port), Address: s.Address, CA: s.authority(),
		})
	}
	return all
}

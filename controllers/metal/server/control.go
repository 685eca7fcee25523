package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi"
	"github.com/sidero-appliance/sidero-appliance/power/managementapi"
	"github.com/sidero-appliance/sidero-appliance/power/redfish"
	"github.com/sidero-appliance/sidero-appliance/power/wol"
)

// Reasons of the PowerControl condition.
const (
	reasonSecret   = "SecretMissing"
	reasonSettings = "SettingsInvalid"
	reasonDenied   = "AccessDenied"
	reasonPerson   = "PersonNeeded"
	reasonFailed   = "NotReachable"
	reasonDefies   = "NotObeyed"
	reasonChanged  = "CertificateChanged"
)

// control is what a machine's power is controlled with.
type control struct {
	driver power.Driver
	// settings stand for what the driver is made of, but for what it has found out itself.
	settings string
	// blind tells that the driver cannot tell whether the machine is on, and turnsOff that it needs no person to turn it off.
	blind, turnsOff bool
}

// problemError tells why a machine's power cannot be controlled.
type problemError struct {
	reason string
	error
}

func (e *problemError) Unwrap() error { return e.error }

// controls makes drivers of what Servers say.
type controls struct {
	guards *power.Guards
	// secrets are read from the API server, not from a cache: nothing but a named one is ever read.
	secrets client.Reader
	// failures are made on purpose, for tests.
	failures power.Failures
	// httpBoot is what Config calls HTTPBoot.
	httpBoot string
	// key makes hashes of passwords of no use to those who see them.
	key []byte
	// pinned is told the certificate that a BMC had when it was first spoken to.
	pinned func(server, fingerprint string)
}

// settingsMissing is for objects that are older than their validation.
func settingsMissing(kind v1alpha2.PowerDriver, spec *v1alpha2.ServerSpec) bool {
	switch kind {
	case v1alpha2.PowerIPMI:
		return spec.BMC == nil
	case v1alpha2.PowerRedfish:
		return spec.BMC == nil && (spec.Power == nil || spec.Power.Redfish == nil)
	case v1alpha2.PowerAPI:
		return spec.ManagementAPI == nil
	case v1alpha2.PowerWebhook:
		return spec.Power == nil || spec.Power.Webhook == nil
	default:
		return false
	}
}

// of makes a server's control. There is none, and no error, for a machine that nothing controls: as upstream, one whose
// BMC's user or password is not known yet is of that kind.
func (c *controls) of(ctx context.Context, s *v1alpha2.Server) (*control, error) {
	kind := s.Spec.PowerDriver()
	if settingsMissing(kind, &s.Spec) {
		return nil, &problemError{reasonSettings, fmt.Errorf("the settings of power driver %s are missing", kind)}
	}

	var (
		logins credentials
		err    error
	)

	switch kind {
	case v1alpha2.PowerManual:
		return nil, nil //nolint:nilnil // nothing controls it
	case v1alpha2.PowerIPMI, v1alpha2.PowerRedfish:
		if logins, err = c.bmcCredentials(ctx, s.Spec.BMC); err != nil {
			return nil, &problemError{reasonSecret, err}
		}

		if kind == v1alpha2.PowerIPMI && (logins.User == "" || logins.Password == "") {
			return nil, nil //nolint:nilnil // as upstream: its set-up is not complete
		}
	case v1alpha2.PowerWebhook:
		if logins, err = c.webhookCredentials(ctx, s.Spec.Power.Webhook.SecretRef); err != nil {
			return nil, &problemError{reasonSecret, err}
		}
	}

	endpoint, open := c.opener(kind, s.DeepCopy(), logins)
	if _, err := open(); err != nil { // what is made here is never used, and has opened nothing
		return nil, &problemError{reasonSettings, err}
	}

	settings := c.hash(s.Spec.BMC, s.Spec.ManagementAPI, s.Spec.Power, logins)

	driver := c.guards.Driver(power.Key{Endpoint: endpoint, Machine: string(s.UID), Revision: c.hash(settings, s.Status.BMCFingerprint)}, open)
	if kind == v1alpha2.PowerAPI && (c.failures.Explicit > 0 || c.failures.Silent > 0) {
		driver = power.Simulate(driver, c.failures)
	}

	return &control{driver, settings, !s.Spec.SeesPower(), s.Spec.TurnsOff()}, nil
}

// opener tells the device that a driver speaks to, and makes the driver.
func (c *controls) opener(kind v1alpha2.PowerDriver, s *v1alpha2.Server, logins credentials) (endpoint string, open func() (power.Driver, error)) {
	spec := &s.Spec

	switch kind {
	case v1alpha2.PowerIPMI:
		config := ipmi.Config{
			Endpoint: spec.BMC.Endpoint, Port: int(spec.BMC.Port), Interface: spec.BMC.Interface, User: logins.User, Password: logins.Password,
		}

		return net.JoinHostPort(config.Endpoint, strconv.Itoa(config.Port)), func() (power.Driver, error) { return ipmi.New(config) }
	case v1alpha2.PowerRedfish:
		config := c.redfish(s, logins)

		return config.Endpoint, func() (power.Driver, error) { return redfish.New(config) }
	case v1alpha2.PowerAPI:
		config := managementapi.Config{Endpoint: spec.ManagementAPI.Endpoint}

		return config.Endpoint, func() (power.Driver, error) { return managementapi.New(config) }
	case v1alpha2.PowerWakeOnLAN:
		return "wol/" + s.Name, func() (power.Driver, error) { return wakeOnLAN(spec) }
	case v1alpha2.PowerWebhook:
		return "webhook/" + s.Name, func() (power.Driver, error) { return openWebhook(spec.Power.Webhook, logins) }
	default:
		return "", func() (power.Driver, error) { return nil, fmt.Errorf("there is no power driver %q", kind) }
	}
}

func (c *controls) redfish(s *v1alpha2.Server, logins credentials) redfish.Config {
	config := redfish.Config{User: logins.User, Password: logins.Password, Fingerprint: s.Status.BMCFingerprint}

	if given := s.Spec.Power.Redfish; given != nil {
		config.Endpoint, config.System = given.Endpoint, given.System
		if given.HTTPBoot {
			config.HTTPBoot = c.httpBoot
		}

		if given.Fingerprint != "" {
			config.Fingerprint = given.Fingerprint
		}
	}

	if config.Endpoint == "" && s.Spec.BMC != nil {
		config.Endpoint = s.Spec.BMC.Endpoint
	}

	config.Pin = func(fingerprint string) { c.pinned(s.Name, fingerprint) }

	return config
}

func wakeOnLAN(spec *v1alpha2.ServerSpec) (power.Driver, error) {
	var (
		config wol.Config
		texts  []string
	)

	if given := spec.Power.WakeOnLAN; given != nil {
		texts, config.Interface, config.Ethernet = given.MACs, given.Interface, given.Interface != ""

		if given.Address != "" {
			address, err := netip.ParseAddrPort(given.Address)
			if err != nil {
				return nil, fmt.Errorf("parse address: %w", err)
			}

			config.Address = address
		}
	}

	if len(texts) == 0 && spec.Hardware != nil && spec.Hardware.Network != nil {
		for _, card := range spec.Hardware.Network.Interfaces {
			texts = append(texts, card.MAC)
		}
	}

	for _, text := range texts {
		mac, err := net.ParseMAC(text)
		if err != nil {
			return nil, fmt.Errorf("parse MAC address: %w", err)
		}

		config.MACs = append(config.MACs, mac)
	}

	return wol.New(config)
}

// credentials are what a driver logs in with.
type credentials struct{ User, Password, Token string }

func (c *controls) bmcCredentials(ctx context.Context, bmc *v1alpha2.BMC) (credentials, error) {
	if bmc == nil {
		return credentials{}, nil
	}

	user, userErr := c.credential(ctx, bmc.User, bmc.UserFrom)
	pass, passErr := c.credential(ctx, bmc.Pass, bmc.PassFrom)

	return credentials{User: user, Password: pass}, errors.Join(userErr, passErr)
}

// credential is the literal, or else what the source has.
func (c *controls) credential(ctx context.Context, literal string, from *v1alpha2.CredentialSource) (string, error) {
	if literal != "" || from == nil {
		return literal, nil
	}

	if from.SecretKeyRef == nil {
		return "", errors.New("find credential: the source names no Secret: set secretKeyRef")
	}

	ref := from.SecretKeyRef

	data, err := c.secret(ctx, ref.Namespace, ref.Name)
	if err != nil {
		return "", err
	}

	value, ok := data[ref.Key]
	if !ok {
		return "", fmt.Errorf("find credential: Secret %s/%s has no key %q", ref.Namespace, ref.Name, ref.Key)
	}

	return string(value), nil
}

func (c *controls) webhookCredentials(ctx context.Context, ref *v1alpha2.SecretRef) (credentials, error) {
	if ref == nil {
		return credentials{}, nil
	}

	namespace := ref.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}

	data, err := c.secret(ctx, namespace, ref.Name)

	return credentials{User: string(data["user"]), Password: string(data["password"]), Token: string(data["token"])}, err
}

func (c *controls) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	if err := c.secrets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}

	return secret.Data, nil
}

// hash changes with everything that it is of.
func (c *controls) hash(of ...any) string {
	text, _ := json.Marshal(of) //nolint:errchkjson // plain data
	hash := hmac.New(sha256.New, c.key)
	hash.Write(text)

	return hex.EncodeToString(hash.Sum(nil))
}

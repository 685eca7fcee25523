package controlplane

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	"go.yaml.in/yaml/v4"

	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// untagged is the version of an image that tells none.
const untagged = "unknown"

// configuration is of a machine configuration what images it names. What is not there is nil.
type configuration struct {
	Kind    string `yaml:"kind"`
	Machine struct {
		Install *named `yaml:"install"`
		Kubelet *named `yaml:"kubelet"`
	} `yaml:"machine"`
	Cluster struct {
		APIServer         *named `yaml:"apiServer"`
		ControllerManager *named `yaml:"controllerManager"`
		Scheduler         *named `yaml:"scheduler"`
		Proxy             *named `yaml:"proxy"`
	} `yaml:"cluster"`
}

type named struct {
	Image string `yaml:"image"`
}

// place is where a configuration names an image.
type place struct {
	path  string
	there *named
	usual string
}

// read finds the document of a configuration that names images: the one without a kind.
func read(text []byte) (configuration, error) {
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var c configuration

		err := decoder.Decode(&c)

		switch {
		case errors.Is(err, io.EOF):
			return c, errors.New("read configuration: it has no document of machine and cluster")
		case err != nil:
			return c, errors.New("read configuration: it is no YAML of one") // the cause would quote it
		case c.Kind == "":
			return c, nil
		}
	}
}

// places are those of the images of parts. That of kube-proxy goes with the last: it is in a manifest that no node runs itself.
func (c configuration) places() [len(parts{})][]place {
	return [...][]place{
		{{"/cluster/apiServer", c.Cluster.APIServer, constants.KubernetesAPIServerImage}},
		{{"/cluster/controllerManager", c.Cluster.ControllerManager, constants.KubernetesControllerManagerImage}},
		{{"/cluster/scheduler", c.Cluster.Scheduler, constants.KubernetesSchedulerImage}},
		{
			{"/machine/kubelet", c.Machine.Kubelet, constants.KubeletImage},
			{"/cluster/proxy", c.Cluster.Proxy, constants.KubeProxyImage},
		},
	}
}

// told are the versions of the parts that a configuration names.
func told(text []byte) ([len(parts{})]string, error) {
	var versions [len(parts{})]string

	c, err := read(text)
	if err != nil {
		return versions, err
	}

	for i, places := range c.places() {
		versions[i] = untagged
		if there := places[0].there; there != nil && there.Image != "" {
			versions[i] = tagOf(there.Image)
		}
	}

	return versions, nil
}

// withPart is a configuration that names another version of a part. Where images come from stays as it is.
func withPart(text []byte, part int, version string) ([]byte, error) {
	c, err := read(text)
	if err != nil {
		return nil, err
	}

	var patches machineconfig.Patches

	for i, p := range c.places()[part] {
		if i > 0 && (p.there == nil || p.there.Image == "") {
			continue // there is no kube-proxy
		}

		if p.there == nil {
			patches.Operations = append(patches.Operations, machineconfig.Operation{Op: "add", Path: p.path, Value: json.RawMessage("{}")})
			p.there = &named{}
		}

		image, err := json.Marshal(tagged(cmp.Or(p.there.Image, p.usual), version))
		if err != nil {
			return nil, fmt.Errorf("write image: %w", err)
		}

		patches.Operations = append(patches.Operations, machineconfig.Operation{Op: "add", Path: p.path + "/image", Value: image})
	}

	return machineconfig.Patch(text, patches) //nolint:wrapcheck // it says what it is
}

// installer is the image that installs a release of Talos on a machine: from where the machine had its own, with all that is in it. One
// whose configuration names none has Talos's own, which lies beside its kubelet.
func installer(text []byte, release string) (string, error) {
	c, err := read(text)
	if err != nil {
		return "", err
	}

	if c.Machine.Install == nil || c.Machine.Install.Image == "" {
		return path.Dir(constants.KubeletImage) + "/installer:" + release, nil
	}

	return tagged(c.Machine.Install.Image, release), nil
}

// tagged is an image with another tag. A digest would be that of the former one.
func tagged(image, tag string) string {
	name, _, _ := strings.Cut(image, "@")

	return strings.TrimSuffix(name, ":"+tagOf(image)) + ":" + tag
}

// tagOf is the tag of an image. What is before the last slash may have a port.
func tagOf(image string) string {
	name, _, _ := strings.Cut(image, "@")

	_, tag, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")

	return cmp.Or(tag, untagged)
}

package appliance

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"
	kubeversion "k8s.io/component-base/version"

	"github.com/sidero-appliance/sidero-appliance/appliance/buildinfo"
	"github.com/sidero-appliance/sidero-appliance/assets"
)

// versionReport is what the version command tells; its JSON form is for scripts.
type versionReport struct {
	Version    string        `json:"version"`
	Commit     string        `json:"commit"`
	Kubernetes string        `json:"kubernetes"` // the API that is served
	Go         string        `json:"go"`
	Platform   string        `json:"platform"`
	Images     []imageReport `json:"images"` // what is embedded
}

// imageReport names the packages that an embedded image was made from.
type imageReport struct {
	Name     string           `json:"name"`
	Packages []assets.Package `json:"packages"`
}

func (p program) versionCommand() *cobra.Command {
	output := "text"
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show which version this is and what is inside",
		Long: `Show the version of the appliance, of the Kubernetes API that it serves, and the
Debian packages that its network boot images were made from.`,
		Example: `  sidero-appliance version
  sidero-appliance version -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			images, err := assets.Versions(assets.Embedded())
			if err != nil {
				return working(err)
			}
			return working(newVersionReport(images).write(p.stdout, output))
		},
	}
	cmd.Flags().VarP(oneOf(&output, "text", "json"), "output", "o", "text or json")
	return cmd
}

func newVersionReport(images []assets.Image) versionReport {
	reports := []imageReport{} // an empty list in JSON, not null
	for _, i := range images {
		reports = append(reports, imageReport(i))
	}
	return versionReport{
		Version:    buildinfo.Version(),
		Commit:     buildinfo.Commit(),
		Kubernetes: kubeversion.Get().GitVersion,
		Go:         runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
		Images:     reports,
	}
}

func (r versionReport) write(w io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	fmt.Fprintf(w, "sidero-appliance %s (commit %s)\n", r.Version, r.Commit)
	fmt.Fprintf(w, "Kubernetes API   %s\n", r.Kubernetes)
	fmt.Fprintf(w, "built with       %s %s\n", r.Go, r.Platform)
	if len(r.Images) == 0 {
		_, err := fmt.Fprintln(w, "no boot images inside: this binary was not made by \"make build\"")
		return err
	}
	fmt.Fprintln(w, "boot images, made from these Debian packages:")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, image := range r.Images {
		for _, p := range image.Packages {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", image.Name, p.Name, p.Version)
		}
	}
	return table.Flush()
}

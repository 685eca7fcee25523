package appliance

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/flags.md instead of comparing it")

const flagsDocument = "../docs/flags.md"

// TestDocumentOfFlags holds docs/flags.md to the code.
func TestDocumentOfFlags(t *testing.T) {
	want := documentFlags()
	if *update {
		if err := os.WriteFile(flagsDocument, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(flagsDocument)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run \"make generate\"", flagsDocument)
	}
}

func documentFlags() []byte {
	var b bytes.Buffer
	b.WriteString(`# Flags, variables and keys

This page is made from the code by "make generate".

Each setting of "sidero-appliance run" can be given in four ways. The first one in this list that says something wins:

1. a flag: ` + "`--http-port=9081`" + `
2. a variable in the environment: ` + "`SIDERO_APPLIANCE_HTTP_PORT=9081`" + `, or the one that Sidero Metal's manifests use,
   if there is one. An empty variable counts as none. What comes from the environment is logged at the start.
3. a key in the configuration file, ` + "`" + DefaultConfigFile + "`" + ` if it exists, or the one named with ` + "`--config`" + `:
   ` + "`httpPort: 9081`" + `. Unknown keys are errors.
4. the default.

Lists are separated by commas; the file also takes YAML lists.

| flag | variables | key in the file | default | meaning |
|---|---|---|---|---|
`)
	defaults := Defaults()
	for _, s := range settings(&defaults) {
		key, fallback := code(s.key()), code(s.defaultText())
		switch {
		case s.notFile:
			key = ""
		case s.aliasOf != "":
			fallback = ""
		}
		if s.fallback != "" {
			fallback = cell(s.fallback)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code("--"+s.flag), strings.Join(codes(s.variables()), " "), key, fallback, cell(s.usage))
	}
	b.WriteString("\nThese are keys of the file only:\n\n| key in the file | meaning |\n|---|---|\n")
	for _, s := range structures(&defaults) {
		fmt.Fprintf(&b, "| %s | %s |\n", code(s.key), cell(s.usage))
	}
	b.WriteString("\n# Commands\n")
	documentCommand(&b, program{}.rootCommand())
	return b.Bytes()
}

func documentCommand(b *bytes.Buffer, cmd *cobra.Command) {
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", cmd.CommandPath(), cmd.Long)
		if cmd.Example != "" {
			fmt.Fprintf(b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		}
		if cmd.Name() == "run" {
			return // the table above
		}
		documentFlagsOf(b, cmd)
	}
	for _, child := range cmd.Commands() {
		if child.Name() != "completion" && child.Name() != "help" {
			documentCommand(b, child)
		}
	}
}

func documentFlagsOf(b *bytes.Buffer, cmd *cobra.Command) {
	if !cmd.HasLocalFlags() {
		return
	}
	b.WriteString("\n| flag | meaning |\n|---|---|\n")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(b, "| %s | %s |\n", code(name), cell(f.Usage))
	})
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func codes(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, code(n))
	}
	return out
}

// cell escapes what would end a cell of a table, or start a tag.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(s) }

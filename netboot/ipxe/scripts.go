package ipxe

import (
	"fmt"
	"net/url"
	"strings"
)

// Scripts writes scripts that lead back to one appliance. Make it with New.
type Scripts struct {
	base string
}

// New takes the appliance's address as machines reach it, http://HOST:PORT with an IPv6 host in brackets. It is written
// into every script, so that nothing depends on the next-server of a LAN's DHCP.
func New(base string) (Scripts, error) {
	parsed, err := url.Parse(base)
	if err != nil {
		return Scripts{}, fmt.Errorf("parse boot address: %w", err)
	}
	if base != "http://"+parsed.Host || parsed.Hostname() == "" || parsed.Port() == "" {
		return Scripts{}, fmt.Errorf("parse boot address %q: write it as http://HOST:PORT", base)
	}
	return Scripts{base: base}, nil
}

// Endpoint is the appliance's HOST:PORT.
func (s Scripts) Endpoint() string { return strings.TrimPrefix(s.base, "http://") }

// Boot is the script a machine starts with. It finds an interface that reaches the appliance, tells who the machine is,
// and runs what it is given. It is served as /boot.ipxe and autoexec.ipxe.
func (s Scripts) Boot() string { return s.head() + bootBody() }

// Kernel is what a machine loads and starts.
type Kernel struct {
	// Environment is the folder below /env/ that holds the files.
	Environment string
	// Image is a file name in it.
	Image string
	// Initrds are file names in it, in the order in which the kernel unpacks them one over the other. The kernel is told
	// nothing of them: Args carry an initrd=NAME for each.
	Initrds []string
	// Args are kernel arguments, in order. Each may hold several words, and settings of iPXE, as with Sidero: ${uuid}, ${net0/ip}.
	Args []string
	// Why is shown on the machine's screen.
	Why string
}

// Kernel is the script that starts a kernel. It fails when an argument cannot be said in a script.
func (s Scripts) Kernel(kernel Kernel) (string, error) {
	why, err := message(kernel.Why)
	if err != nil {
		return "", err
	}
	args, err := words("kernel arguments", strings.Join(kernel.Args, " "))
	if err != nil {
		return "", err
	}
	if len(args) > maxCommandLine {
		return "", fmt.Errorf("write kernel arguments: %d bytes are more than the %d that a kernel reads", len(args), maxCommandLine)
	}
	folder := "${appliance}/env/" + url.PathEscape(kernel.Environment) + "/"
	script := s.head() +
		"echo\necho " + why + "\n" +
		"kernel " + folder + url.PathEscape(kernel.Image) + " " + args + " || goto failed\n"
	for _, name := range kernel.Initrds {
		name = url.PathEscape(name)
		script += "initrd --name " + name + " " + folder + name + " || goto failed\n"
	}
	return script + "boot ||\n" +
		kernelFailed() + again(5), nil
}

// NewerIPXE is the script that hands over to the iPXE that the appliance serves under the given boot file name. It shows
// why.
func (s Scripts) NewerIPXE(file, why string) (string, error) {
	shown, err := message(why)
	if err != nil {
		return "", err
	}
	return s.head() +
		"echo\necho " + shown + "\n" +
		"chain --autofree ${appliance}/tftp/" + url.PathEscape(file) + " ||\n" +
		"echo\necho The newer iPXE did not start: see the error above.\n" +
		again(5), nil
}

// Wait is the script for a machine that cannot be served now: it shows why, and asks again after half a minute.
func (s Scripts) Wait(why string) (string, error) {
	shown, err := message(why)
	if err != nil {
		return "", err
	}
	return s.head() + "echo\necho " + shown + "\n" + again(30), nil
}

// Exit is the script that leaves iPXE, after which firmware tries what it boots from next. UEFI does so only when what it started has
// failed: after a success it shows its menu, for ever (UEFI 2.10 section 3.1.7; seen with EDK2).
func (s Scripts) Exit() string { return "#!ipxe\niseq ${platform} efi && exit 1 ||\nexit\n" }

// SANBoot is the script that starts from the first disk by iPXE itself, for firmware that tries nothing after iPXE.
func (s Scripts) SANBoot() string { return "#!ipxe\nsanboot --no-describe --drive 0x80\n" }

func (s Scripts) head() string { return "#!ipxe\nset appliance " + s.base + "\n" }

// maxCommandLine is COMMAND_LINE_SIZE of Linux on x86 and arm64, less its closing zero.
const maxCommandLine = 2047

// message checks that a text is shown as it is: iPXE expands ${.
func message(text string) (string, error) {
	if strings.Contains(text, "${") {
		return "", fmt.Errorf("write message: iPXE would expand %q", text)
	}
	return words("message", text)
}

// words checks that a text reaches its command as it is, but for what iPXE expands in it: iPXE knows no quoting. It takes a word of
// its own that is &&, || or ; for an operator, one that starts with # for a comment, and a \ at the end of a line for its
// continuation. White space between words is folded, as iPXE does.
func words(what, text string) (string, error) {
	for _, char := range text {
		if char < ' ' || char > '~' {
			return "", fmt.Errorf("write %s: %q has a character that an iPXE script cannot hold", what, text)
		}
	}
	split := strings.Fields(text)
	for _, word := range split {
		switch {
		case word == "&&", word == "||", word == ";", strings.HasPrefix(word, "#"), strings.HasSuffix(word, `\`):
			return "", fmt.Errorf("write %s: the word %q means something else to iPXE", what, word)
		}
	}
	return strings.Join(split, " "), nil
}

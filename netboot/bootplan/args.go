package bootplan

import (
	"slices"
	"strings"
)

// agentInitrds are the agent, under Sidero's name, and the drivers and firmware that it may need.
func agentInitrds() []string { return []string{"initramfs.xz", "drivers.zst"} }

// agentArgs are Sidero's kernel arguments for the agent: Talos's defaults, consoles, a restart after a crash, and where to
// register. initrd= is the name under which an iPXE under UEFI shows an initial RAM disk to the kernel.
func agentArgs(agent Agent, mac string) []string {
	args := []string{
		"init_on_alloc=1",
		"slab_nomerge",
		"pti=on",
		"consoleblank=0",
		"nvme_core.io_timeout=4294967295",
		"printk.devkmsg=on",
		"selinux=1",
		"module.sig_enforce=1",
		"proc_mem.force_override=never",
		"console=tty0",
		"console=ttyS0",
	}
	for _, name := range agentInitrds() {
		args = append(args, "initrd="+name)
	}
	args = append(args, "panic=30")
	if mac != "" {
		args = append(args, "sidero.mac="+mac)
	}
	return override(append(args, "sidero.endpoint="+agent.Endpoint), agent.ExtraArgs)
}

// override takes every argument out whose key is also in extra, and appends extra: one console= there removes both
// default consoles. An entry of extra may hold several arguments, as users write them in one flag.
func override(args, extra []string) []string {
	extra = strings.Fields(strings.Join(extra, " "))
	kept := slices.DeleteFunc(args, func(arg string) bool {
		return slices.ContainsFunc(extra, func(other string) bool { return key(arg) == key(other) })
	})
	return append(kept, extra...)
}

func key(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return name
}

# "make" prints what there is.

PREFIX  ?= /usr/local
DESTDIR ?=
BINARY  ?= bin/sidero-appliance
# Where systemd looks for units, which a PREFIX does not change.
UNITDIR ?= /usr/local/lib/systemd/system

# How often each fuzz target is called in "make test". A number of calls, not a
# time: when a time is over while Go makes an input smaller, it takes that for a
# failure ("context deadline exceeded").
FUZZTIME ?= 10000x

# What a fresh Debian 12 lacks: for building; and for the lab, the programs that
# tests talk to, what generates code, and what systemd checks.
BUILD_PACKAGES := ca-certificates gnupg
TEST_PACKAGES  := \
	qemu-system-x86 ovmf seabios ipxe-qemu dnsmasq-base iproute2 \
	atftp curl kea-admin kmod tcpdump tftp-hpa util-linux \
	protobuf-compiler \
	ipmitool openipmi freeipmi-tools redfishtool python3-sushy \
	ethtool lldpd linux-libc-dev \
	cpio udev mdadm xfsprogs btrfs-progs lvm2 cryptsetup-bin gdisk fdisk ntfs-3g genisoimage bcache-tools \
	f2fs-tools dosfstools exfatprogs jfsutils nilfs-tools udftools reiserfsprogs squashfs-tools e2fsprogs \
	grub-common grub-efi-amd64-bin grub-pc-bin \
	systemd

# Right after a machine's first start something else often has the lock, and a
# mirror may stumble.
APT_GET := apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3

VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT     := $(shell git rev-parse --verify --quiet HEAD 2>/dev/null)
DATE       := $(or $(shell TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null),1970-01-01T00:00:00Z)
KUBERNETES := $(shell awk '$$1 == "k8s.io/kubernetes" { print $$2 }' go.mod)

# clients ask the API server for these, and refuse what it says without them
KUBERNETES_VERSION_FLAGS := \
	-X k8s.io/component-base/version.gitVersion=$(KUBERNETES) \
	-X k8s.io/component-base/version.gitMajor=$(word 1,$(subst ., ,$(KUBERNETES:v%=%))) \
	-X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(KUBERNETES:v%=%))) \
	-X k8s.io/component-base/version.gitCommit=$(COMMIT) \
	-X k8s.io/component-base/version.gitTreeState=clean \
	-X k8s.io/component-base/version.buildDate=$(DATE)

CLUSTER_API := $(shell awk '$$1 == "sigs.k8s.io/cluster-api" { print $$2 }' go.mod)

# what "clusterctl version" says
CLUSTER_API_VERSION_FLAGS := \
	-X sigs.k8s.io/cluster-api/version.gitVersion=$(CLUSTER_API) \
	-X sigs.k8s.io/cluster-api/version.gitMajor=$(word 1,$(subst ., ,$(CLUSTER_API:v%=%))) \
	-X sigs.k8s.io/cluster-api/version.gitMinor=$(word 2,$(subst ., ,$(CLUSTER_API:v%=%))) \
	-X sigs.k8s.io/cluster-api/version.gitCommit=$(COMMIT) \
	-X sigs.k8s.io/cluster-api/version.gitTreeState=clean \
	-X sigs.k8s.io/cluster-api/version.buildDate=$(DATE)

TALOS := $(shell awk '$$1 == "github.com/siderolabs/talos" { print $$2 }' tools/talosctl/go.mod)

# what "talosctl version" says of itself
TALOS_VERSION_FLAGS := -X github.com/siderolabs/talos/pkg/machinery/version.Tag=$(TALOS)

BUILDINFO := github.com/sidero-appliance/sidero-appliance/appliance/buildinfo
LDFLAGS   := -s -w $(KUBERNETES_VERSION_FLAGS) -X $(BUILDINFO).version=$(VERSION) -X $(BUILDINFO).commit=$(COMMIT)

# go_sources lists the Go files, without tests, of some folders.
go_sources = $(shell find $(1) -name '*.go' ! -name '*_test.go' 2>/dev/null)

AGENT_IMAGE := assets/images/agent-amd64/manifest.json
IPXE_IMAGE  := assets/images/ipxe/manifest.json
TALOS_NODE  := bin/talosnode/manifest.json
TOOLS_MOD   := -modfile=tools/go.mod

# Everything is built in one way, the tests as well: each further way would
# compile Kubernetes once more, for minutes. The version is written by LDFLAGS;
# Go's own look at git fails in a checkout of another user.
export GOFLAGS     := -trimpath -buildvcs=false $(filter-out -trimpath -buildvcs=%,$(GOFLAGS))
export CGO_ENABLED := 0

.DELETE_ON_ERROR:

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps ## show it: three blank machines boot over the network and turn up in kubectl (as root)
	@$(MAKE) --no-print-directory build tools
	go run ./e2e/demo

.PHONY: test
test: deps ## run all tests, also those with virtual machines (as root)
	@$(MAKE) --no-print-directory build tools
	go vet ./...
	go vet -tags e2e ./e2e/... ./controllers/...
	go vet -tags images ./assets ./registration-agent/image
	go test -p 2 -timeout 10m ./...
	go test -tags images ./assets ./registration-agent/image
	@$(MAKE) --no-print-directory fuzz e2e

# install_packages installs those of the Debian packages $(1) that are missing.
define install_packages
	@go version >/dev/null 2>&1 || { echo 'error: Go is missing: install Go 1.26 or newer from https://go.dev/dl/ and put it in the PATH'; exit 1; }
	@missing=''; for p in $(1); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q '^install ok installed$$' || missing="$$missing $$p"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "error: these Debian packages are missing, run \"make $@\" as root:$$missing"; exit 1; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	$(APT_GET) update && $(APT_GET) install --yes --no-install-recommends $$missing
endef

.PHONY: deps
deps: ## install the Debian packages that building and testing need, if they are missing
	$(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES))

.PHONY: build-deps
build-deps: ## install only those that building needs
	$(call install_packages,$(BUILD_PACKAGES))

.PHONY: build
build: images ## build bin/sidero-appliance
	@for image in $(AGENT_IMAGE) $(IPXE_IMAGE); do \
		test -s $$image || { echo "error: $$image is missing: run \"make images\""; exit 1; }; \
	done
	go build -ldflags '$(LDFLAGS)' -o bin/sidero-appliance .

.PHONY: images
images: build-deps ## make the boot images that the program carries
	@$(MAKE) --no-print-directory agent $(IPXE_IMAGE)

.PHONY: agent
agent: $(AGENT_IMAGE) ## make the agent's kernel and initramfs

$(AGENT_IMAGE): go.mod go.sum $(call go_sources,registration-agent assets/debian)
	go run ./registration-agent/image -out $(@D)
	@touch $@

$(IPXE_IMAGE): go.mod $(call go_sources,assets/debian)
	go run ./assets/debian/ipxe -out $(@D)
	@touch $@

.PHONY: talosnode
talosnode: $(TALOS_NODE) ## make the kernel and initramfs of the stand-in for Talos that tests boot

$(TALOS_NODE): go.mod go.sum $(call go_sources,e2e/talosnode registration-agent assets/debian metadata/siderolink)
	go build -ldflags '$(LDFLAGS)' -o $(@D)/init ./e2e/talosnode/pid1
	go run ./e2e/talosnode/image -init $(@D)/init -out $(@D)
	@touch $@

.PHONY: tools
tools: bin/kubectl bin/clusterctl bin/cluster-api-manager bin/kubeadm-bootstrap-manager ## build the programs that tests work with, of the versions that fit, into bin/

bin/kubectl: go.mod
	go build -ldflags '-s -w $(KUBERNETES_VERSION_FLAGS)' -o $@ k8s.io/kubernetes/cmd/kubectl
	@touch $@

bin/clusterctl: go.mod
	go build -ldflags '-s -w $(CLUSTER_API_VERSION_FLAGS)' -o $@ sigs.k8s.io/cluster-api/cmd/clusterctl
	@touch $@

# Cluster API's own managers, as they run elsewhere.
bin/cluster-api-manager: go.mod
	go build -ldflags '-s -w $(CLUSTER_API_VERSION_FLAGS)' -o $@ sigs.k8s.io/cluster-api/core
	@touch $@

bin/kubeadm-bootstrap-manager: go.mod
	go build -ldflags '-s -w $(CLUSTER_API_VERSION_FLAGS)' -o $@ sigs.k8s.io/cluster-api/bootstrap/kubeadm
	@touch $@

# Talos's own client needs other versions of Kubernetes's modules than the appliance.
bin/talosctl: tools/talosctl/go.mod
	cd tools/talosctl && go build -ldflags '-s -w $(TALOS_VERSION_FLAGS)' -o ../../$@ github.com/siderolabs/talos/cmd/talosctl
	@touch $@

.PHONY: generate
generate: ## write the generated code and documents again
	go generate ./...

.PHONY: lint
lint: bin/golangci-lint ## look for mistakes with golangci-lint
	bin/golangci-lint run ./...

bin/golangci-lint: tools/go.mod
	go build $(TOOLS_MOD) -ldflags '-s -w' -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

.PHONY: fuzz
fuzz: ## run each fuzz target FUZZTIME, such as 10000x
	@grep -rn --include='*_test.go' '^func Fuzz' . | sed -E 's|^\./(.*)/[^/]*:[0-9]+:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | while read -r folder target; do \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "./$$folder" </dev/null || exit 1; \
	done

.PHONY: e2e
e2e: deps ## run every test in the lab with virtual machines, but for those of e2e-servers and e2e-clusters (as root)
	@$(MAKE) --no-print-directory build tools
	go test -tags e2e -count=1 -p 1 -parallel 2 -timeout 30m -skip '^Test(Servers|Clusters)' $$(go list -tags e2e ./e2e/... | grep -v /talosnode)

.PHONY: e2e-boot
e2e-boot: deps ## run the network boots only: BIOS, UEFI, UEFI HTTP (as root)
	@$(MAKE) --no-print-directory build tools
	go test -tags e2e -count=1 -p 1 -parallel 2 -timeout 20m -run Boot ./e2e/...

.PHONY: e2e-servers
e2e-servers: deps ## run the life of servers: machines with IPMI, Redfish and neither, kills of the appliance (as root)
	@$(MAKE) --no-print-directory build tools
	go test -tags e2e -count=1 -p 1 -parallel 3 -timeout 30m -run '^(TestServers|TestKilledAtAnyMoment)' ./e2e -args -kills 50

.PHONY: e2e-clusters
e2e-clusters: deps ## make clusters of machines with real firmware, whose nodes stand in for Talos, and take them apart (as root)
	@$(MAKE) --no-print-directory build tools talosnode bin/talosctl
	go test -tags e2e -count=1 -p 1 -timeout 20m ./e2e/talosnode/...
	go test -tags e2e -count=1 -timeout 20m ./controllers/infrastructure -args -races 1000
	go test -tags e2e -count=1 -timeout 20m ./controllers/talos/controlplane
	go test -tags e2e -count=1 -p 1 -timeout 120m -run '^TestClusters' ./e2e -args -kills 50

.PHONY: bench
bench: deps ## measure start, memory, load, polling, boots and clusters
	@$(MAKE) --no-print-directory build tools
	go test -tags e2e -count=1 -p 1 -timeout 240m -run '^$$' -bench . -benchtime 1x ./controllers ./e2e/...

.PHONY: run
run: build ## run the appliance on this machine's network, with its data in ./data (as root)
	bin/sidero-appliance run --data-dir data

.PHONY: install
install: ## install bin/sidero-appliance and its systemd unit below PREFIX (as root)
	@test -x $(BINARY) || { echo 'error: $(BINARY) is missing: run "make build" first'; exit 1; }
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/sidero-appliance
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/local/bin|$(PREFIX)/bin|' deploy/systemd/sidero-appliance.service > $(DESTDIR)$(UNITDIR)/sidero-appliance.service
	chmod 644 $(DESTDIR)$(UNITDIR)/sidero-appliance.service
	install -D -m 644 deploy/systemd/sidero-appliance.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sidero-appliance.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/sidero-appliance LICENSE NOTICE LICENSES/GPL-2.0.txt \
		docs/flags.md docs/sources.md $(wildcard $(dir $(AGENT_IMAGE))*.copyright)
ifeq ($(DESTDIR),)
	systemd-sysusers $(PREFIX)/lib/sysusers.d/sidero-appliance.conf
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
endif
	@echo 'Installed. Start it now and at every boot with: systemctl enable --now sidero-appliance'
	@echo 'If it is an upgrade of one that runs: systemctl restart sidero-appliance'

.PHONY: uninstall
uninstall: ## remove what "make install" installed; the data stays (as root)
ifeq ($(DESTDIR),)
	if [ -d /run/systemd/system ]; then systemctl disable --now sidero-appliance || true; fi
endif
	rm -f $(DESTDIR)$(PREFIX)/bin/sidero-appliance
	rm -f $(DESTDIR)$(UNITDIR)/sidero-appliance.service
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/sidero-appliance.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/sidero-appliance
ifeq ($(DESTDIR),)
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
endif
	@echo 'The data and the configuration are still there. To remove them too:'
	@echo '  rm -r $(DESTDIR)/var/lib/sidero-appliance $(DESTDIR)/etc/sidero-appliance'
	@echo '  userdel sidero-appliance'

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin assets/images/agent-amd64 assets/images/ipxe

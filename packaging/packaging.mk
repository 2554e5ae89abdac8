# Running from the tree, installing and removing.
SBINDIR    := $(PREFIX)/sbin
BINDIR     := $(PREFIX)/bin
# Where autocork looks for it, beside its own folder.
LIBDIR     := $(PREFIX)/lib/autocork
UNITDIR    := $(PREFIX)/lib/systemd/system
SYSUSERDIR := $(PREFIX)/lib/sysusers.d
MANDIR     := $(PREFIX)/share/man
INCLUDEDIR := $(PREFIX)/include
DOCDIR     := $(PREFIX)/share/doc/autocork
COMPDIR    := $(PREFIX)/share/bash-completion/completions
MAN_PAGES  := $(wildcard docs/man/*.[1578]) $(BUILD)/man/autocork.1

all: $(BUILD)/man/autocork.1

# The page's commands are what their --help says.
$(BUILD)/man/autocork.1: docs/man/autocork.1.in docs/man/commands $(BUILD)/autocork
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)docs/man/commands $(BUILD)/autocork > $@.commands
	$(Q)sed -e '/@COMMANDS@/{r $@.commands' -e 'd}' $< > $@

# What `make run` does to the flows of the host: observe or autocork.
MODE ?= observe

.PHONY: run install uninstall
run: deps ## install what is missing, build, observe this host with a live table (root)
	@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) all
	@BUILD=$(BUILD) MODE=$(MODE) packaging/run

install: all $(BUILD)/man/autocork.1 ## install below DESTDIR and PREFIX
	install -D -m 755 $(BUILD)/autocorkd $(DESTDIR)$(SBINDIR)/autocorkd
	install -D -m 755 $(BUILD)/autocork $(DESTDIR)$(BINDIR)/autocork
	$(if $(wildcard $(BUILD)/autocork-fastpath),\
		install -D -m 755 $(BUILD)/autocork-fastpath $(DESTDIR)$(SBINDIR)/autocork-fastpath)
	$(if $(wildcard $(BUILD)/libautocork-endpoint.so),\
		install -D -m 644 $(BUILD)/libautocork-endpoint.so $(DESTDIR)$(LIBDIR)/libautocork-endpoint.so)
	$(if $(wildcard $(RING_DPDK)),\
		install -D -m 644 $(RING_DPDK) $(DESTDIR)$(LIBDIR)/$(notdir $(RING_DPDK)))
	$(if $(wildcard $(MTCP)),\
		install -D -m 644 $(MTCP) $(DESTDIR)$(PREFIX)/lib/$(notdir $(MTCP)) && \
		install -D -m 644 -t $(DESTDIR)$(INCLUDEDIR) $(MTCP_HEADERS))
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)/etc/autocork/policy.d
	sed 's|@SBINDIR@|$(SBINDIR)|; s|@BINDIR@|$(BINDIR)|' packaging/autocorkd.service > $(DESTDIR)$(UNITDIR)/autocorkd.service
	chmod 644 $(DESTDIR)$(UNITDIR)/autocorkd.service
	install -D -m 644 packaging/autocork.sysusers $(DESTDIR)$(SYSUSERDIR)/autocork.conf
	install -D -m 644 packaging/completion.bash $(DESTDIR)$(COMPDIR)/autocork
	ln -sf autocork $(DESTDIR)$(COMPDIR)/autocorkd
	$(foreach page,$(MAN_PAGES),install -D -m 644 $(page) \
		$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)) &&) true
	install -D -m 644 -t $(DESTDIR)$(DOCDIR)/examples $(wildcard docs/examples/*/*.conf) packaging/dpdk.conf packaging/endpoint.conf
	install -D -m 644 -t $(DESTDIR)$(DOCDIR)/examples/mtcp docs/examples/mtcp/mtcp.ini $(wildcard docs/examples/mtcp/*.c)
	install -m 644 -t $(DESTDIR)$(DOCDIR) README.md $(wildcard docs/*.md docs/*.yml docs/*.json)
	install -D -m 644 -t $(DESTDIR)$(DOCDIR)/licenses $(wildcard LICENSES/*.txt)
	install -m 644 third_party/uplot/LICENSE $(DESTDIR)$(DOCDIR)/licenses/uPlot.txt
	install -D -m 644 -t $(DESTDIR)$(DOCDIR)/schema $(wildcard docs/schema/*.json)

uninstall: ## remove what install installed; your files in /etc/autocork stay
	rm -f $(DESTDIR)$(SBINDIR)/autocorkd $(DESTDIR)$(SBINDIR)/autocork-fastpath $(DESTDIR)$(BINDIR)/autocork
	rm -f $(DESTDIR)$(UNITDIR)/autocorkd.service $(DESTDIR)$(SYSUSERDIR)/autocork.conf
	rm -f $(DESTDIR)$(COMPDIR)/autocork $(DESTDIR)$(COMPDIR)/autocorkd
	rm -f $(foreach page,$(MAN_PAGES),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)$(LIBDIR)
	rm -f $(DESTDIR)$(PREFIX)/lib/$(notdir $(MTCP)) $(addprefix $(DESTDIR)$(INCLUDEDIR)/,$(notdir $(MTCP_HEADERS)))
	rmdir -p --ignore-fail-on-non-empty $(DESTDIR)/etc/autocork/policy.d 2>/dev/null || true

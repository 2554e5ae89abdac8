# The programs for arm64, built by a cross compiler with Debian's own packages of that architecture, and the tests that
# run them on its kernels; beside `make check`, because they take minutes.
ARM64_DEPS    := binutils clang gcc-aarch64-linux-gnu make pkg-config python3 qemu-system-arm bpftool libbpf-dev
ARM64_BUILD   := $(BUILD)/arm64
ARM64_TARGETS := $(addprefix $(ARM64_BUILD)/,autocorkd autocork tests/net/ways_client)

.PHONY: arm64 check-arm64
arm64: ## build autocorkd and autocork for arm64 into build/arm64/, with a cross compiler
	@tree=$$(tests/vm/sysroot.py arm64) && libraries=$$tree/usr/lib/aarch64-linux-gnu && \
	$(MAKE) --no-print-directory $(ARM64_TARGETS) BUILD=$(ARM64_BUILD) LWIP=$(LWIP) \
		CC="$(filter ccache,$(CC)) aarch64-linux-gnu-gcc --sysroot=$$tree" \
		LD=aarch64-linux-gnu-ld AR=aarch64-linux-gnu-ar \
		PKG="env PKG_CONFIG_SYSROOT_DIR=$$tree PKG_CONFIG_LIBDIR=$$libraries/pkgconfig:$$tree/usr/share/pkgconfig pkg-config"

check-arm64: ## build for arm64, run the tests of holding and releasing on Debian's arm64 kernels in QEMU (minutes)
	@packaging/install-packages $(ARM64_DEPS)
	@$(MAKE) --no-print-directory arm64
	@tests/run arm64

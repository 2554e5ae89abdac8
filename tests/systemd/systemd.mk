# Whole systems under the unit as shipped; beside `make check`, because it boots for minutes.
TEST_DEPS += mmdebstrap e2fsprogs
.PHONY: check-systemd
check-systemd: check-deps ## Debian 12 and 13 in QEMU, with the agent under its systemd unit (root); SYSTEMS=bookworm for one
	@$(MAKE) --no-print-directory all
	@TEST_SECONDS=1800 tests/run systemd

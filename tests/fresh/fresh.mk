# Fresh systems in a chroot; beside `make check`, because they fetch and install for minutes.
FRESH_DEPS := git mmdebstrap

.PHONY: unit-deps check-debian13
unit-deps: ## install what the unit and program tests need, and nothing for the other tests (root)
	@packaging/install-packages $(DEPS) $(FASTPATH_DEPS) $(UNIT_DEPS)

check-debian13: ## build the last commit, run the unit and program tests on a fresh Debian 13 (root)
	@packaging/install-packages $(FRESH_DEPS)
	@TEST=debian13 TEST_LIMIT=3000 TEST_SECONDS=3600 tests/run fresh

.PHONY: check-debian12
check-debian12: ## first steps of README.md and the packages on a fresh Debian 12: how many packages, how long (root)
	@packaging/install-packages $(FRESH_DEPS)
	@TEST=debian12 TEST_LIMIT=3000 TEST_SECONDS=3600 tests/run fresh

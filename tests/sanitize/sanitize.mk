# The unit and net tests with the address and undefined-behaviour sanitizers: a tree of its own, build/sanitize.
SANITIZERS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined
ifeq ($(SANITIZE),1)
override CFLAGS  += $(SANITIZERS)
override LDFLAGS += $(SANITIZERS)
endif

.PHONY: sanitize
sanitize: check-deps ## unit and net tests with ASan and UBSan (root); LAYERS=unit or TEST=pattern for some of them
	@ASAN_OPTIONS=detect_leaks=0 $(MAKE) --no-print-directory tests BUILD=build/sanitize SANITIZE=1
	@tests/sanitize/run $(LAYERS)

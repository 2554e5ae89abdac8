# One long run of everything at once: `make soak FOR=30m`. PLAIN: how long the same traffic runs without an agent before.
FOR   ?= 60s
PLAIN ?= $(FOR)
.PHONY: soak
soak: check-deps ## all kinds of traffic for FOR=30m, the agent reloaded, restarted and killed (root)
	@$(MAKE) --no-print-directory tests
	@tests/soak/run $(FOR) $(PLAIN)

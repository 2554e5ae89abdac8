# Benchmarks: `make bench` measures the works of docs/bench.md, `make demo` shows one of them side by side.
BENCH_PRELOAD := $(BUILD)/tests/bench/preload_autocork.so
BENCH_C       := $(addprefix $(BUILD)/tests/bench/,echo stream)

$(BENCH_C): $(BUILD)/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -O2 -g -std=gnu11 $(WARNINGS) $< -o $@ -lpthread

$(BENCH_PRELOAD): tests/bench/preload_autocork.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -fsanitize=%,$(CFLAGS)) -fPIC -shared $< -ldl -o $@

# What `make bench WORK=programs` runs (tests/bench/program_table.py); a line of a program that is not installed is left out.
PROGRAM_DEPS := apache2-bin beanstalkd bind9 dnsperf dovecot-imapd golang-go gunicorn haproxy lighttpd memcached mosquitto \
	nats-server nginx-light nodejs openjdk-17-jdk-headless php-fpm postgresql python3-aiohttp python3-pymemcache \
	python3-tornado python3-websockets rabbitmq-server redis-server redis-tools tinyproxy-bin unbound uwsgi-core \
	uwsgi-plugin-python3 varnish vsftpd wrk

bench-deps: ## install the programs of `make bench WORK=programs`; none is started (root)
	@packaging/install-packages $(PROGRAM_DEPS)

WORK ?=
ROUNDS ?= $(if $(filter programs,$(WORK)),9,5)
BENCH_FLAGS ?=

bench: check-deps ## measure with and without the agent: WORK=nginx,redis or endpoint or programs, ROUNDS=5 (root)
	@$(MAKE) --no-print-directory all $(BENCH_PRELOAD) $(BENCH_C) $(NET_PROGRAMS) $(PROG_TESTS)
	@tests/bench/$(or $(filter endpoint programs,$(WORK)),$(if $(filter endpoint%,$(WORK)),endpoint,run)) --rounds=$(ROUNDS) $(if $(WORK),--work=$(WORK)) $(BENCH_FLAGS)

demo: deps ## a request in small writes, unmanaged and managed, side by side (root)
	@$(MAKE) --no-print-directory all
	@tests/bench/demo

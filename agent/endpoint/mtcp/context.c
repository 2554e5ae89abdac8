/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The library's life: mtcp_init(), the threads' contexts, and the order of these calls. */
#include "endpoint/mtcp/context.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "endpoint/mtcp/config.h"
#include "endpoint/mtcp/dpdk.h"
#include "endpoint/ring.h"

#define CPUS_MAX CPU_SETSIZE
#define OWN_DESCRIPTORS 64 /* of the process and of this library, beside the sockets */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct config config;
static bool defaults, ready; /* config has values; mtcp_init() was called */
static mctx_t contexts[CPUS_MAX];
static __thread int own_cpu = -1;

void say(const char *format, ...)
{
	char text[CONFIG_TEXT * 2];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "autocork-mtcp: %s\n", text);
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static int cpus(void)
{
	long count = sysconf(_SC_NPROCESSORS_CONF);

	return count < 1 ? 1 : count > CPUS_MAX ? CPUS_MAX : count;
}

static void set_defaults(void)
{
	if (!defaults)
		config_default(&config, cpus());
	defaults = true;
}

/* ------------------------------------------------------------------ configuration */

static void warn(void *context, const char *text)
{
	say("%s: line %s", (const char *)context, text);
}

static int read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[CONFIG_TEXT];
	int result;

	if (!file) {
		int error = errno;

		say("%s: %s: mtcp_init() needs a configuration file that can be read", path, strerror(error));
		return fail(error);
	}
	result = config_read(file, &config, cpus(), warn, (void *)path, text);
	fclose(file);
	if (!result)
		return 0;
	say("%s: line %s", path, text);
	return fail(EINVAL);
}

/* Each socket is a descriptor of the process: as many as the contexts may have. */
static void raise_limit(void)
{
	uint64_t wanted = (uint64_t)config.conf.num_cores * config.conf.max_concurrency + OWN_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted)
		say("max_concurrency = %d: %d contexts of it need %llu descriptors, the process may have %llu: raise ulimit -n",
		    config.conf.max_concurrency, config.conf.num_cores, (unsigned long long)wanted,
		    (unsigned long long)limit.rlim_cur);
}

static int init(const char *path)
{
	struct config before;
	char text[CONFIG_TEXT];

	if (ready) {
		say("mtcp_init: it was called before: call mtcp_destroy() first");
		return fail(EALREADY);
	}
	set_defaults();
	before = config;
	if (path && read_file(path)) {
		config = before;
		return -1;
	}
	config_check(&config.conf, cpus(), text);
	if (!*text && *config.interface && !if_nametoindex(config.interface))
		snprintf(text, sizeof(text), "port = %s: there is no such interface: write one of `ip link`",
			 config.interface);
	if (!*text && config.dpdk && !dpdk_start(&config, text, sizeof(text)))
		*text = 0;
	if (*text) {
		say("%s", text);
		config = before;
		return fail(EINVAL);
	}
	raise_limit();
	ready = true;
	return 0;
}

API int mtcp_init(const char *config_file)
{
	int result;

	pthread_mutex_lock(&lock);
	result = init(config_file);
	pthread_mutex_unlock(&lock);
	return result;
}

API int mtcp_getconf(struct mtcp_conf *conf)
{
	if (!conf)
		return fail(EINVAL);
	pthread_mutex_lock(&lock);
	set_defaults();
	*conf = config.conf;
	pthread_mutex_unlock(&lock);
	return 0;
}

static bool any_context(void)
{
	for (int i = 0; i < CPUS_MAX; i++)
		if (contexts[i])
			return true;
	return false;
}

static int set_conf(const struct mtcp_conf *conf)
{
	char text[CONFIG_TEXT];

	set_defaults();
	if (any_context()) {
		say("mtcp_setconf: there are contexts already: call it before mtcp_create_context()");
		return fail(EBUSY);
	}
	config_check(conf, cpus(), text);
	if (*text) {
		say("mtcp_setconf: %s", text);
		return fail(EINVAL);
	}
	config.conf = *conf;
	if (ready)
		raise_limit();
	return 0;
}

API int mtcp_setconf(const struct mtcp_conf *conf)
{
	int result;

	if (!conf)
		return fail(EINVAL);
	pthread_mutex_lock(&lock);
	result = set_conf(conf);
	pthread_mutex_unlock(&lock);
	return result;
}

/* ------------------------------------------------------------------ contexts */

API int mtcp_core_affinitize(int cpu)
{
	cpu_set_t set;

	if (!ready) {
		say("mtcp_core_affinitize(%d): mtcp_init() was not called: call it first", cpu);
		return fail(EPERM);
	}
	if (cpu < 0 || cpu >= cpus()) {
		say("mtcp_core_affinitize(%d): this machine has the CPUs 0 to %d: name one of them", cpu, cpus() - 1);
		return fail(EINVAL);
	}
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		int error = errno;

		say("mtcp_core_affinitize(%d): %s: the process may not run there: see taskset and cpusets", cpu,
		    strerror(error));
		return fail(error);
	}
	own_cpu = cpu;
	return 0;
}

/* 0, or an errno value with the reason. */
static int may_create(int cpu)
{
	if (!ready) {
		say("mtcp_create_context(%d): mtcp_init() was not called: call it first", cpu);
		return EPERM;
	}
	if (cpu < 0 || cpu >= config.conf.num_cores) {
		say("mtcp_create_context(%d): num_cores = %d allows the CPUs 0 to %d: raise num_cores", cpu,
		    config.conf.num_cores, config.conf.num_cores - 1);
		return EINVAL;
	}
	if (own_cpu < 0) {
		say("mtcp_create_context(%d): this thread has no CPU yet: call mtcp_core_affinitize(%d) in it first",
		    cpu, cpu);
		return EPERM;
	}
	if (own_cpu != cpu) {
		say("mtcp_create_context(%d): this thread was given CPU %d: call mtcp_core_affinitize(%d) in it first",
		    cpu, own_cpu, cpu);
		return EINVAL;
	}
	if (contexts[cpu]) {
		say("mtcp_create_context(%d): CPU %d has a context: one for each CPU", cpu, cpu);
		return EBUSY;
	}
	return 0;
}

static mctx_t create(int cpu)
{
	struct mtcp_conf *conf = &config.conf;
	struct endpoint_setup setup = {
		.max_connections =
			conf->max_concurrency < conf->max_num_buffers ? conf->max_concurrency : conf->max_num_buffers,
		.receive_buffer = conf->rcvbuf_size,
		.send_buffer = conf->sndbuf_size,
	};
	mctx_t mctx = calloc(1, sizeof(*mctx));
	char text[CONFIG_TEXT] = "out of memory";

	memcpy(setup.interface, config.interface, sizeof(setup.interface));
	if (!mctx || !(mctx->stack = stack_get(text, sizeof(text)))) {
		say("mtcp_create_context(%d): %s", cpu, text);
		free(mctx);
		errno = ENOMEM;
		return NULL;
	}
	if (config.dpdk && !(setup.ring = dpdk_open(cpu))) {
		say("mtcp_create_context(%d): DPDK started with fewer queues: start the program again", cpu);
		stack_put(mctx->stack);
		free(mctx);
		errno = EBUSY;
		return NULL;
	}
	if (context_open_table(mctx, conf->max_concurrency)) {
		if (setup.ring)
			ring_close(setup.ring);
		stack_put(mctx->stack);
		free(mctx);
		return NULL;
	}
	mctx->cpu = cpu;
	mctx->dpdk = config.dpdk;
	mctx->stack->autocork_endpoint_setup(&setup);
	contexts[cpu] = mctx;
	return mctx;
}

API mctx_t mtcp_create_context(int cpu)
{
	mctx_t mctx = NULL;
	int error;

	pthread_mutex_lock(&lock);
	error = may_create(cpu);
	if (!error)
		mctx = create(cpu);
	pthread_mutex_unlock(&lock);
	if (error)
		errno = error;
	return mctx;
}

static void destroy(mctx_t mctx)
{
	contexts[mctx->cpu] = NULL;
	/* In this order: its connections are in the kernel, which ends them as it should. Behind DPDK they cannot go
	 * there. */
	if (mctx->dpdk)
		context_close_table(mctx);
	mctx->stack->autocork_endpoint_finish();
	if (!mctx->dpdk)
		context_close_table(mctx);
	stack_put(mctx->stack);
	free(mctx);
}

/* One that is gone is only looked for, not looked at. */
API void mtcp_destroy_context(mctx_t mctx)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; mctx && i < CPUS_MAX; i++) {
		if (contexts[i] == mctx) {
			destroy(mctx);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

API void mtcp_destroy(void)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < CPUS_MAX; i++)
		if (contexts[i])
			destroy(contexts[i]);
	ready = defaults = false;
	pthread_mutex_unlock(&lock);
}

API mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler)
{
	return signal(signum, handler);
}

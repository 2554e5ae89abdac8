/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork-fastpath: forwards, merges or answers packets in user space. docs/fastpath.md is for its users. */
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "fastpath/claim.h"
#include "fastpath/worker.h"
#include "lib/log.h"
#include "lib/streams.h"

#define FILES_MIN 64 /* what the EAL and its libraries open */
#define FILES_PER_SOCKET 8

static volatile bool stop;
static int wake_fd;

static void on_signal(int number)
{
	uint64_t one = 1;
	int saved = errno;

	stop = true;
	/* Cannot fail before 2^64 signals. */
	if (write(wake_fd, &one, sizeof(one)) < 0)
		_exit(EXIT_FAILED);
	errno = saved;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	/* The agent's end of our output may go away before us. */
	signal(SIGPIPE, SIG_IGN);
}

/* The driver's libraries try several ways to load their program and complain about each that fails: of interest only if
 * all do. */
static int library_message(const char *format, va_list args)
{
	char line[512];
	int length = vsnprintf(line, sizeof(line), format, args);

	if (length > 0 && length < (int)sizeof(line) && line[length - 1] == '\n')
		line[length - 1] = 0;
	log_debug("%s", line);
	return length;
}

static int libbpf_message(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_DEBUG ? 0 : library_message(format, args);
}

static int libxdp_message(enum libxdp_print_level level, const char *format, va_list args)
{
	return level == LIBXDP_DEBUG ? 0 : library_message(format, args);
}

/* Huge pages that nobody uses yet, in MiB, of the sizes the kernel offers. */
static uint64_t free_huge_mib(void)
{
	static const int sizes_kib[] = { 2048, 1048576 };
	uint64_t total = 0;

	for (size_t i = 0; i < sizeof(sizes_kib) / sizeof(sizes_kib[0]); i++) {
		char path[96];
		unsigned long pages = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%dkB/free_hugepages", sizes_kib[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%lu", &pages) == 1)
			total += pages * sizes_kib[i] / 1024;
		fclose(file);
	}
	return total;
}

/* Claims every interface that is named. *shared: one of them carries a program that was there before us. */
static int claim_interfaces(const struct fastpath_options *options, bool *shared, struct fault *fault)
{
	bool had;

	*shared = false;
	for (size_t i = 0; i < options->interface_count; i++) {
		if (claim_interface(options->interfaces[i], &had, fault))
			return -1;
		*shared |= had;
	}
	for (int i = 0; i < options->eal_count; i++) {
		const char *name = claim_argument_interface(options->eal[i]);

		if (name && claim_interface(name, &had, fault))
			return -1;
		*shared |= name && had;
	}
	return 0;
}

/* DPDK fails for want of descriptors with whatever words come to it: so they are counted before. */
static int allow_files(uint32_t sockets, struct fault *fault)
{
	rlim_t needed = FILES_MIN + FILES_PER_SOCKET * (rlim_t)sockets;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= needed)
		return 0;
	if (files.rlim_max >= needed) {
		files.rlim_cur = needed;
		if (!setrlimit(RLIMIT_NOFILE, &files))
			return 0;
	}
	return fault_set(fault, EXIT_FAILED,
			 "open files: %llu are allowed, %llu are needed: allow more (ulimit -n, LimitNOFILE= of its "
			 "service)",
			 (unsigned long long)files.rlim_max, (unsigned long long)needed);
}

static bool may_use(const char *list)
{
	cpu_set_t allowed, wanted, both;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) || !options_parse_cores(list, &wanted))
		return false;
	CPU_AND(&both, &allowed, &wanted);
	return CPU_EQUAL(&both, &wanted);
}

static int start_eal(struct fastpath_options *options, struct fault *fault)
{
	uint32_t has[FASTPATH_PORTS_MAX], mib, least = UINT32_MAX;
	size_t others = 0, devices = 0;
	bool apart[FASTPATH_PORTS_MAX];
	char **argv;
	bool huge;
	int argc;

	for (size_t i = 0; i < options->interface_count; i++) {
		has[i] = ports_interface_queues(options->interfaces[i], &apart[i]);
		if (options->queues > has[i])
			return fault_set(fault, EXIT_FAILED,
					 "%s: has %u queue(s), %u asked for: use --queues %u, or ethtool -L",
					 options->interfaces[i], has[i], options->queues, has[i]);
		least = has[i] < least ? has[i] : least;
	}
	/* A frame leaves by the queue number it came in on, so the ports of a pair need equally many. */
	if (!options->queues)
		options->queues = options->interface_count ? least : 1;
	for (size_t i = 0; i < options->interface_count; i++) {
		devices += apart[i] ? options->queues : 1;
		if (options->queues < has[i])
			log_warning("%s: %u of %u queues are taken: frames of the others stay with the kernel",
				    options->interfaces[i], options->queues, has[i]);
	}
	if (allow_files(options->interface_count * options->queues, fault))
		return -1;
	if (devices > RTE_MAX_ETHPORTS)
		return fault_set(fault, EXIT_FAILED,
				 "queues: %zu devices, DPDK knows %d at most: use a smaller --queues", devices,
				 RTE_MAX_ETHPORTS);
	for (int i = 0; i < options->eal_count; i++)
		others += !strncmp(options->eal[i], "--vdev", 6) || !strncmp(options->eal[i], "-a", 2) ||
			  !strncmp(options->eal[i], "--allow", 7);
	mib = ports_memory_mib(options->interface_count, others, options->queues);
	huge = options->memory == FASTPATH_MEMORY_HUGE ||
	       (options->memory == FASTPATH_MEMORY_AUTO && free_huge_mib() >= mib);
	if (!huge && options->memory == FASTPATH_MEMORY_AUTO)
		log_info("memory: fewer than %u MiB in free huge pages, so normal pages are used", mib);
	if (options->cores && !may_use(options->cores))
		return fault_set(fault, EXIT_USAGE,
				 "--cores: %s: not all of them are this process's to use: `taskset -cp $$` names "
				 "those that are",
				 options->cores);
	argc = options_eal_arguments(options, apart, huge, mib, &argv);
	if (argc < 0)
		return fault_set(fault, EXIT_FAILED, "memory: exhausted");
	/* The EAL's greetings would drown ours; --log-level after "--" brings them back. */
	rte_log_set_global_level(RTE_LOG_DEBUG);
	rte_log_set_level_pattern("*", RTE_LOG_WARNING);
	if (rte_eal_init(argc, argv) < 0)
		return fault_set(fault, EXIT_FAILED,
				 "DPDK: %s: see its messages above; needs root, %u MiB of memory, and arguments that "
				 "DPDK knows",
				 rte_strerror(rte_errno), mib);
	return 0;
}

/*
 * Once every port is open little is left to be allowed. CAP_NET_ADMIN takes promiscuous mode and the driver's own XDP
 * program away again at the end, CAP_BPF is asked for by the driver's map updates there. Drivers of physical ports may
 * need what they had.
 */
static void drop_privileges(const struct ports *ports)
{
	bool bound;

	for (size_t i = 0; i < ports->count; i++) {
		if (!ports->list[i].af_xdp) {
			log_info("privileges: kept, %s is no AF_XDP port", ports->list[i].name);
			return;
		}
	}
	capng_get_caps_process();
	bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_BOTH);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN, CAP_NET_RAW,
		      CAP_BPF, CAP_IPC_LOCK, -1);
	/* The bounding set needs CAP_SETPCAP; under the service there is none, systemd has bounded it. */
	if (capng_apply(bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS))
		log_warning("privileges: could not be dropped: running on with all");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void say_started(const struct workers *all)
{
	static const char *const wakers[] = { "socket", "interrupt", "short sleeps" };
	const struct fastpath_options *options = all->options;

	for (size_t i = 0; i < all->ports->count; i++) {
		const struct port *port = &all->ports->list[i];

		log_info("%s: port %zu, %u queue(s), MTU %u, wakes by %s", port->name, i, all->ports->queues, port->mtu,
			 options->wait == FASTPATH_WAIT_POLL ? "polling" : wakers[port->queues[0].kind]);
	}
	if (all->count < all->ports->queues)
		log_warning("cores: %u for %u queues: queues share them", all->count, all->ports->queues);
	log_info("%s: running as %s", fastpath_job_name(options->job), options->name);
}

static int run(struct fastpath_options *options, struct fault *fault)
{
	struct ports ports = { 0 };
	struct workers all = { .options = options, .ports = &ports, .stop = &stop, .wake_fd = wake_fd };
	char path[PATH_MAX];
	int lock, failed = -1;
	bool shared;

	if (!fastpath_stats_path(options->run_dir, options->name, path, sizeof(path)))
		return fault_set(fault, EXIT_USAGE, "--run-dir: %s: too long", options->run_dir);
	if (allow_files(0, fault) || claim_interfaces(options, &shared, fault) || start_eal(options, fault))
		return -1;
	if (ports_open(&ports, options, fault)) {
		/* Closing would detach the program that others may live on. What is ours ends with the process. */
		if (shared)
			return -1;
		goto close_ports;
	}
	all.file = fastpath_stats_create(path, ports.count * ports.queues, &lock, fault);
	if (!all.file)
		goto close_ports;
	all.cycles_per_second = all.file->cycles_per_second = rte_get_tsc_hz();
	if (workers_make(&all, rte_lcore_count(), fault))
		goto free_workers;
	strcpy(all.file->name, options->name);
	strcpy(all.file->job, fastpath_job_name(options->job));
	if (!options->keep_privileges)
		drop_privileges(&ports);
	/* Sleeps end when they should, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	fastpath_stats_publish(all.file);
	say_started(&all);
	for (uint32_t i = 1; i < all.count; i++)
		rte_eal_remote_launch(worker_run, &all.list[i], all.list[i].core);
	worker_run(&all.list[0]);
	/* The first worker may have stopped us; the others may sleep. */
	on_signal(0);
	rte_eal_mp_wait_lcore();
	failed = all.lost ? fault_set(fault, EXIT_FAILED, "%s: the interface is gone: start again when it is back",
				      all.lost) :
			    0;
free_workers:
	workers_free(&all);
	fastpath_stats_destroy(all.file, path, lock);
close_ports:
	ports_close(&ports);
	rte_eal_cleanup();
	return failed;
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct fastpath_options options;
	struct fault fault;
	int failed;

	streams_keep();
	options_parse(&options, argc, argv);
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0) {
		log_error("eventfd: %s", strerror(errno));
		return EXIT_FAILED;
	}
	catch_signals();
	libbpf_set_print(libbpf_message);
	libxdp_set_print(libxdp_message);
	/* Packet buffers count against it without CAP_IPC_LOCK. Where it may not be raised, the driver complains. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	failed = run(&options, &fault);
	claims_end();
	if (failed) {
		log_error("%s", fault.text);
		return fault.exit_code;
	}
	log_info("%s: stopped", options.name);
	return EXIT_OK;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/instance.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "endpoint/preload/ask.h"
#include "endpoint/preload/endings.h"
#include "endpoint/preload/epoll_set.h"
#include "endpoint/preload/link.h"
#include "endpoint/preload/real.h"
#include "endpoint/preload/spill.h"
#include "lib/clock.h"

#define SECOND UINT64_C(1000000000)
#define TRY_FIRST (SECOND / 100)
#define TRY_LAST (SECOND * 10)
#define PUBLISH_EVERY (SECOND / 5)
#define LOOK_AT_LINK_EVERY SECOND
#define OWN_FDS 3		/* that a sleep adds: ring, broker, kick */
#define FEW 64			/* descriptors of a sleep that are on the stack */
#define PROMPT (SECOND / 10000) /* a program that waits so soon after its last answer */
#define PROMPT_TURNS 16
#define FLOOD_LASTS SECOND  /* at least */
#define LINGER (SECOND / 2) /* at exit, for the last bytes of what was closed */

/* A listener that is closed: what it had taken already goes to those who listen on. */
struct drain {
	struct engine_socket *listener;
	int out; /* into the spill */
	struct drain *next;
};

struct sleeper {
	int kick; /* eventfd */
	struct sleeper *next;
	bool kicked;
};

static struct {
	struct engine *engine; /* NULL: none */
	struct ring *ring;
	uint64_t try_again, delay;
	uint64_t published, looked;
	unsigned events_left; /* of those given to the program: their answers leave together */
	uint64_t spin;
	struct endpoint_setup setup;
	bool own_ring; /* not the broker's: no agent knows of it */
	bool embedded; /* this copy of the library is not in front of the C library (embed.h) */
	struct sleeper *sleepers;
	struct drain *drains;
	bool changed;		   /* something that others may sleep on */
	uint64_t happened;	   /* events so far */
	bool dirty;		   /* the page is older than the counters */
	bool flooded;		   /* the kernel takes new connections */
	uint64_t flood_ends;	   /* not before that */
	const struct file *writer; /* the last one, since the last wait */
	bool kept;		   /* answers leave with the next wait */
	uint64_t written;	   /* when the program wrote last, since its last wait */
	unsigned prompt;	   /* so often, one after the other, it waited again at once */
	bool forked;		   /* the engine in memory is a copy of the parent's: there is none to be had here */
} it = { .delay = TRY_FIRST };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t holder, own_process;
static __thread struct sleeper self = { .kick = -1 };
static __thread pid_t thread_id;
static pthread_key_t thread_end;      /* calls end_thread() */
static __thread volatile bool asleep; /* in ppoll(), without the lock */

/* ------------------------------------------------------------------ the lock */

static pid_t own_thread(void)
{
	if (!thread_id)
		thread_id = syscall(SYS_gettid);
	return thread_id;
}

void instance_lock(void)
{
	pthread_mutex_lock(&lock);
	holder = own_thread();
}

bool instance_try_lock(void)
{
	if (__atomic_load_n(&holder, __ATOMIC_RELAXED) == own_thread())
		return false;
	instance_lock();
	return true;
}

void instance_unlock(void)
{
	if (it.changed) {
		it.changed = false;
		for (struct sleeper *sleeper = it.sleepers; sleeper; sleeper = sleeper->next) {
			if (sleeper->kick >= 0 && !sleeper->kicked && sleeper != &self) {
				sleeper->kicked = true;
				eventfd_write(sleeper->kick, 1);
			}
		}
	}
	holder = 0;
	pthread_mutex_unlock(&lock);
}

/* Threads come and go, their descriptors with them. */
static void end_thread(void *sleeper)
{
	struct sleeper *ended = sleeper;

	instance_lock();
	if (ended->kick >= 0)
		files_unhide(ended->kick);
	ended->kick = -1;
	instance_unlock();
}

static void make_kick(void)
{
	self.kick = files_hide(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	pthread_setspecific(thread_end, &self);
}

__attribute__((constructor)) static void watch_threads(void)
{
	pthread_key_create(&thread_end, end_thread);
}

/* A private copy of this library (mTCP's contexts) may go before the threads do. */
__attribute__((destructor)) static void forget_threads(void)
{
	pthread_key_delete(thread_end);
}

void instance_wake_others(void)
{
	it.changed = true;
}

uint64_t instance_now(void)
{
	return monotonic_ns();
}

bool instance_exists(void)
{
	return it.engine;
}

/* ------------------------------------------------------------------ how it comes to be */

static void notify(void *context, struct engine_socket *socket, uint32_t events)
{
	struct file *file = engine_tag(socket);

	if (!file)
		return;
	it.changed = true;
	it.happened++;
	events_happened(file, events);
}

static unsigned list_addresses(union engine_address *addresses)
{
	struct ifaddrs *list, *entry;
	unsigned count = 0;

	if (getifaddrs(&list))
		return 0;
	for (entry = list; entry && count < ENGINE_ADDRESSES; entry = entry->ifa_next) {
		if (!entry->ifa_addr || strcmp(entry->ifa_name, link_state.interface))
			continue;
		if (entry->ifa_addr->sa_family == AF_INET)
			addresses[count++].in = *(struct sockaddr_in *)entry->ifa_addr;
		else if (entry->ifa_addr->sa_family == AF_INET6)
			addresses[count++].in6 = *(struct sockaddr_in6 *)entry->ifa_addr;
	}
	freeifaddrs(list);
	return count;
}

static bool read_link(uint8_t mac[6], uint32_t *mtu)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good = false;

	memcpy(request.ifr_name, link_state.interface, sizeof(link_state.interface));
	if (fd >= 0 && !REAL(ioctl)(fd, SIOCGIFHWADDR, &request)) {
		memcpy(mac, request.ifr_hwaddr.sa_data, 6);
		good = !REAL(ioctl)(fd, SIOCGIFMTU, &request);
		*mtu = request.ifr_mtu;
	}
	if (fd >= 0)
		REAL(close)(fd);
	return good;
}

/* 0, or an errno value: the kernel serves the port. */
static int open_port(int fd, const struct file *listener)
{
	int error = ask_listen(link_state.broker, fd);

	if (!error)
		link_open_port(ntohs(listener->local.in.sin_port));
	return error;
}

static void shut_port(const struct file *listener)
{
	uint16_t port = ntohs(listener->local.in.sin_port);

	link_shut_port(port);
	ask_unlisten(link_state.broker, port);
}

static void listen_all(void)
{
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1)) {
		struct file *file = files_find(fd);

		if (file->kind == FILE_LISTENER && file->socket)
			open_port(fd, file);
	}
}

/* A new agent learns of what listens here; what it does not take, the kernel serves until it is asked again. */
static void keep_link(uint64_t now)
{
	if (!link_keep(now))
		return;
	if (!it.flooded)
		listen_all();
	it.dirty = true;
}

/*
 * Forged SYNs cost the stack memory and time, and honest ones their place. So beyond some the kernel, which has SYN
 * cookies, takes new connections, until most of those that never came to be are forgotten.
 */
static void mind_flood(uint64_t now)
{
	bool flooded = engine_is_flooded(it.engine, it.flooded);

	if (flooded == it.flooded || link_state.broker < 0 || now < it.flood_ends)
		return;
	it.flooded = flooded;
	it.flood_ends = flooded ? now + FLOOD_LASTS : 0;
	if (!flooded) {
		listen_all();
		return;
	}
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1)) {
		struct file *file = files_find(fd);

		if (file->kind == FILE_LISTENER && file->socket)
			shut_port(file);
	}
}

/* Addresses and the link can change at any time. */
static void look_at_link(uint64_t now)
{
	union engine_address addresses[ENGINE_ADDRESSES];
	unsigned count;
	uint8_t mac[6];
	uint32_t mtu;

	if (now - it.looked < LOOK_AT_LINK_EVERY)
		return;
	it.looked = now;
	keep_link(now);
	count = list_addresses(addresses);
	if (count)
		engine_set_addresses(it.engine, addresses, count);
	if (read_link(mac, &mtu))
		engine_set_link(it.engine, mac, mtu);
}

static void forget(void)
{
	if (it.ring)
		ring_close(it.ring);
	it.ring = NULL;
	link_close();
}

static bool start_engine(void)
{
	struct engine_config config = { .notify = notify, .alone = &__libc_single_threaded };
	uint32_t mtu;

	config.ring = it.ring;
	config.max_connections = it.setup.max_connections;
	config.receive_buffer = it.setup.receive_buffer;
	config.send_buffer = it.setup.send_buffer;
	config.address_count = list_addresses(config.addresses);
	if (!config.address_count || !read_link(config.mac, &mtu))
		return false;
	it.engine = engine_create(&config);
	return it.engine;
}

static bool attach(const struct endpoint_answer *grant)
{
	it.ring = ring_xdp_attach(&grant->ring);
	if (!it.ring) {
		files_unhide(grant->ring.xsk);
		files_unhide(grant->ring.umem);
		return false;
	}
	return start_engine();
}

/* Of the broker, or the one that came with the setup. */
static bool open_ring(int listener)
{
	struct endpoint_answer grant;

	if (it.setup.ring) {
		memcpy(link_state.interface, it.setup.interface, sizeof(link_state.interface));
		it.ring = it.setup.ring;
		it.setup.ring = NULL;
		return start_engine();
	}
	return !it.own_ring && !link_open(listener, it.setup.interface, &grant) && attach(&grant);
}

static void create(int listener)
{
	uint64_t now = instance_now();
	const char *spin = getenv("AUTOCORK_ENDPOINT_SPIN");

	if (now < it.try_again || it.forked)
		return;
	it.try_again = now + it.delay;
	it.delay = it.delay * 2 < TRY_LAST ? it.delay * 2 : TRY_LAST;
	if (!open_ring(listener)) {
		forget();
		return;
	}
	it.delay = TRY_FIRST;
	if (spin)
		it.spin = strtoull(spin, NULL, 10);
	it.looked = now;
	if (!it.embedded)
		process_catch_ends();
}

/* What was set on the kernel's listener before. */
static void copy_options(int fd, struct engine_socket *listener)
{
	static const struct {
		int level, name;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE },
		{ SOL_SOCKET, SO_LINGER },
		{ IPPROTO_TCP, 1 /* TCP_NODELAY */ },
		{ IPPROTO_TCP, 4 /* TCP_KEEPIDLE */ },
		{ IPPROTO_TCP, 5 /* TCP_KEEPINTVL */ },
		{ IPPROTO_TCP, 6 /* TCP_KEEPCNT */ },
		{ IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */ },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char value[16];
		socklen_t size = sizeof(value);

		if (!REAL(getsockopt)(fd, options[i].level, options[i].name, value, &size))
			engine_set_option(listener, options[i].level, options[i].name, value, size);
	}
}

/* ------------------------------------------------------------------ what a closed listener leaves */

static int move_to_kernel(struct engine_socket *connection, enum endpoint_reason reason);

static void end_drain(struct drain **at)
{
	struct drain *drain = *at;

	*at = drain->next;
	engine_close(drain->listener);
	files_unhide(drain->out);
	free(drain);
}

/* The port is listened on anew. */
static void end_drains(uint16_t port)
{
	for (struct drain **at = &it.drains; *at;) {
		union engine_address local;

		engine_local((*at)->listener, &local);
		if (ntohs(local.in.sin_port) == port)
			end_drain(at);
		else
			at = &(*at)->next;
	}
}

/* Nobody can move connections. */
static bool lacks_agent(void)
{
	return link_state.broker < 0 && !it.own_ring;
}

static void drain(void)
{
	for (struct drain **at = &it.drains; *at;) {
		struct engine_socket *connection;

		while (!lacks_agent() && (connection = engine_accept((*at)->listener))) {
			int sock = move_to_kernel(connection, ENDPOINT_FOR_CLOSED);

			if (sock < 0) {
				engine_abort(connection);
				continue;
			}
			engine_drop(connection);
			spill_give((*at)->out, sock);
			REAL(close)(sock);
		}
		/*
		 * Those whose handshake goes on are waited for: the peer may think that it is complete. The next agent
		 * may take those that nobody takes now.
		 */
		if (lacks_agent() || engine_half_open((*at)->listener))
			at = &(*at)->next;
		else
			end_drain(at);
	}
}

static void begin_drain(struct file *listener)
{
	int out = spill_out(listener);
	struct drain *begun = out >= 0 ? malloc(sizeof(*begun)) : NULL;

	if (!begun) {
		if (out >= 0)
			files_unhide(out);
		engine_close(listener->socket);
		return;
	}
	*begun = (struct drain){ listener->socket, out, it.drains };
	engine_set_tag(begun->listener, NULL);
	it.drains = begun;
	drain();
}

void instance_serve(int fd, struct file *listener)
{
	uint64_t now;

	if (listener->socket)
		return;
	now = instance_now();
	if (now < listener->try_again)
		return;
	if (!it.engine)
		create(fd);
	if (!it.engine) {
		listener->try_again = it.try_again;
		return;
	}
	listener->try_again = now + TRY_LAST;
	end_drains(ntohs(listener->local.in.sin_port));
	if (engine_listen(it.engine, &listener->local, listener->backlog, listener->v6only, &listener->socket)) {
		listener->socket = NULL;
		return;
	}
	engine_set_tag(listener->socket, listener);
	copy_options(fd, listener->socket);
	if (!it.flooded && !it.own_ring && open_port(fd, listener)) {
		engine_close(listener->socket);
		listener->socket = NULL;
	}
}

void instance_stop_serving(struct file *listener)
{
	if (!listener->socket)
		return;
	keep_link(instance_now());
	shut_port(listener);
	/* SYNs that the queue had already taken. */
	instance_poll();
	begin_drain(listener);
	listener->socket = NULL;
	listener->try_again = FOREVER;
}

/* ------------------------------------------------------------------ how it runs */

static void publish(uint64_t now)
{
	struct engine_stats stats;
	struct endpoint_page *page = link_state.page;

	it.published = now;
	it.dirty = false;
	if (!page)
		return;
	engine_stats(it.engine, &stats);
	page->version = ENDPOINT_VERSION;
/* clang-format off */
#define COPY(name) page->name = stats.name;
	COPY(connections) COPY(half_open) COPY(time_wait) COPY(listeners) COPY(accepted) COPY(reset) COPY(segments_in)
	COPY(segments_out) COPY(retransmitted) COPY(bad_frame) COPY(bad_checksum) COPY(no_memory) COPY(limit_hit)
	COPY(no_neighbour) COPY(neighbours)
#undef COPY
		/* clang-format on */
		page->rx_dropped = stats.ring.rx_dropped;
	page->tx_full = stats.ring.tx_full;
}

/*
 * Of a program that waits again right after its answers, they leave with that wait, for AF_XDP's poll() sends as well:
 * a system call less. Until then what else it writes to the last connection goes into the same segment, as does the
 * FIN.
 * A program with threads may wait for one of them instead.
 */
static bool may_keep(void)
{
	return !it.embedded && it.prompt >= PROMPT_TURNS && __libc_single_threaded && link_state.broker >= 0 &&
	       ring_waits(it.ring);
}

/* What is kept back is told: the agent sends it, where this program waits elsewhere after all. */
static void set_kept(uint64_t since)
{
	if (it.kept == !!since)
		return;
	it.kept = since;
	if (link_state.page)
		link_state.page->kept_since = since;
}

/* The program has come back, to wait or for more. */
static void note_turn(uint64_t now)
{
	if (!it.written)
		return;
	if (now - it.written > PROMPT)
		it.prompt = 0;
	else if (it.prompt < PROMPT_TURNS)
		it.prompt++;
	it.written = 0;
}

void instance_flush(void)
{
	if (!it.engine)
		return;
	set_kept(0);
	engine_flush(it.engine);
}

void instance_look(void)
{
	uint64_t now;

	if (!it.engine)
		return;
	now = instance_now();
	it.events_left = 0;
	note_turn(now);
	if (link_state.page)
		link_state.page->polls++;
	if (engine_run(it.engine, now, 0))
		it.dirty = true;
	if (it.drains)
		drain();
	mind_flood(now);
	look_at_link(now);
	if (it.dirty && now - it.published > PUBLISH_EVERY)
		publish(now);
}

void instance_poll(void)
{
	uint64_t seen = it.happened;

	if (!it.engine)
		return;
	instance_look();
	/* Nothing new: a read that finds no more before the wait. */
	if (!it.kept || it.happened != seen)
		instance_flush();
}

void instance_elsewhere(void)
{
	if (!__atomic_load_n(&it.kept, __ATOMIC_RELAXED) || !instance_try_lock())
		return;
	it.prompt = 0;
	instance_flush();
	instance_unlock();
}

void instance_events(unsigned count)
{
	instance_flush();
	it.events_left = count;
	it.writer = NULL;
}

/*
 * Answers to events that came together leave together: one system call for all. They do not wait for more where each of
 * these events has had its answer, of one write or of several.
 */
void instance_written(const struct file *writer)
{
	it.dirty = true;
	it.written = instance_now();
	if (it.writer != writer && it.events_left)
		it.events_left--;
	it.writer = writer;
	if (may_keep())
		set_kept(it.written);
	else if (!it.events_left)
		instance_flush();
}

static bool spin(uint64_t deadline)
{
	uint64_t end = instance_now() + it.spin, seen = it.happened;

	if (end > deadline)
		end = deadline;

	while (it.happened == seen && instance_now() < end)
		engine_poll(it.engine, instance_now(), 0);
	return it.happened != seen;
}

int instance_sleep(struct pollfd *fds, nfds_t count, uint64_t deadline, const sigset_t *mask)
{
	struct pollfd few[FEW], *set = few;
	struct timespec left, *timeout = NULL;
	struct pollfd *broker = NULL;
	struct sleeper **at;
	uint64_t until = deadline, due, now, seen = it.happened;
	nfds_t used = count;
	int result, ready = 0, error;

	instance_look();
	/* The caller may wait for one that has moved. */
	if (instance_move_away())
		return 0;
	if (it.happened != seen || it.spin || (it.engine && !engine_leaves_with_wait(it.engine)))
		instance_flush();
	if (it.happened != seen)
		return 0;
	if (it.spin && it.engine && spin(deadline))
		return 0;
	/* A thread's stack may be small. */
	if (count + OWN_FDS > FEW && !(set = malloc((count + OWN_FDS) * sizeof(*set)))) {
		if (it.engine)
			ring_flush(it.ring);
		return -1;
	}
	if (count)
		memcpy(set, fds, count * sizeof(*fds));
	if (it.engine && it.ring->wait_fd >= 0)
		set[used++] = (struct pollfd){ it.ring->wait_fd, POLLIN, 0 };
	/* Its end, or what it says unasked. */
	if (link_state.broker >= 0) {
		broker = &set[used++];
		*broker = (struct pollfd){ link_state.broker, POLLIN, 0 };
	}
	if (!__libc_single_threaded) {
		if (self.kick < 0)
			make_kick();
		set[used++] = (struct pollfd){ self.kick, POLLIN, 0 };
	}
	now = instance_now();
	if (it.engine) {
		/* A ring without a descriptor to wait on is looked at all the time. */
		due = it.ring->wait_fd < 0 ? now : engine_deadline(it.engine);
		if (due < until)
			until = due;
		due = link_deadline();
		if (due < until)
			until = due;
		/* The last counters are told once, before a long sleep. */
		if (it.dirty && it.published + PUBLISH_EVERY + 1 < until)
			until = it.published + PUBLISH_EVERY + 1;
	}
	if (until != FOREVER) {
		uint64_t rest = until > now ? until - now : 0;

		left = (struct timespec){ rest / SECOND, rest % SECOND };
		timeout = &left;
	}
	self.next = it.sleepers;
	it.sleepers = &self;
	if (link_state.page)
		link_state.page->sleeps++;
	instance_unlock();
	asleep = true;
	result = REAL(ppoll)(set, used, timeout, mask);
	error = errno;
	asleep = false;
	instance_lock();
	set_kept(0);
	/* It waited for nothing, and sent nothing. */
	if (it.engine && result < 0 && error != EINTR)
		ring_flush(it.ring);
	for (at = &it.sleepers; *at != &self; at = &(*at)->next)
		;
	*at = self.next;
	if (self.kicked) {
		eventfd_t ignored;

		self.kicked = false;
		eventfd_read(self.kick, &ignored);
	}
	/* No system call to look at it where this one has just done so. */
	if (it.engine && (!broker || (result > 0 && broker->revents)))
		keep_link(instance_now());
	instance_poll();
	for (nfds_t i = 0; result >= 0 && i < count; i++) {
		fds[i].revents = set[i].revents;
		ready += set[i].revents != 0;
	}
	if (set != few)
		free(set);
	errno = error;
	return result < 0 ? -1 : ready;
}

/* ------------------------------------------------------------------ into the kernel */

/* What the kernel did not take at once. It has the room: only memory can be short. */
static void write_rest(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = REAL(send)(fd, bytes, size, MSG_NOSIGNAL);
		struct pollfd wait = { fd, POLLOUT, 0 };

		if (n < 0 && (errno != EAGAIN || REAL(poll)(&wait, 1, 10000) <= 0))
			return;
		if (n > 0) {
			bytes += n;
			size -= n;
		}
	}
}

/* The kernel's socket takes the place of the placeholder, under each of its numbers and in each epoll set. */
static void replace(struct file *connection, int sock)
{
	int flags = connection->nonblocking ? O_RDWR | O_NONBLOCK : O_RDWR;

	REAL(fcntl)(sock, F_SETFL, flags);
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1)) {
		if (files_find(fd) != connection)
			continue;
		REAL(dup3)(sock, fd, files_cloexec(fd) ? O_CLOEXEC : 0);
		for (struct item *item = connection->items; item; item = item->next_of_file) {
			struct epoll_event event = { item->events, item->data };

			if (item->fd == fd)
				REAL(epoll_ctl)(item->set->fd, EPOLL_CTL_ADD, fd, &event);
		}
	}
	REAL(close)(sock);
	events_forget(connection);
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1))
		if (files_find(fd) == connection && files_remove(fd))
			break;
}

static void set_timeout(int sock, int name, uint64_t timeout)
{
	struct timeval value = { timeout / SECOND, timeout % SECOND / 1000 };

	if (timeout)
		REAL(setsockopt)(sock, SOL_SOCKET, name, &value, sizeof(value));
}

static int memory_file(const void *bytes, size_t size)
{
	int fd = memfd_create("autocork-handover", MFD_CLOEXEC);

	if (fd >= 0 && REAL(write)(fd, bytes, size) != (ssize_t)size) {
		REAL(close)(fd);
		return -1;
	}
	return fd;
}

/* A kernel socket that goes on with the connection, or -1. The engine still has it: engine_drop() follows. */
static int move_to_kernel(struct engine_socket *connection, enum endpoint_reason reason)
{
	struct handover snapshot;
	uint32_t taken = 0;
	char *bytes = NULL;
	int64_t size;
	int sock = -1, memory;

	size = handover_take(connection, &snapshot, NULL, 0);
	if (size > 0) {
		bytes = malloc(size);
		if (bytes)
			size = handover_take(connection, &snapshot, bytes, size);
	}
	if (size >= 0 && (bytes || !size) && (memory = memory_file(bytes, size)) >= 0) {
		sock = ask_hand_over(link_state.broker, &snapshot, reason, memory, size, &taken);
		REAL(close)(memory);
	}
	if (sock >= 0) {
		if (taken < snapshot.unsent)
			write_rest(sock, bytes + size - (snapshot.unsent - taken), snapshot.unsent - taken);
		if (snapshot.fin_sent)
			REAL(shutdown)(sock, SHUT_WR);
	}
	if (link_state.page) {
		link_state.page->handed_over += sock >= 0;
		link_state.page->handover_failed += sock < 0;
	}
	free(bytes);
	return sock;
}

int instance_hand_over(struct file *connection, enum endpoint_reason reason)
{
	int sock;

	keep_link(instance_now());
	if (!connection->socket || connection->failing || link_state.broker < 0)
		return -1;
	sock = move_to_kernel(connection->socket, reason);
	if (sock < 0) {
		connection->failing = true;
		return -1;
	}
	set_timeout(sock, SO_RCVTIMEO, connection->receive_timeout);
	set_timeout(sock, SO_SNDTIMEO, connection->send_timeout);
	engine_drop(connection->socket);
	connection->socket = NULL;
	replace(connection, sock);
	files_release(connection);
	it.changed = true;
	return 0;
}

static void move_port(uint16_t port)
{
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1)) {
		struct file *file = files_find(fd);
		union engine_address local;

		if (!file->socket)
			continue;
		engine_local(file->socket, &local);
		if (ntohs(local.in.sin_port) != port)
			continue;
		if (file->kind == FILE_CONNECTION) {
			instance_hand_over(file, ENDPOINT_FOR_POLICY);
		} else if (file->kind == FILE_LISTENER) {
			/* For those that were not accepted yet. */
			spill_make(file);
			instance_stop_serving(file);
			it.changed = true;
			/* Until a policy names the port again. */
			file->try_again = instance_now() + TRY_LAST;
		}
	}
}

bool instance_move_away(void)
{
	bool any = false;
	uint16_t port;

	while (it.engine && ask_next_move(&port)) {
		any = true;
		move_port(port);
	}
	return any;
}

void instance_hand_over_all(enum endpoint_reason reason)
{
	struct file *file;

	if (!it.engine || !files_count[FILE_CONNECTION])
		return;
	instance_poll();
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1)) {
		file = files_find(fd);
		if (file->kind == FILE_CONNECTION)
			instance_hand_over(file, reason);
	}
}

void instance_end(struct file *file)
{
	events_forget(file);
	if (file->kind == FILE_LISTENER) {
		instance_stop_serving(file);
		spill_drop(file);
	} else if (file->socket) {
		engine_set_tag(file->socket, NULL);
		engine_close(file->socket);
		file->socket = NULL;
		instance_written(file);
	}
	/* Whoever sleeps on it sees that it is gone. */
	it.changed = true;
	files_release(file);
}

/* ------------------------------------------------------------------ its ends */

/* The rings are not mapped here, and the engine's memory is a copy: both are the parent's. */
void instance_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	holder = 0;
	thread_id = 0;
	own_process = getpid();
	for (int fd = files_next_hidden(0); fd >= 0; fd = files_next_hidden(fd + 1))
		if (!spill_is(fd))
			files_unhide(fd);
	it.drains = NULL;
	it.flooded = it.kept = asleep = false;
	it.forked = it.forked || it.engine;
	it.engine = NULL;
	it.ring = NULL;
	link_forked();
	it.sleepers = NULL;
	it.try_again = 0;
	it.delay = TRY_FIRST;
	self = (struct sleeper){ .kick = -1 };
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1)) {
		struct file *file = files_find(fd);

		file->socket = NULL;
		file->try_again = 0;
	}
}

void instance_setup(const struct endpoint_setup *setup)
{
	it.setup = *setup;
	it.own_ring = setup->ring;
	it.embedded = true;
}

bool instance_is_asleep(void)
{
	return asleep;
}

static void stop_all(void)
{
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1))
		if (files_find(fd)->kind == FILE_LISTENER)
			instance_stop_serving(files_find(fd));
}

void instance_exits(void)
{
	uint64_t end;
	struct engine_stats stats;

	if (!it.engine)
		return;
	stop_all();
	instance_hand_over_all(ENDPOINT_FOR_EXIT);
	end = instance_now() + LINGER;
	for (;;) {
		uint64_t now = instance_now(), due;
		struct pollfd wait = { it.ring->wait_fd, POLLIN, 0 };
		int milliseconds;

		engine_poll(it.engine, now, 0);
		drain();
		engine_stats(it.engine, &stats);
		if (!stats.connections || now >= end)
			break;
		due = engine_deadline(it.engine);
		if (due > end)
			due = end;
		milliseconds = due > now ? (due - now) / 1000000 + 1 : 0;
		REAL(poll)(&wait, 1, milliseconds);
	}
	publish(instance_now());
}

/* What could not go to the kernel is reset. The process may begin anew. */
void instance_finish(void)
{
	if (it.setup.ring)
		ring_close(it.setup.ring); /* nothing was listened on */
	it.setup.ring = NULL;
	if (!it.engine)
		return;
	instance_exits();
	while (it.drains)
		end_drain(&it.drains);
	for (int fd = files_next(0); fd >= 0; fd = files_next(fd + 1))
		files_find(fd)->socket = NULL;
	engine_destroy(it.engine);
	it.engine = NULL;
	it.flooded = false;
	forget();
	it.try_again = 0;
	it.delay = TRY_FIRST;
}

__attribute__((constructor)) static void remember_process(void)
{
	own_process = getpid();
}

bool instance_is_own_process(void)
{
	return getpid() == own_process;
}

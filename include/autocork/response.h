/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One response of a flow: from the first write after a read to the next read. Pure: what the kernel side keeps per flow
 * while somebody listens to AC_EVENT_RESPONSE, and how each write, option call and packet changes it.
 */
#pragma once
#include <autocork/event.h>
#include <autocork/option.h>

enum ac_response_state {
	AC_RESPONSE_READY = 1 << 0,    /* the start is known: the flow is new, or a read was seen */
	AC_RESPONSE_PIECE = 1 << 1,    /* between the beginning and the end of a write: `asked` and MORE are valid */
	AC_RESPONSE_MORE = 1 << 2,     /* that write is a piece of a sendfile which has more */
	AC_RESPONSE_SENDFILE = 1 << 3, /* the next piece belongs to the same call */
	AC_RESPONSE_TAIL = 1 << 4,     /* less than a segment waits though the window has room */
};

struct ac_response {
	__u64 first_ns, last_ns;     /* after the first and the last write */
	__u32 start_seq;	     /* tp->write_seq before the first write */
	__u32 end_seq;		     /* tp->write_seq when last looked at */
	__u32 segments, retransmits; /* of the flow before it */
	__u32 copied_seq;
	__u32 asked; /* bytes of the write that goes on */
	__u8 state;  /* enum ac_response_state */
	__u8 pad[7];
	struct ac_event_response told; /* what the event will say */
};

/* What the socket shows at the moment. */
struct ac_response_facts {
	__u64 now_ns;
	__u64 sent_ns;	  /* when the last segment left */
	__u64 sent_bytes; /* data ever sent */
	__u32 write_seq, snd_nxt, copied_seq;
	__u32 segments, retransmits; /* data segments sent; segments sent again */
	__u32 mss;
	__u8 nonagle; /* of tp->nonagle, the bits AC_NONAGLE_… */
	__u8 room;    /* the windows would let a segment leave */
};

/* What the kernel side is told before it is loaded. */
struct ac_response_watch {
	__u16 port;   /* local or remote; 0: every one */
	__u8 adds_up; /* instead of telling of each */
	__u8 pad;
};

static __always_inline void ac_response_reset(struct ac_response *r, const struct ac_response_facts *f)
{
	__u8 cut = r->state & AC_RESPONSE_READY && f->write_seq != f->snd_nxt ? AC_RESPONSE_OVERLAPS : 0;

	r->start_seq = f->write_seq;
	r->segments = f->segments;
	r->retransmits = f->retransmits;
	r->state = (r->state & (AC_RESPONSE_PIECE | AC_RESPONSE_MORE)) | AC_RESPONSE_READY;
	__builtin_memset(&r->told, 0, sizeof(r->told));
	r->told.flags = cut;
}

/* The program may have read since. True if that ended a response: r->told is its record until ac_response_reset(). */
static __always_inline bool ac_response_has_read(struct ac_response *r, const struct ac_response_facts *f)
{
	bool read = f->copied_seq != r->copied_seq;

	r->copied_seq = f->copied_seq;
	r->end_seq = f->write_seq;
	/* A flow that has sent nothing yet begins here, whoever speaks first. */
	if (!(r->state & AC_RESPONSE_READY) && !read && (f->sent_bytes || f->write_seq != f->snd_nxt))
		return false;
	if (!(r->state & AC_RESPONSE_READY)) {
		ac_response_reset(r, f);
		return false;
	}
	if (!read)
		return false;
	if (!r->told.writes) {
		/* Option calls between two reads belong to the response that follows. */
		r->start_seq = f->write_seq;
		r->segments = f->segments;
		r->retransmits = f->retransmits;
		return false;
	}
	return true;
}

/* All that is known at the end; `unsent`: something of it has not left. */
static __always_inline void ac_response_close(struct ac_response *r, const struct ac_response_facts *f, bool unsent)
{
	r->told.bytes = f->write_seq - r->start_seq;
	r->told.retransmits = f->retransmits - r->retransmits;
	r->told.segments = f->segments - r->segments - r->told.retransmits;
	r->told.span_us = (r->last_ns - r->first_ns) / 1000;
	if (unsent)
		r->told.flags |= AC_RESPONSE_OVERLAPS;
}

/* A write begins, or a piece of one: `more` says that the sendfile it is a piece of has more. */
static __always_inline void ac_response_write_begins(struct ac_response *r, const struct ac_response_facts *f,
						     __u32 bytes, bool more)
{
	if (r->state & AC_RESPONSE_PIECE)
		return;
	r->asked = bytes;
	r->state = (r->state & ~AC_RESPONSE_MORE) | AC_RESPONSE_PIECE | (more ? AC_RESPONSE_MORE : 0);
	if (r->told.writes == 1 && !(r->state & AC_RESPONSE_SENDFILE))
		r->told.gap_us = (f->now_ns - r->first_ns) / 1000;
}

/* It ended; `took` bytes were queued. */
static __always_inline void ac_response_write_ends(struct ac_response *r, const struct ac_response_facts *f, int took)
{
	bool same_call = r->state & AC_RESPONSE_SENDFILE,
	     goes_on = r->state & AC_RESPONSE_MORE && took == (int)r->asked;
	__u32 unsent = f->write_seq - f->snd_nxt;

	r->state &= ~(AC_RESPONSE_PIECE | AC_RESPONSE_MORE | AC_RESPONSE_SENDFILE | AC_RESPONSE_TAIL);
	if (took <= 0 || !(r->state & AC_RESPONSE_READY))
		return;
	if (goes_on)
		r->state |= AC_RESPONSE_SENDFILE;
	r->last_ns = f->now_ns;
	r->end_seq = f->write_seq;
	if (!r->told.writes) {
		r->first_ns = f->now_ns;
		r->told.mss = f->mss;
		if (!unsent)
			r->told.head_bytes = took;
	}
	if (!same_call)
		r->told.writes++;
	r->told.tail_us = 0;
	r->told.flags &= ~AC_RESPONSE_TAIL_CORKED;
	if (unsent && unsent < f->mss && f->room) {
		r->state |= AC_RESPONSE_TAIL;
		if (f->nonagle & AC_NONAGLE_CORK)
			r->told.flags |= AC_RESPONSE_TAIL_CORKED;
	}
}

/* A packet came; by now the tail may have left. */
static __always_inline void ac_response_packet(struct ac_response *r, const struct ac_response_facts *f)
{
	if (!(r->state & AC_RESPONSE_TAIL) || f->write_seq != f->snd_nxt)
		return;
	r->state &= ~AC_RESPONSE_TAIL;
	if (f->sent_ns > r->last_ns)
		r->told.tail_us = ((f->sent_ns < f->now_ns ? f->sent_ns : f->now_ns) - r->last_ns) / 1000;
}

/* An option is set to `on`; `idle`: which changes nothing. */
static __always_inline void ac_response_option(struct ac_response *r, enum ac_option option, bool on, bool idle,
					       __u64 now_ns)
{
	if (option == AC_OPTION_CORK)
		r->told.cork_calls++;
	else
		r->told.nodelay_calls++;
	if (idle) {
		r->told.idle_calls++;
		return;
	}
	if (ac_option_pushes(option, on) && r->state & AC_RESPONSE_TAIL) {
		r->state &= ~AC_RESPONSE_TAIL;
		r->told.tail_us = (now_ns - r->last_ns) / 1000;
	}
}

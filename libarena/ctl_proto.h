/* SPDX-License-Identifier: MIT */
/*
 * Wire format of the link to arenad: one message per packet of a SOCK_SEQPACKET unix socket.
 *
 * Every message begins with a struct ctl_header and has exactly `length_bytes` bytes. Fields are in the
 * byte order of the machine, because both ends run on it. A peer that sends anything else is cut off.
 *
 * A process says JOIN once and is then asked: STATS_ASK, answered by STATS; TRIM_ASK, answered by
 * TRIMMED. A tool does not join; it says STATUS_ASK (answered by STATUS) or COMMAND (answered by RESULT; only for
 * root and the daemon's own user).
 */
#ifndef ARENA_CTL_PROTO_H
#define ARENA_CTL_PROTO_H

#include <stddef.h>
#include <stdint.h>

#define CTL_MAGIC 0x41434c31u
#define CTL_VERSION 1
#define CTL_SOCKET_DEFAULT "/run/arena/arenad.sock"
/* The environment variable that names another socket. */
#define CTL_SOCKET_ENV "ARENA_SOCKET"

/* Longest message that arenad takes from anybody; room for every request below and a little growth. */
#define CTL_MAX_REQUEST_BYTES 256
#define CTL_NAME_BYTES 32
#define CTL_WORD_BYTES 16

enum ctl_type {
	CTL_JOIN = 1,
	CTL_STATS_ASK = 2,
	CTL_STATS = 3,
	CTL_TRIM_ASK = 4,
	CTL_TRIMMED = 5,
	CTL_STATUS_ASK = 16,
	CTL_STATUS = 17,
	CTL_COMMAND = 18,
	CTL_RESULT = 19,
};

struct ctl_header {
	uint32_t magic;		/* CTL_MAGIC */
	uint16_t version;	/* CTL_VERSION */
	uint16_t type;		/* enum ctl_type */
	uint32_t length_bytes;	/* of the whole message */
	uint32_t serial;	/* an answer repeats that of its question */
};

/* JOIN, from a process. Who it is comes from the socket's credentials; the name is only shown. */
struct ctl_join {
	struct ctl_header header;
	char name[CTL_NAME_BYTES];
};

/* STATS, from a process: struct arena_memory summed over its sources, in bytes. */
struct ctl_stats {
	struct ctl_header header;
	uint64_t handed_bytes;
	uint64_t mapped_bytes;
	uint64_t cached_bytes;
	uint64_t returned_bytes;
	uint64_t small_bytes;
	uint64_t nr_arenas;
};

/* TRIM_ASK, to a process: give back at most that much of what is cached. TRIMMED: so much went back. */
struct ctl_trim {
	struct ctl_header header;
	uint64_t bytes;
};

#define CTL_TRIM_POOL		(1u << 0)	/* idle chunks of the module */
#define CTL_TRIM_KEPT		(1u << 1)	/* chunks that programs marked discardable */
#define CTL_TRIM_PROCESSES	(1u << 2)	/* cached chunks of registered processes */
#define CTL_TRIM_ALL		(CTL_TRIM_POOL | CTL_TRIM_KEPT | CTL_TRIM_PROCESSES)

/* COMMAND, from a tool: give memory back now. */
struct ctl_command {
	struct ctl_header header;
	uint64_t max_bytes;	/* most to give back in all; ~0 = everything */
	uint32_t what;		/* CTL_TRIM_* */
	uint32_t pad;		/* 0 */
};

/* RESULT. What processes give back arrives later and is seen in STATUS. */
struct ctl_result {
	struct ctl_header header;
	int32_t error;		/* 0 or -errno; of the module's part when that failed */
	uint32_t nr_asked;	/* processes asked */
	uint64_t pool_bytes;	/* given back from the pool */
	uint64_t kept_bytes;	/* discarded and given back */
	uint64_t asked_bytes;	/* asked of processes */
};

/* One registered process in STATUS. */
struct ctl_process {
	uint32_t pid;
	uint32_t uid;
	uint64_t mapped_bytes;
	uint64_t cached_bytes;
	uint64_t small_bytes;
	uint64_t nr_arenas;
	uint64_t asked_bytes;	/* asked of it since it joined */
	uint64_t given_bytes;	/* what it says it gave back since then */
	uint64_t stats_age_ns;	/* ~0 = it has not said anything yet */
	char name[CTL_NAME_BYTES];
};

/* One decision in STATUS: input, rule, output. */
struct ctl_decision {
	uint64_t age_ns;
	char level[CTL_WORD_BYTES];
	char rule[CTL_WORD_BYTES];
	uint64_t available_bytes; /* input: memory the system could still give */
	uint64_t pool_bytes;	/* input: idle in the module */
	uint64_t kept_bytes;	/* input */
	uint64_t cached_bytes;	/* input: in registered processes, as far as believed */
	uint64_t gave_pool_bytes; /* output: given back by the module */
	uint64_t gave_kept_bytes;
	uint64_t asked_bytes;	/* output: asked of processes */
	uint64_t took_ns;	/* from the event to the end of the module's work */
	uint32_t nr_asked;
	int32_t error;		/* of the module, 0 or -errno */
};

/* STATUS: this, then nr_processes times struct ctl_process, then nr_decisions times struct ctl_decision, latest first. */
struct ctl_status {
	struct ctl_header header;
	uint32_t pid;		/* of the daemon */
	uint32_t has_module;	/* 0 or 1; the *_chunks below are 0 without */
	uint32_t nr_processes;
	uint32_t nr_decisions;
	uint64_t up_ns;
	uint64_t cpu_ns;	/* CPU time of the daemon since it started */
	uint64_t level_ns;	/* since when the level holds */
	uint64_t nr_triggers;	/* PSI events since start */
	uint64_t nr_refused;	/* connections refused, evicted or cut off since start */
	uint64_t total_bytes;
	uint64_t available_bytes;
	uint64_t taken_chunks;
	uint64_t returned_chunks;
	uint64_t handed_chunks;
	uint64_t kept_chunks;
	uint64_t clean_chunks;
	uint64_t dirty_chunks;
	uint64_t quarantined_chunks;
	uint64_t discarded_chunks;
	uint64_t nr_spaces;
	char level[CTL_WORD_BYTES];
	char loop[CTL_WORD_BYTES];	/* "io_uring" or "epoll" */
	char psi[CTL_WORD_BYTES];	/* "armed", or why not */
	char version[CTL_WORD_BYTES];
};

_Static_assert(sizeof(struct ctl_header) == 16, "wire format");
_Static_assert(sizeof(struct ctl_stats) == 64, "wire format");
_Static_assert(sizeof(struct ctl_command) == 32, "wire format");
_Static_assert(sizeof(struct ctl_result) == 48, "wire format");
_Static_assert(sizeof(struct ctl_process) == 96, "wire format");
_Static_assert(sizeof(struct ctl_decision) == 112, "wire format");
_Static_assert(sizeof(struct ctl_status) == 224, "wire format");

static inline void ctl_header_init(struct ctl_header *header, enum ctl_type type, size_t length_bytes,
				   uint32_t serial)
{
	*header = (struct ctl_header){
		.magic = CTL_MAGIC,
		.version = CTL_VERSION,
		.type = (uint16_t)type,
		.length_bytes = (uint32_t)length_bytes,
		.serial = serial,
	};
}

/* Length of a request of that type, to arenad or from it; 0 for what is no request of fixed length. */
static inline size_t ctl_length_bytes(uint16_t type)
{
	switch (type) {
	case CTL_JOIN: return sizeof(struct ctl_join);
	case CTL_STATS: return sizeof(struct ctl_stats);
	case CTL_TRIM_ASK:
	case CTL_TRIMMED: return sizeof(struct ctl_trim);
	case CTL_STATS_ASK:
	case CTL_STATUS_ASK: return sizeof(struct ctl_header);
	case CTL_COMMAND: return sizeof(struct ctl_command);
	case CTL_RESULT: return sizeof(struct ctl_result);
	default: return 0;
	}
}

/* 0 when @got bytes at @message are one whole message of fixed length and known type. */
static inline int ctl_check(const void *message, size_t got)
{
	const struct ctl_header *header = (const struct ctl_header *)message;

	if (got < sizeof(*header) || header->magic != CTL_MAGIC || header->version != CTL_VERSION)
		return -1;
	return got == header->length_bytes && got == ctl_length_bytes(header->type) ? 0 : -1;
}

#endif /* ARENA_CTL_PROTO_H */

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/limits.h"

#include <sys/resource.h>

#include "lib/log.h"

#define WANTED 16384 /* clients, pages, programs' descriptors, and room */
#define NEEDED 512   /* the engine with all wrappers has some 200, clients and pages 100 */
#define LEAST 90     /* the engine without wrappers, and some clients */

int limits_raise(bool *few, struct fault *fault)
{
	struct rlimit now, wanted;

	*few = false;
	if (getrlimit(RLIMIT_NOFILE, &now))
		return 0;
	wanted = now;
	if (now.rlim_cur < WANTED) {
		wanted.rlim_cur = WANTED;
		if (now.rlim_max < WANTED)
			wanted.rlim_max = WANTED;
		/* Beyond the hard limit it takes CAP_SYS_RESOURCE, which root has by hand, and a container may not. */
		if (setrlimit(RLIMIT_NOFILE, &wanted)) {
			wanted.rlim_cur = wanted.rlim_max = now.rlim_max;
			if (setrlimit(RLIMIT_NOFILE, &wanted))
				wanted = now;
		}
	}
	*few = wanted.rlim_cur < NEEDED;
	if (wanted.rlim_cur < LEAST)
		return fault_set(
			fault, EXIT_FAILED,
			"descriptors: at most %llu may be open and %d are needed: raise the limit (ulimit -n, LimitNOFILE=)",
			(unsigned long long)wanted.rlim_cur, NEEDED);
	if (*few)
		log_warning(
			"descriptors: at most %llu may be open and %d are needed: nothing is managed, only observed: raise "
			"the limit (ulimit -n, LimitNOFILE=) and start autocorkd again",
			(unsigned long long)wanted.rlim_cur, NEEDED);
	return 0;
}

/* Units of work spread over threads that live for one call: nothing is left behind for a fork or the end of a process. */

#ifndef CCCNODE_THREADS_H
#define CCCNODE_THREADS_H

#include <stddef.h>

#define THREADS_MAX 64

/* What does unit `unit` of a call.  Several run at once: a unit writes nothing that another one reads. */
typedef void do_unit(void *call, size_t unit);

/* Does units 0 to `units` - 1 with up to `threads` threads, this one among them; returns when all are done.  Where the
 * system gives fewer threads, fewer do the same work. */
void share_units(do_unit *act, void *call, size_t units, int threads);

#endif

/* Units of work spread over the threads of one call (threads.h). */

#define _GNU_SOURCE

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "threads.h"

typedef struct {
    do_unit *act;
    void *call;
    size_t units;
    atomic_size_t next; /* the first unit that nobody has taken */
} shared_work;

static void *take_units(void *given) {
    shared_work *work = given;
    for (size_t unit; (unit = atomic_fetch_add(&work->next, 1)) < work->units;) {
        work->act(work->call, unit);
    }
    return NULL;
}

/* Starts up to `wanted` helpers.  They take no signals: those are for the threads that the program knows. */
static int start_helpers(pthread_t *helpers, int wanted, shared_work *work) {
    sigset_t all, before;
    int started = 0;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before)) {
        return 0;
    }
    while (started < wanted && pthread_create(&helpers[started], NULL, take_units, work) == 0) {
        started++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void share_units(do_unit *act, void *call, size_t units, int threads) {
    pthread_t helpers[THREADS_MAX];
    shared_work work = {.act = act, .call = call, .units = units};
    int wanted = (threads < THREADS_MAX ? threads : THREADS_MAX) - 1;
    int started = wanted > 0 && units > 1 ? start_helpers(helpers, wanted, &work) : 0;
    take_units(&work);
    while (started--) {
        (void)pthread_join(helpers[started], NULL);
    }
}

/* The search for the highest rate that keeps a bound: doubled until it no longer does, then halved
 * in on. A rate has failed when it has failed twice, for on a machine with other things to do any
 * rate may fail once. Pure. */
#ifndef ROLLCALL_BENCH_SEARCH_H
#define ROLLCALL_BENCH_SEARCH_H

#include <stdbool.h>

struct search {
    double rate;         /* to be tried now */
    double kept, failed; /* the highest that kept the bound, the lowest that did not; 0: none yet */
    unsigned failures;   /* of `rate` */
    unsigned steps;
    bool done; /* the answer is `kept` */
};

enum {
    SEARCH_MAX_STEPS = 64,
    SEARCH_TRIES = 2,
};
#define SEARCH_MIN_RATE  1.0
#define SEARCH_MAX_RATE  1e7
#define SEARCH_PRECISION 0.03 /* of the rate */

void search_init(struct search *search, double first_rate);
/* Takes what came of search->rate, and sets the next or `done`. */
void search_note(struct search *search, bool kept_bound);

#endif

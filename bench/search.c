/* Doubling, then bisection; see search.h. */
#include "search.h"

void search_init(struct search *search, double first_rate) {
    *search = (struct search){.rate = first_rate};
}

void search_note(struct search *search, bool kept_bound) {
    search->steps++;
    if (kept_bound) {
        search->kept = search->rate;
    } else if (++search->failures < SEARCH_TRIES) {
        return;
    } else {
        search->failed = search->rate;
    }
    search->failures = 0;
    if (!search->failed)
        search->rate = search->kept * 2;
    else if (!search->kept)
        search->rate = search->failed / 2;
    else
        search->rate = (search->kept + search->failed) / 2;
    search->done =
        search->steps >= SEARCH_MAX_STEPS || search->rate < SEARCH_MIN_RATE ||
        search->rate > SEARCH_MAX_RATE ||
        (search->failed && search->failed - search->kept <= SEARCH_PRECISION * search->failed);
}

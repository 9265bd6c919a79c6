/* Requests in a time; see quota.h. */
#include "quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    char letter;
    uint64_t ms;
} periods[] = {{'s', 1000}, {'m', 60 * 1000}, {'h', 3600 * 1000}};
enum { PERIODS = sizeof periods / sizeof *periods };

/* Digits at *text, which is moved behind them. False past QUOTA_MAX_COUNT, for 0 and for none. */
static bool parse_count(const char **text, unsigned *count) {
    *count = 0;
    for (; **text >= '0' && **text <= '9'; ++*text) {
        *count = *count * 10 + (unsigned)(**text - '0');
        if (*count > QUOTA_MAX_COUNT)
            return false;
    }
    return *count > 0;
}

static const char *skip_blanks(const char *text) {
    return text + strspn(text, " \t");
}

bool quota_parse(const char *text, struct quota_limit *limit) {
    if (!parse_count(&text, &limit->count) || *text++ != '/')
        return false;
    unsigned i = 0;
    while (i < PERIODS && periods[i].letter != *text)
        i++;
    if (i == PERIODS)
        return false;
    limit->period_ms = periods[i].ms;
    limit->burst = limit->count;
    const char *rest = skip_blanks(++text);
    if (!*rest)
        return true;
    if (rest == text || strncmp(rest, "burst", 5) != 0)
        return false;
    text = skip_blanks(rest + 5);
    return text != rest + 5 && parse_count(&text, &limit->burst) && !*text;
}

void quota_format(const struct quota_limit *limit, char text[QUOTA_TEXT_BYTES]) {
    unsigned i = 0;
    while (periods[i].ms != limit->period_ms)
        i++;
    snprintf(text, QUOTA_TEXT_BYTES, "%u/%c burst %u", limit->count, periods[i].letter,
             limit->burst);
}

int64_t quota_take(struct quota *quota, const struct quota_limit *limit, int64_t now_us) {
    if (!limit->count)
        return 0;
    int64_t period_us = (int64_t)limit->period_ms * 1000;
    int64_t interval = period_us / limit->count;
    int64_t whole_burst = period_us * limit->burst / limit->count;
    int64_t next = quota->next_us > now_us ? quota->next_us : now_us;
    if (next > now_us + whole_burst)
        next = now_us + whole_burst; /* only a clock that was set back gets here */
    int64_t wait = next + interval - whole_burst - now_us;
    quota->next_us = next;
    if (wait > 0)
        return wait;
    quota->next_us += interval;
    return 0;
}

/* What rollcalld --probe was asked for on its command line, made into what probe_run wants. */
#ifndef ROLLCALL_PROBE_SETUP_H
#define ROLLCALL_PROBE_SETUP_H

/* Words of the command line; NULL where not said. */
struct probe_words {
    const char *url;    /* set: --probe */
    const char *config; /* its endpoint with the URL's path is played; else the four below say it */
    const char *provider, *auth, *secret_file, *validator;
    const char *ca, *connect, *timeout;
};

enum { PROBE_EXIT_DONE = 0, PROBE_EXIT_FAILED = 1, PROBE_EXIT_USAGE = 2 };

/* Runs the probe, its report on stdout, and returns the exit code: whether something would fail.
 * PROBE_EXIT_USAGE after one line on stderr for each mistake. */
int probe_main(const struct probe_words *words);

#endif

/* The things that the probe tries, in the order in which they would fail; see probe.h. */
#include "probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe_client.h"
#include "probe_request.h"
#include "util/clock.h"

enum {
    ATTEMPTS = 5, /* deliveries whose time is taken */
    WARN_BEFORE_S = 14 * 86400,
    EXCERPT_BYTES = 120, /* of an answer's body */
};

/* Decodes as a Standard Webhooks secret, too. */
#define WRONG_SECRET "cm9sbGNhbGwtcHJvYmUtd3Jvbmctc2VjcmV0"

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct probe {
    const struct probe_options *options;
    struct probe_target target;
    struct probe_connection connection;
    FILE *out;
    bool has_colour;
    unsigned counts[VERDICT_FAIL + 1];
};

/* --- The report --------------------------------------------------------------------------------
 */

static void say(struct probe *probe, enum verdict verdict, const char *what, const char *format,
                ...) PRINTF_LIKE(4, 5);
static void say(struct probe *probe, enum verdict verdict, const char *what, const char *format,
                ...) {
    static const char *const words[] = {"ok", "warn", "FAIL"};
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[1;31m"};
    va_list args;
    probe->counts[verdict]++;
    fprintf(probe->out, "%s%-4s%s  %-13s ", probe->has_colour ? colours[verdict] : "",
            words[verdict], probe->has_colour ? "\033[0m" : "", what);
    va_start(args, format);
    vfprintf(probe->out, format, args);
    va_end(args);
    fputc('\n', probe->out);
    fflush(probe->out);
}

/* The beginning of an answer's body, on one line. */
static const char *excerpt(const struct probe_answer *answer, char text[EXCERPT_BYTES + 4]) {
    size_t whole = answer->body.len;
    while (whole && strchr("\r\n", answer->body.ptr[whole - 1])) /* trims NULs, too */
        whole--;
    size_t len = whole < EXCERPT_BYTES ? whole : EXCERPT_BYTES;
    for (size_t i = 0; i < len; i++)
        text[i] =
            answer->body.ptr[i] < ' ' || answer->body.ptr[i] > '~' ? '.' : answer->body.ptr[i];
    strcpy(text + len, whole > len ? "..." : "");
    return text;
}

/* What an answer other than the wanted one means, and what to do. */
static const char *explain_status(int status) {
    switch (status) {
    case 401:
        return "the node has another secret for this path";
    case 403:
        return "allow_from does not have this address; the sender's must be in it";
    case 404:
        return "no endpoint has this path";
    case 405:
        return "the path is another sender's: see its provider";
    case 422:
        return "the endpoint's provider is another sender";
    case 429:
        return "rate_limit: wait a little, and try again";
    case 503:
        return "the node is draining, its disk fails, or a held reader is behind";
    default:
        return status / 100 == 3 ? "senders do not follow redirects: give them the last URL"
                                 : "something else answers here, a proxy perhaps";
    }
}

/* --- Name and connection -----------------------------------------------------------------------
 */

static int resolve(struct probe *probe) {
    const struct url *url = probe->options->url;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char host[URL_HOST_BYTES], port[8];
    snprintf(host, sizeof host, "%s", url->host);
    snprintf(port, sizeof port, "%u", url->port);
    if (probe->options->connect) {
        struct url other;
        char text[URL_HOST_BYTES + 16];
        snprintf(text, sizeof text, "https://%s", probe->options->connect);
        if (url_parse_https(text, &other)) {
            say(probe, VERDICT_FAIL, "name", "--connect wants HOST or HOST:PORT");
            return -1;
        }
        snprintf(host, sizeof host, "%s", other.host);
        if (strchr(probe->options->connect, ':'))
            snprintf(port, sizeof port, "%u", other.port);
    }
    int rc = getaddrinfo(host, port, &hints, &probe->target.addresses);
    if (rc) {
        say(probe, VERDICT_FAIL, "name", "%s: %s: senders find no address either", host,
            gai_strerror(rc));
        return -1;
    }
    char text[NI_MAXHOST];
    getnameinfo(probe->target.addresses->ai_addr, probe->target.addresses->ai_addrlen, text,
                sizeof text, NULL, 0, NI_NUMERICHOST);
    say(probe, VERDICT_OK, "name", "%s is %s", host, text);
    return 0;
}

static void judge_certificate(struct probe *probe) {
    const struct probe_tls *tls = &probe->connection.tls;
    long long days = (long long)tls->ends_in_s / 86400;
    if (tls->trust)
        say(probe, VERDICT_FAIL, "chain", "%s", tls->trust);
    else
        say(probe, VERDICT_OK, "chain", "%u long, to a known authority", tls->certificates);
    if (tls->is_named)
        say(probe, VERDICT_OK, "host name", "the certificate is for %s", probe->options->url->host);
    else
        say(probe, VERDICT_FAIL, "host name", "the certificate is not for %s",
            probe->options->url->host);
    if (tls->ends_in_s < 0)
        say(probe, VERDICT_FAIL, "expiry", "the certificate ended %lld days ago", -days);
    else
        say(probe, tls->ends_in_s < WARN_BEFORE_S ? VERDICT_WARN : VERDICT_OK, "expiry",
            "the certificate ends in %lld days", days);
    if (tls->has_alpn)
        say(probe, VERDICT_OK, "ALPN", "http/1.1");
    else
        say(probe, VERDICT_WARN, "ALPN", "http/1.1 is not agreed on: something else may answer");
}

static int open_connection(struct probe *probe) {
    char error[PROBE_ERROR_BYTES];
    int rc = probe_connect(&probe->connection, &probe->target, error);
    if (rc == PROBE_TCP_FAILED) {
        say(probe, VERDICT_FAIL, "connection", "%s: is the node up, and the port open?", error);
        return -1;
    }
    say(probe, VERDICT_OK, "connection", "port %u answers", probe->options->url->port);
    if (rc) {
        say(probe, VERDICT_FAIL, "TLS", "%s", error);
        return -1;
    }
    say(probe, VERDICT_OK, "TLS", "%s", probe->connection.tls.version);
    judge_certificate(probe);
    return 0;
}

/* --- Requests ----------------------------------------------------------------------------------
 */

/* One request and its answer, on the open connection or a new one. 0, or -1 after saying why. */
static int exchange(struct probe *probe, const char *what, const struct probe_request *request,
                    struct probe_answer *answer) {
    char error[PROBE_ERROR_BYTES] = "out of memory";
    struct buf bytes = {0};
    *answer = (struct probe_answer){0};
    int rc = probe->connection.ssl ? 0 : probe_connect(&probe->connection, &probe->target, error);
    rc = rc ? rc
            : probe_request_write(&bytes, probe->options->url, probe->options->endpoint, request);
    rc = rc ? rc
            : probe_exchange(&probe->connection, buf_span(&bytes),
                             strcmp(request->method, "HEAD") == 0, answer, error);
    buf_deinit(&bytes);
    if (rc)
        say(probe, VERDICT_FAIL, what, "%s", error);
    if (rc || !answer->keeps_alive)
        probe_disconnect(&probe->connection);
    return rc ? -1 : 0;
}

static bool is_bt(const struct probe *probe) {
    return strcmp(probe->options->endpoint->sender->name, "bt") == 0;
}

/* Whether it is the answer that this sender wants; says so where it is not. */
static bool judge_answer(struct probe *probe, const char *what, const struct probe_answer *answer,
                         int wanted) {
    char text[EXCERPT_BYTES + 4];
    if (answer->status != wanted) {
        struct span location = probe_field(answer, "location");
        if (location.len)
            say(probe, VERDICT_FAIL, what, "%d to %.*s: %s", answer->status, SPAN_ARG(location),
                explain_status(answer->status));
        else
            say(probe, VERDICT_FAIL, what, "%d, not %d: %s (%s)", answer->status, wanted,
                explain_status(answer->status), excerpt(answer, text));
        return false;
    }
    if (is_bt(probe) && !span_equals(probe_field(answer, "wifiWebhookListener"), SPAN("1"))) {
        say(probe, VERDICT_FAIL, what,
            "the field `wifiWebhookListener: 1` is missing: BT switches "
            "such a webhook off");
        return false;
    }
    return true;
}

static void try_look(struct probe *probe, const char *method) {
    struct probe_answer answer;
    const char *validator = probe->options->endpoint->validator;
    bool wants_validator = probe->options->endpoint->sender->wants_validator;
    const struct probe_request request = {.method = method, .body = ""};
    if (exchange(probe, method, &request, &answer) == 0 &&
        judge_answer(probe, method, &answer, 200)) {
        if (!wants_validator)
            say(probe, VERDICT_OK, method, "200");
        else if (!validator)
            say(probe, VERDICT_WARN, method,
                "no validator is known here to compare the answer with");
        else if (!span_equals(buf_span(&answer.body), span_from_string(validator)))
            say(probe, VERDICT_FAIL, method, "the answer is not the validator: set `validator`");
        else
            say(probe, VERDICT_OK, method, "200, the validator");
    }
    probe_answer_deinit(&answer);
}

/* The sender's own look whether its URL is there. */
static void try_validation(struct probe *probe) {
    const struct sender *sender = probe->options->endpoint->sender;
    if (!sender->answers_get && !sender->wants_validator)
        return;
    try_look(probe, "GET");
    if (!sender->wants_validator)
        try_look(probe, "HEAD");
}

static struct probe_request first_delivery(const struct probe *probe) {
    const struct config_endpoint *endpoint = probe->options->endpoint;
    struct probe_request request = {.method = "POST", .now_s = clock_realtime_us() / 1000000};
    if (endpoint->secret_count)
        request.secret = span_from(endpoint->secrets[0]->bytes, endpoint->secrets[0]->len);
    return request;
}

static bool try_delivery(struct probe *probe) {
    struct probe_answer answer;
    char text[EXCERPT_BYTES + 4];
    const struct probe_request request = first_delivery(probe);
    bool is_right = exchange(probe, "delivery", &request, &answer) == 0 &&
                    judge_answer(probe, "delivery", &answer, 200);
    if (is_right)
        say(probe, VERDICT_OK, "delivery", "200 %s", excerpt(&answer, text));
    probe_answer_deinit(&answer);
    return is_right;
}

/* A node that takes any secret is no safer than one without. */
static void try_wrong_secret(struct probe *probe) {
    struct probe_answer answer;
    struct probe_request request = first_delivery(probe);
    if (span_is_absent(request.secret))
        return;
    request.secret = SPAN(WRONG_SECRET);
    if (exchange(probe, "wrong secret", &request, &answer) == 0 &&
        judge_answer(probe, "wrong secret", &answer, 401))
        say(probe, VERDICT_OK, "wrong secret", "401");
    probe_answer_deinit(&answer);
}

static void try_long_head(struct probe *probe) {
    struct probe_answer answer;
    struct probe_request request = first_delivery(probe);
    request.has_long_head = true;
    if (exchange(probe, "long head", &request, &answer) == 0 &&
        judge_answer(probe, "long head", &answer, 200))
        say(probe, VERDICT_OK, "long head", "200 with an Accept-Charset of 3 KB, as HiveManager's");
    probe_answer_deinit(&answer);
}

static int compare_times(const void *a, const void *b) {
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static void try_time(struct probe *probe) {
    double times[ATTEMPTS];
    unsigned patience = probe_request_patience_s(probe->options->endpoint);
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        struct probe_answer answer;
        const struct probe_request request = first_delivery(probe);
        bool is_right = exchange(probe, "time", &request, &answer) == 0 &&
                        judge_answer(probe, "time", &answer, 200);
        times[i] = answer.seconds;
        probe_answer_deinit(&answer);
        if (!is_right)
            return;
    }
    qsort(times, ATTEMPTS, sizeof *times, compare_times);
    double median = times[ATTEMPTS / 2], worst = times[ATTEMPTS - 1];
    enum verdict verdict = worst > patience       ? VERDICT_FAIL
                           : worst * 4 > patience ? VERDICT_WARN
                                                  : VERDICT_OK;
    say(probe, verdict, "time",
        "%.2f ms (the longest of %d %.2f ms); this sender gives up after "
        "%u s",
        1000 * median, ATTEMPTS, 1000 * worst, patience);
}

/* HiveManager's Java, among others, knows nothing newer. */
static void try_tls_1_2(struct probe *probe) {
    char error[PROBE_ERROR_BYTES];
    probe_disconnect(&probe->connection);
    probe->target.only_tls_1_2 = true;
    if (probe_connect(&probe->connection, &probe->target, error))
        say(probe, VERDICT_FAIL, "TLS 1.2", "%s: older senders know nothing newer", error);
    else
        say(probe, VERDICT_OK, "TLS 1.2", "for senders that know nothing newer");
    probe_disconnect(&probe->connection);
    probe->target.only_tls_1_2 = false;
}

/* --- All of it ---------------------------------------------------------------------------------
 */

static void try_all(struct probe *probe) {
    if (resolve(probe) || open_connection(probe))
        return;
    try_validation(probe);
    if (try_delivery(probe)) {
        try_wrong_secret(probe);
        try_long_head(probe);
        try_time(probe);
    }
    try_tls_1_2(probe);
}

int probe_run(const struct probe_options *options, FILE *out) {
    struct probe probe = {.options = options,
                          .target = {.url = options->url,
                                     .ca_file = options->ca_file,
                                     .timeout_ms = options->timeout_ms},
                          .out = out,
                          .has_colour = isatty(fileno(out)) == 1};
    fprintf(out, "playing %s at %s\n", options->endpoint->sender->name, options->url->authority);
    if (probe_request_adds_event(options->endpoint))
        fprintf(out, "each delivery adds an event {\"rollcall_probe\":true}: its format has no "
                     "empty one\n");
    try_all(&probe);
    probe_disconnect(&probe.connection);
    if (probe.target.addresses)
        freeaddrinfo(probe.target.addresses);
    fprintf(out, "%u ok, %u warnings, %u failures\n", probe.counts[VERDICT_OK],
            probe.counts[VERDICT_WARN], probe.counts[VERDICT_FAIL]);
    return (int)probe.counts[VERDICT_FAIL];
}

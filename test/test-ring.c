/* The ring: a model that a million random steps are compared with, every bound from both sides, and
 * cursors as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"

enum {
    SIZE = RING_MIN_BYTES,
    RECORD = sizeof(struct ring_record),
    HALF_LINE = SIZE / 2 - RECORD, /* the line that fills half of the ring by itself */
};

static struct ring *new_ring(size_t size) {
    struct ring *ring = NULL;
    assert_int_equal(ring_new(&ring, size), 0);
    assert_non_null(ring);
    return ring;
}

/* xorshift64*: the same steps in every run. */
static uint64_t random_state = 88172645463325252U;

static uint64_t random_below(uint64_t bound) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * 2685821657736338717U >> 11) % bound;
}

/* A line whose every byte follows from its stamp and its place in it. */
static char line_byte(uint64_t stamp, size_t i) {
    return (char)(stamp >> (i % 8 * 8)) ^ (char)(i * 7 + (i >> 8));
}

static void fill_line(char *line, size_t len, uint64_t stamp) {
    for (size_t i = 0; i < len; i++)
        line[i] = line_byte(stamp, i);
}

static void push(struct ring *ring, size_t reserve, size_t len, uint64_t stamp) {
    char *line;
    assert_int_equal(ring_reserve(ring, reserve, &line), RING_OK);
    fill_line(line, len, stamp);
    ring_push(ring, &(struct ring_record){.line_len = (uint32_t)len,
                                          .received_us = (int64_t)stamp,
                                          .client_mac = stamp ^ 5,
                                          .endpoint_offset = (uint16_t)stamp,
                                          .kind_len = (uint16_t)(stamp >> 16)});
}

static void check_record(const struct ring_record *record, uint64_t seq, size_t len,
                         uint64_t stamp) {
    struct span line = ring_record_line(record);
    assert_int_equal((uintptr_t)record % 8, 0);
    assert_int_equal(record->seq, seq);
    assert_int_equal(record->size, (RECORD + len + 7) / 8 * 8);
    assert_int_equal(record->received_us, stamp);
    assert_int_equal(record->client_mac, stamp ^ 5);
    assert_int_equal(record->endpoint_offset, (uint16_t)stamp);
    assert_int_equal(record->kind_len, (uint16_t)(stamp >> 16));
    assert_int_equal(record->checksum, 0);
    assert_int_equal(line.len, len);
    for (size_t i = 0; i < len; i++)
        if (line.ptr[i] != line_byte(stamp, i))
            fail_msg("seq %llu: byte %zu of %zu differs", (unsigned long long)seq, i, len);
}

static void check_closed(const struct ring *ring) {
    struct ring_figures figures = ring_figures(ring);
    assert_int_equal(figures.accepted, figures.readable + figures.overwritten);
    assert_true(figures.bytes <= ring_size(ring));
}

/* Where the first event stands that is read next. */
static void check_read(const struct ring *ring, struct ring_cursor *cursor, uint64_t seq,
                       size_t len, uint64_t stamp) {
    const struct ring_record *record;
    assert_int_equal(ring_next(ring, cursor, &record), RING_OK);
    check_record(record, seq, len, stamp);
}

static void check_same_cursor(struct ring_cursor a, struct ring_cursor b) {
    assert_int_equal(a.seq, b.seq);
    assert_int_equal(a.position, b.position);
}

/* --- the model ----------------------------------------------------------------------- */

enum {
    STEPS = 1000000,
    CURSORS = 8,
    MODEL_SLOTS = 2048, /* more than the smallest records that fit a ring of SIZE */
};

/* A naive ring: what was pushed, by seq, and how many bytes of it there are. */
struct model {
    struct {
        uint64_t stamp;
        size_t len;
    } events[MODEL_SLOTS];
    uint64_t tail, head, open; /* seqs */
    size_t bytes, batch_bytes; /* from tail to open; of the open batch */
    uint64_t overwritten;
};

struct world {
    struct ring *ring;
    struct model model;
    struct ring_cursor cursors[CURSORS];
    uint64_t largest; /* bound of random line sizes, changed now and then */
    uint64_t overruns, too_large, aborts;
};

static size_t model_record_size(size_t line_bytes) {
    return (RECORD + line_bytes + 7) / 8 * 8;
}

static bool model_reserve(struct model *model, size_t line_bytes) {
    size_t size = model_record_size(line_bytes);
    if (model->batch_bytes + size > SIZE / 2)
        return false;
    while (model->bytes + size > SIZE) {
        model->bytes -= model_record_size(model->events[model->tail % MODEL_SLOTS].len);
        model->tail++;
        model->overwritten++;
    }
    return true;
}

static void step_append(struct world *world) {
    struct model *model = &world->model;
    size_t reserve = random_below(world->largest), len = random_below(reserve + 1);
    uint64_t stamp = random_below(UINT64_MAX);
    bool fits = model_reserve(model, reserve);
    if (!fits) {
        char *line;
        assert_int_equal(ring_reserve(world->ring, reserve, &line), RING_TOO_LARGE);
        world->too_large++;
        return;
    }
    push(world->ring, reserve, len, stamp);
    model->events[model->open % MODEL_SLOTS].stamp = stamp;
    model->events[model->open % MODEL_SLOTS].len = len;
    model->open++;
    model->bytes += model_record_size(len);
    model->batch_bytes += model_record_size(len);
}

static void step_end_batch(struct world *world, bool commit) {
    struct model *model = &world->model;
    if (commit) {
        ring_commit(world->ring);
        model->head = model->open;
    } else {
        ring_abort(world->ring);
        model->open = model->head;
        model->bytes -= model->batch_bytes;
        world->aborts++;
    }
    model->batch_bytes = 0;
}

static void step_read(struct world *world) {
    struct model *model = &world->model;
    struct ring_cursor *cursor = &world->cursors[random_below(CURSORS)];
    for (uint64_t n = random_below(12); n > 0; n--) {
        struct ring_cursor before = *cursor;
        const struct ring_record *record;
        int result = ring_next(world->ring, cursor, &record);
        if (before.seq < model->tail) {
            assert_int_equal(result, RING_OVERRUN);
            check_same_cursor(*cursor, before);
            *cursor = ring_oldest(world->ring);
            assert_int_equal(cursor->seq, model->tail);
            world->overruns++;
        } else if (before.seq == model->head) {
            assert_int_equal(result, RING_EMPTY);
            check_same_cursor(*cursor, before);
            return;
        } else {
            assert_int_equal(result, RING_OK);
            check_record(record, before.seq, model->events[before.seq % MODEL_SLOTS].len,
                         model->events[before.seq % MODEL_SLOTS].stamp);
            assert_int_equal(cursor->seq, before.seq + 1);
        }
    }
}

/* Any seq that there was, is, or is not yet. */
static uint64_t random_seq(const struct model *model) {
    switch (random_below(8)) {
    case 0:
        return random_below(model->head + 1);
    case 1:
        return model->tail - 1 + random_below(3);
    case 2:
        return model->head - 1 + random_below(3);
    case 3:
        return random_below(2) ? UINT64_MAX - random_below(3) : random_below(3);
    default:
        return model->tail + random_below(model->head - model->tail + 1);
    }
}

static void step_seek(struct world *world) {
    struct model *model = &world->model;
    struct ring_cursor *cursor = &world->cursors[random_below(CURSORS)];
    uint64_t seq = random_seq(model);
    int result = ring_seek(world->ring, seq, cursor);
    if (seq < model->tail) {
        assert_int_equal(result, RING_OVERRUN);
        assert_int_equal(cursor->seq, model->tail);
    } else if (seq > model->head) {
        assert_int_equal(result, RING_FUTURE);
        assert_int_equal(cursor->seq, model->head);
    } else {
        assert_int_equal(result, RING_OK);
        assert_int_equal(cursor->seq, seq);
    }
}

static void check_figures(const struct world *world) {
    const struct model *model = &world->model;
    struct ring_figures figures = ring_figures(world->ring);
    check_closed(world->ring);
    assert_int_equal(figures.accepted, model->head - 1);
    assert_int_equal(figures.overwritten, model->overwritten);
    assert_int_equal(figures.readable, model->head - model->tail);
    assert_int_equal(figures.bytes, model->bytes - model->batch_bytes);
    assert_int_equal(ring_next_seq(world->ring), model->open);
    assert_int_equal(ring_oldest(world->ring).seq, model->tail);
    assert_int_equal(ring_newest(world->ring).seq, model->head);
}

static void step(struct world *world) {
    uint64_t dice = random_below(1000);
    if (dice < 450)
        step_append(world);
    else if (dice < 580)
        step_end_batch(world, true);
    else if (dice < 590)
        step_end_batch(world, false);
    else if (dice < 700)
        step_seek(world);
    else
        step_read(world);
    if (dice == 999) /* a stretch of the smallest lines, of usual ones, of ones that fill a batch */
        world->largest = (const uint64_t[]){1, 24, 400, 4000, SIZE / 2}[random_below(5)];
}

static void test_model(void **state) {
    static struct world world; /* too large for the stack */
    (void)state;
    world = (struct world){.ring = new_ring(SIZE), .largest = 400};
    world.model.tail = world.model.head = world.model.open = 1;
    for (int i = 0; i < CURSORS; i++)
        world.cursors[i] = ring_oldest(world.ring);
    for (int i = 0; i < STEPS; i++) {
        step(&world);
        check_figures(&world);
        if (i % 1000 == 0) { /* everything there is, from the first to the last */
            struct ring_cursor cursor = ring_oldest(world.ring);
            for (uint64_t seq = world.model.tail; seq < world.model.head; seq++)
                check_read(world.ring, &cursor, seq, world.model.events[seq % MODEL_SLOTS].len,
                           world.model.events[seq % MODEL_SLOTS].stamp);
            check_same_cursor(cursor, ring_newest(world.ring));
        }
    }
    /* The steps went where they were meant to go. */
    assert_true(world.model.overwritten > 50000);
    assert_true(world.overruns > 1000);
    assert_true(world.too_large > 1000);
    assert_true(world.aborts > 1000);
    assert_true(ring_newest(world.ring).position > 200 * SIZE);
    ring_free(world.ring);
}

/* --- making one ---------------------------------------------------------------------- */

static unsigned open_descriptors(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void test_sizes(void **state) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct ring *ring = NULL;
    unsigned before = open_descriptors();
    (void)state;
    assert_int_equal(ring_new(&ring, 0), -EINVAL);
    assert_int_equal(ring_new(&ring, RING_MIN_BYTES - 1), -EINVAL);
    assert_int_equal(ring_new(&ring, SIZE_MAX), -EINVAL);
    assert_true(ring_new(&ring, SIZE_MAX / 8) < 0); /* no machine has that much */
    assert_null(ring);
    const size_t sizes[][2] = {{RING_MIN_BYTES, RING_MIN_BYTES},
                               {RING_MIN_BYTES + 1, RING_MIN_BYTES + page},
                               {RING_MIN_BYTES + page, RING_MIN_BYTES + page},
                               {1000000, (1000000 + page - 1) / page * page}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ring = new_ring(sizes[i][0]);
        assert_int_equal(ring_size(ring), sizes[i][1]);
        ring_free(ring);
    }
    ring_free(NULL);
    assert_int_equal(open_descriptors(), before);
}

static void test_ids(void **state) {
    struct ring *one = new_ring(SIZE), *other = new_ring(SIZE);
    (void)state;
    assert_int_equal(strlen(ring_id(one)), RING_ID_BYTES);
    for (int i = 0; i < RING_ID_BYTES; i++)
        assert_non_null(strchr("0123456789abcdef", ring_id(one)[i]));
    assert_string_not_equal(ring_id(one), ring_id(other));
    ring_free(one);
    ring_free(other);
}

static void test_empty(void **state) {
    struct ring *ring = new_ring(SIZE);
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    (void)state;
    assert_int_equal(ring_next_seq(ring), 1);
    assert_int_equal(cursor.seq, 1);
    assert_int_equal(cursor.position, 0);
    assert_int_equal(ring_newest(ring).seq, 1);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_EMPTY);
    assert_int_equal(ring_seek(ring, 0, &cursor), RING_OVERRUN);
    assert_int_equal(ring_seek(ring, 1, &cursor), RING_OK);
    assert_int_equal(ring_seek(ring, 2, &cursor), RING_FUTURE);
    ring_commit(ring); /* no batch is open: nothing happens */
    ring_abort(ring);
    struct ring_figures figures = ring_figures(ring);
    assert_int_equal(figures.accepted + figures.overwritten + figures.readable + figures.bytes, 0);
    ring_free(ring);
}

/* --- batches ------------------------------------------------------------------------- */

static void test_batch_is_seen_whole_or_not_at_all(void **state) {
    struct ring *ring = new_ring(SIZE);
    struct ring_cursor cursor = ring_oldest(ring);
    const struct ring_record *record;
    (void)state;
    push(ring, 10, 10, 1);
    push(ring, 10, 10, 2);
    assert_int_equal(ring_next_seq(ring), 3);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_EMPTY);
    assert_int_equal(ring_figures(ring).accepted, 0);
    ring_commit(ring);
    check_read(ring, &cursor, 1, 10, 1);
    check_read(ring, &cursor, 2, 10, 2);
    assert_int_equal(ring_next(ring, &cursor, &record), RING_EMPTY);
    assert_int_equal(ring_figures(ring).accepted, 2);
    ring_free(ring);
}

static void test_abort_gives_seqs_and_positions_again(void **state) {
    struct ring *ring = new_ring(SIZE);
    struct ring_cursor cursor, live;
    (void)state;
    push(ring, 10, 10, 1);
    ring_commit(ring);
    live = ring_newest(ring);
    for (uint64_t i = 0; i < 200; i++) /* so many that the index is written, too */
        push(ring, 30, 30, 100 + i);
    ring_abort(ring);
    assert_int_equal(ring_next_seq(ring), 2);
    check_same_cursor(ring_newest(ring), live);
    for (uint64_t i = 0; i < 200; i++)
        push(ring, 12, 11, i);
    ring_commit(ring);
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(ring_seek(ring, 2 + i, &cursor), RING_OK);
        check_read(ring, &cursor, 2 + i, 11, i);
    }
    check_read(ring, &live, 2, 11, 0); /* a cursor at the live edge came through it */
    ring_free(ring);
}

/* The batch that fills half to the last byte, in one line and in many; a byte more; and that a
 * refused line leaves the batch as it was. */
static void test_half_of_the_ring(void **state) {
    struct ring *ring = new_ring(SIZE);
    struct ring_cursor cursor = ring_oldest(ring);
    char *line;
    (void)state;
    assert_int_equal(ring_reserve(ring, HALF_LINE + 1, &line), RING_TOO_LARGE);
    assert_int_equal(ring_reserve(ring, SIZE_MAX, &line), RING_TOO_LARGE);
    assert_int_equal(ring_reserve(ring, UINT32_MAX, &line), RING_TOO_LARGE);
    push(ring, HALF_LINE, HALF_LINE, 1);
    assert_int_equal(ring_reserve(ring, 0, &line), RING_TOO_LARGE);
    ring_commit(ring);
    check_read(ring, &cursor, 1, HALF_LINE, 1);

    enum { LINE = 72, LINES = SIZE / 2 / (RECORD + LINE) };
    assert_int_equal((RECORD + LINE) * LINES, SIZE / 2);
    for (uint64_t i = 0; i < LINES - 1; i++)
        push(ring, LINE, LINE, i);
    assert_int_equal(ring_reserve(ring, LINE + 1, &line), RING_TOO_LARGE);
    push(ring, LINE, LINE, LINES - 1);
    assert_int_equal(ring_reserve(ring, 1, &line), RING_TOO_LARGE);
    assert_int_equal(ring_figures(ring).readable, 1);
    ring_commit(ring);
    for (uint64_t i = 0; i < LINES; i++)
        check_read(ring, &cursor, 2 + i, LINE, i);

    /* Full to the last byte, nothing lost; one byte more, and the oldest goes. */
    assert_int_equal(ring_figures(ring).bytes, SIZE);
    assert_int_equal(ring_figures(ring).overwritten, 0);
    push(ring, 1, 1, 9);
    ring_commit(ring);
    assert_int_equal(ring_figures(ring).overwritten, 1);
    assert_int_equal(ring_oldest(ring).seq, 2);
    check_closed(ring);
    ring_free(ring);
}

/* What was dropped to make room stays dropped when the batch is aborted, and the sums close, also
 * in between. */
static void test_abort_after_dropping(void **state) {
    struct ring *ring = new_ring(SIZE);
    struct ring_cursor first = ring_oldest(ring), cursor;
    const struct ring_record *record;
    (void)state;
    for (uint64_t i = 1; i <= 4; i++) {
        push(ring, SIZE / 4 - RECORD, SIZE / 4 - RECORD, i);
        ring_commit(ring);
    }
    push(ring, HALF_LINE, 5, 5); /* reserved is what counts for room, used for what is taken */
    check_closed(ring);
    assert_int_equal(ring_figures(ring).overwritten, 2);
    ring_abort(ring);
    check_closed(ring);
    assert_int_equal(ring_figures(ring).overwritten, 2);
    assert_int_equal(ring_figures(ring).readable, 2);
    assert_int_equal(ring_next(ring, &first, &record), RING_OVERRUN);
    cursor = ring_oldest(ring);
    check_read(ring, &cursor, 3, SIZE / 4 - RECORD, 3);
    check_read(ring, &cursor, 4, SIZE / 4 - RECORD, 4);
    push(ring, 1, 1, 6);
    ring_commit(ring);
    check_read(ring, &cursor, 5, 1, 6);
    assert_int_equal(ring_figures(ring).accepted, 5);
    ring_free(ring);
}

/* --- places -------------------------------------------------------------------------- */

/* Every way in which a record can lie across the end: with only its header, part of its header,
 * part of its line in front of it. */
static void test_records_across_the_end(void **state) {
    (void)state;
    for (size_t before_end = 8; before_end <= RECORD + 320; before_end += 8) {
        struct ring *ring = new_ring(SIZE);
        struct ring_cursor cursor;
        size_t left = SIZE - before_end;
        push(ring, HALF_LINE, HALF_LINE, 1);
        ring_commit(ring);
        left -= SIZE / 2;
        push(ring, left - RECORD, left - RECORD, 2);
        ring_commit(ring);
        assert_int_equal(ring_newest(ring).position, SIZE - before_end);
        push(ring, 301, 300, 3);
        ring_commit(ring);
        push(ring, 301, 300, 4);
        ring_commit(ring);
        assert_int_equal(ring_seek(ring, 2, &cursor), RING_OK);
        check_read(ring, &cursor, 2, left - RECORD, 2);
        check_read(ring, &cursor, 3, 300, 3);
        check_read(ring, &cursor, 4, 300, 4);
        ring_free(ring);
    }
}

/* Seeks to every seq that is there, with records of every density from the smallest on, while the
 * ring goes round. */
static void test_seek_everywhere(void **state) {
    static const size_t lens[] = {0, 1, 8, 9, 100, 1000, 8000};
    (void)state;
    for (size_t l = 0; l < sizeof lens / sizeof *lens; l++) {
        struct ring *ring = new_ring(SIZE);
        size_t per_lap = SIZE / model_record_size(lens[l]);
        uint64_t seq = 1;
        for (int round = 0; round < 40; round++) {
            struct ring_cursor cursor;
            for (size_t i = 0; i < per_lap / 8 + 1; i++, seq++) {
                push(ring, lens[l], lens[l], seq * 3);
                ring_commit(ring);
            }
            for (uint64_t s = ring_oldest(ring).seq; s < seq; s++) {
                assert_int_equal(ring_seek(ring, s, &cursor), RING_OK);
                check_read(ring, &cursor, s, lens[l], s * 3);
            }
            assert_int_equal(ring_seek(ring, seq, &cursor), RING_OK);
            assert_int_equal(ring_seek(ring, seq + 1, &cursor), RING_FUTURE);
            assert_int_equal(cursor.seq, seq);
            assert_int_equal(ring_seek(ring, UINT64_MAX, &cursor), RING_FUTURE);
            if (ring_oldest(ring).seq > 1) {
                assert_int_equal(ring_seek(ring, ring_oldest(ring).seq - 1, &cursor), RING_OVERRUN);
                assert_int_equal(cursor.seq, ring_oldest(ring).seq);
            }
        }
        assert_true(ring_oldest(ring).seq > 1);
        assert_true(ring_figures(ring).readable >= per_lap - 1);
        ring_free(ring);
    }
}

/* --- cursors as text ----------------------------------------------------------------- */

static enum ring_cursor_kind parse(const struct ring *ring, const char *text, uint64_t *seq) {
    /* In memory of just that size, so that the sanitizer sees a byte read too many. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    enum ring_cursor_kind kind = ring_parse_cursor(ring, span_from(copy, len), seq);
    free(copy);
    return kind;
}

static void test_cursor_text(void **state) {
    static const uint64_t seqs[] = {0, 1, 9, 10, 1234567, UINT64_MAX - 1, UINT64_MAX};
    struct ring *ring = new_ring(SIZE), *other = new_ring(SIZE);
    (void)state;
    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
        char text[RING_CURSOR_MAX], expected[64];
        uint64_t seq = 77;
        unsigned len = ring_format_cursor(ring, seqs[i], text);
        snprintf(expected, sizeof expected, "%s-%llu", ring_id(ring), (unsigned long long)seqs[i]);
        assert_string_equal(text, expected);
        assert_int_equal(len, strlen(expected));
        assert_true(len < RING_CURSOR_MAX);
        assert_int_equal(parse(ring, text, &seq), RING_CURSOR_OURS);
        assert_int_equal(seq, seqs[i]);
        assert_int_equal(parse(other, text, &seq), RING_CURSOR_FOREIGN);
    }
    ring_free(ring);
    ring_free(other);
}

static void test_malformed_cursors(void **state) {
    static const char *const tails[] = {
        "",  /* nothing behind the id */
        "-", /* no digits */
        "1", /* no dash */
        ":1",
        "--1",
        "-+1",
        "- 1",
        "-1 ",
        "-1\n",
        "-0x1",
        "-1a",
        "-1.0",
        "-1-1",
        "-00",
        "-01",                   /* one spelling a number: cursors are compared as text, too */
        "-18446744073709551616", /* UINT64_MAX + 1 */
        "-18446744073709551620",
        "-99999999999999999999",  /* 20 digits */
        "-111111111111111111111", /* 21 digits */
        "-184467440737095516150000000000000000000000000000000000000000000000000000000000000000",
    };
    static const char *const whole[] = {
        "",
        "-",
        "1",
        "-1",
        "0123456789abcde-1",
        "0123456789abcdef01-1",
        "0123456789abcdeg-1",
        "0123456789ABCDEF-1",
        " 0123456789abcdef-1",
        "0123456789abcdef",
        "0123456789abcdef1-",
        "0123456789abcde\xff-1",
    };
    struct ring *ring = new_ring(SIZE);
    uint64_t seq;
    (void)state;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s%s", ring_id(ring), tails[i]);
        if (parse(ring, text, &seq) != RING_CURSOR_MALFORMED)
            fail_msg("taken: %s", text);
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (parse(ring, whole[i], &seq) != RING_CURSOR_MALFORMED)
            fail_msg("taken: %s", whole[i]);
    assert_int_equal(ring_parse_cursor(ring, (struct span){0}, &seq), RING_CURSOR_MALFORMED);
    assert_int_equal(ring_parse_cursor(ring, span_from("0123456789abcdef-1\0", 19), &seq),
                     RING_CURSOR_MALFORMED);
    assert_int_equal(parse(ring, "0123456789abcdef-1", &seq), RING_CURSOR_FOREIGN);
    ring_free(ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_batch_is_seen_whole_or_not_at_all),
        cmocka_unit_test(test_abort_gives_seqs_and_positions_again),
        cmocka_unit_test(test_half_of_the_ring),
        cmocka_unit_test(test_abort_after_dropping),
        cmocka_unit_test(test_records_across_the_end),
        cmocka_unit_test(test_seek_everywhere),
        cmocka_unit_test(test_cursor_text),
        cmocka_unit_test(test_malformed_cursors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

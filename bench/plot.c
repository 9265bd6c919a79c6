/* The SVG; see plot.h. Two panels, one above the other, of the same width. */
#include "plot.h"

#include <math.h>
#include <stdbool.h>

enum {
    WIDTH = 860,
    HEIGHT = 640,
    LEFT = 84,
    RIGHT = 44,
    PLOT_WIDTH = WIDTH - LEFT - RIGHT,
    TOP_1 = 100,
    HEIGHT_1 = 246,
    TOP_2 = 436,
    HEIGHT_2 = 130,
    NINES_STEPS = 12, /* points of a curve for each further nine */
};

static const char style[] =
    "<style>\n"
    "svg{font:13px system-ui,-apple-system,'Segoe UI',sans-serif}\n"
    ".ground{fill:#fff}.text{fill:#1f2328}.faint{fill:#59636e}\n"
    ".grid{stroke:#d8dee4;stroke-width:1}.axis{stroke:#59636e;stroke-width:1}\n"
    ".c0,.c1,.c2{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".c0{stroke:#0550ae}.c1{stroke:#bc4c00;stroke-dasharray:6 4}"
    ".c2{stroke:#1a7f37;stroke-dasharray:2 3}\n"
    ".area{fill:#0550ae;fill-opacity:.16}.planned{stroke:#bc4c00;stroke-dasharray:6 4}\n"
    "@media(prefers-color-scheme:dark){\n"
    ".ground{fill:#0d1117}.text{fill:#e6edf3}.faint{fill:#9198a1}\n"
    ".grid{stroke:#2b323b}.axis{stroke:#9198a1}\n"
    ".c0{stroke:#6cb6ff}.c1{stroke:#f69d50}.c2{stroke:#6bc46d}\n"
    ".area{fill:#6cb6ff;fill-opacity:.2}.planned{stroke:#f69d50}}\n"
    "</style>\n";

static void line(FILE *out, const char *class, double x1, double y1, double x2, double y2) {
    fprintf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class,
            x1, y1, x2, y2);
}

static void text(FILE *out, const char *class, const char *anchor, double x, double y,
                 const char *what) {
    fprintf(out, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class,
            anchor, x, y, what);
}

/* A number as short as it can be said: 250 us, 1.5 ms, 2 s. */
static void format_time(double ns, char dst[32]) {
    if (ns < 999.5e3)
        snprintf(dst, 32, "%.3g &#181;s", ns / 1e3);
    else if (ns < 999.5e6)
        snprintf(dst, 32, "%.3g ms", ns / 1e6);
    else
        snprintf(dst, 32, "%.3g s", ns / 1e9);
}

/* --- latency by percentile: x is the number of nines, y the logarithm of the latency ------------
 */

struct range {
    double nines;     /* at the right end */
    double low, high; /* ns */
};

static double nines_of(double percent) {
    return -log10(1 - percent / 100);
}

static double x_of(const struct range *range, double nines) {
    return LEFT + PLOT_WIDTH * nines / range->nines;
}

static double y_of(const struct range *range, double ns) {
    double clamped = ns < range->low ? range->low : ns;
    return TOP_1 + HEIGHT_1 * (1 - log(clamped / range->low) / log(range->high / range->low));
}

/* As many nines as the count can tell, and the values from the lowest median to the highest
 * maximum, each rounded to 1, 2 or 5 of its decade. */
static struct range choose_range(const struct plot *plot) {
    struct range range = {.nines = 1, .low = INFINITY, .high = 1};
    for (unsigned i = 0; i < plot->curve_count; i++) {
        const struct histogram *histogram = plot->curves[i].histogram;
        if (!histogram->count)
            continue;
        range.nines = fmax(range.nines, ceil(log10((double)histogram->count)));
        range.low = fmin(range.low, (double)histogram_percentile(histogram, 0));
        range.high = fmax(range.high, (double)histogram->max);
    }
    range.nines = fmin(range.nines, 6);
    if (!isfinite(range.low) || range.low < 1000)
        range.low = 1000;
    if (range.high < 2 * range.low)
        range.high = 2 * range.low;
    double decade = pow(10, floor(log10(range.low)));
    range.low = decade * (range.low >= 5 * decade ? 5 : range.low >= 2 * decade ? 2 : 1);
    decade = pow(10, floor(log10(range.high)));
    range.high = decade * (range.high <= 2 * decade ? 2 : range.high <= 5 * decade ? 5 : 10);
    return range;
}

static void draw_percent_axis(const struct range *range, FILE *out) {
    static const double percents[] = {0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        char label[32];
        double x = x_of(range, nines_of(percents[i]));
        if (nines_of(percents[i]) > range->nines + 1e-6)
            break;
        snprintf(label, sizeof label, "%.6g %%", percents[i]);
        line(out, i ? "grid" : "axis", x, TOP_1, x, TOP_1 + HEIGHT_1);
        text(out, "faint", "middle", x, TOP_1 + HEIGHT_1 + 18, label);
    }
    line(out, "axis", LEFT, TOP_1 + HEIGHT_1, LEFT + PLOT_WIDTH, TOP_1 + HEIGHT_1);
}

static void draw_latency_axis(const struct range *range, FILE *out) {
    static const double steps[] = {1, 2, 5};
    // A few ticks of an axis: no error adds up. NOLINTNEXTLINE(cert-flp30-c)
    for (double decade = 1e3; decade <= range->high; decade *= 10) {
        for (size_t i = 0; i < 3; i++) {
            double ns = decade * steps[i], y = y_of(range, ns);
            char label[32];
            if (ns < range->low * 0.999 || ns > range->high * 1.001)
                continue;
            format_time(ns, label);
            line(out, "grid", LEFT, y, LEFT + PLOT_WIDTH, y);
            text(out, "faint", "end", LEFT - 8, y + 4, label);
        }
    }
}

static void draw_curve(const struct plot *plot, const struct range *range, unsigned index,
                       FILE *out) {
    const struct histogram *histogram = plot->curves[index].histogram;
    double end = log10((double)histogram->count + 1);
    fprintf(out, "<path class=\"c%u\" d=\"", index);
    for (int step = 0; step <= NINES_STEPS * range->nines; step++) {
        double nines = (double)step / NINES_STEPS;
        bool last = nines >= end;
        double percent = last ? 100 : 100 * (1 - pow(10, -nines));
        double ns = (double)histogram_percentile(histogram, percent);
        fprintf(out, "%c%.1f %.1f", step ? 'L' : 'M', x_of(range, nines), y_of(range, ns));
        if (last)
            break;
    }
    fputs("\"/>\n", out);
}

static void draw_legend(const struct plot *plot, FILE *out) {
    for (unsigned i = 0; i < plot->curve_count; i++) {
        char label[160], p50[32], p99[32], max[32], class[] = {'c', (char)('0' + i), 0};
        const struct histogram *histogram = plot->curves[i].histogram;
        double y = 52 + 20 * i;
        format_time((double)histogram_percentile(histogram, 50), p50);
        format_time((double)histogram_percentile(histogram, 99), p99);
        format_time((double)histogram->max, max);
        line(out, class, LEFT, y - 4, LEFT + 28, y - 4);
        snprintf(label, sizeof label, "%s: p50 %s, p99 %s, max %s", plot->curves[i].name, p50, p99,
                 max);
        text(out, "text", "start", LEFT + 36, y, label);
    }
}

/* --- the rate over time ------------------------------------------------------------------------
 */

/* The smallest 1, 2 or 5 of a decade that four of reach up to the value. */
static double choose_step(double value) {
    double decade = pow(10, floor(log10(value / 4)));
    double steps[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (4 * steps[i] * decade >= value)
            return steps[i] * decade;
    return 10 * decade;
}

struct rate_range {
    double seconds, top;
};

static double rate_x(const struct rate_range *range, double seconds) {
    return LEFT + PLOT_WIDTH * fmin(seconds / range->seconds, 1);
}

static double rate_y(const struct rate_range *range, double rate) {
    return TOP_2 + HEIGHT_2 * (1 - rate / range->top);
}

static void draw_rate_axes(const struct rate_range *range, FILE *out) {
    char label[32];
    double step = choose_step(range->top);
    // A few ticks of an axis: no error adds up. NOLINTNEXTLINE(cert-flp30-c)
    for (double rate = 0; rate <= range->top * 1.001; rate += step) {
        double y = rate_y(range, rate);
        snprintf(label, sizeof label, "%.0f", rate);
        line(out, rate > 0 ? "grid" : "axis", LEFT, y, LEFT + PLOT_WIDTH, y);
        text(out, "faint", "end", LEFT - 8, y + 4, label);
    }
    step = choose_step(range->seconds);
    // A few ticks of an axis: no error adds up. NOLINTNEXTLINE(cert-flp30-c)
    for (double seconds = 0; seconds <= range->seconds * 1.001; seconds += step) {
        snprintf(label, sizeof label, "%.3g s", seconds);
        text(out, "faint", "middle", rate_x(range, seconds), TOP_2 + HEIGHT_2 + 18, label);
    }
    line(out, "axis", LEFT, TOP_2, LEFT, TOP_2 + HEIGHT_2);
}

/* The last slot may be one in part: it is not drawn, but where it is the only one. */
static void draw_rate(const struct plot *plot, const struct rate_range *range, FILE *out) {
    const struct series *series = plot->answers;
    double slot_s = (double)series->slot_ns / 1e9;
    unsigned slots = series->used > 1 ? series->used - 1 : series->used;
    for (int area = 1; area >= 0; area--) {
        fprintf(out, "<path class=\"%s\" d=\"", area ? "area" : "c0");
        if (area)
            fprintf(out, "M%d %d", LEFT, TOP_2 + HEIGHT_2);
        for (unsigned i = 0; i < slots; i++) {
            double y = rate_y(range, (double)series->counts[i] / slot_s);
            fprintf(out, "%c%.1f %.1fL%.1f %.1f", i || area ? 'L' : 'M', rate_x(range, i * slot_s),
                    y, rate_x(range, (i + 1) * slot_s), y);
        }
        if (area)
            fprintf(out, "L%.1f %dZ", rate_x(range, slots * slot_s), TOP_2 + HEIGHT_2);
        fputs("\"/>\n", out);
    }
    if (plot->rate > 0)
        line(out, "planned", LEFT, rate_y(range, plot->rate), LEFT + PLOT_WIDTH,
             rate_y(range, plot->rate));
}

static struct rate_range choose_rate_range(const struct plot *plot) {
    const struct series *series = plot->answers;
    double slot_s = (double)series->slot_ns / 1e9;
    struct rate_range range = {.seconds = fmax(plot->seconds, slot_s), .top = fmax(plot->rate, 1)};
    for (unsigned i = 0; i < series->used; i++)
        range.top = fmax(range.top, (double)series->counts[i] / slot_s);
    double step = choose_step(range.top);
    range.top = ceil(range.top / step) * step;
    return range;
}

void plot_write(const struct plot *plot, FILE *out) {
    struct range range = choose_range(plot);
    struct rate_range rates = choose_rate_range(plot);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\" role=\"img\">\n<title>%s</title>\n%s"
            "<rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, plot->title, style, WIDTH, HEIGHT);
    fprintf(out, "<text class=\"text\" font-weight=\"600\" x=\"%d\" y=\"30\">%s</text>\n", LEFT,
            plot->title);
    draw_latency_axis(&range, out);
    draw_percent_axis(&range, out);
    for (unsigned i = plot->curve_count; i-- > 0;)
        if (plot->curves[i].histogram->count)
            draw_curve(plot, &range, i, out);
    draw_legend(plot, out);
    text(out, "text", "middle", LEFT + PLOT_WIDTH / 2.0, TOP_1 + HEIGHT_1 + 40,
         "posts answered within this latency");
    draw_rate_axes(&rates, out);
    draw_rate(plot, &rates, out);
    text(out, "text", "start", LEFT, TOP_2 - 12, "answers a second");
    text(out, "text", "middle", LEFT + PLOT_WIDTH / 2.0, TOP_2 + HEIGHT_2 + 40, "time");
    fputs("</svg>\n", out);
}

/*
    plot.c - see plot.h.
*/
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH  860.0
#define HEIGHT 480.0
#define LEFT   76.0
#define RIGHT  24.0
#define TOP    92.0
#define BOTTOM 58.0

/*  Colours that those who see few of them tell apart; ours is the first line. */
static const char* const line_colours[] = {"#0072b2", "#d55e00", "#009e73",
                                           "#cc79a7", "#e69f00", "#56b4e9"};
#define AREA_COLOUR "#c9ced6"

PlotSeries* plot_series(Plot* plot, const char* name, PlotStyle style, size_t capacity) {
    if (plot->count == MAX_SERIES) {
        die("too many series in a plot");
    }
    PlotSeries* series = &plot->series[plot->count++];
    series->name = name;
    series->style = style;
    series->points = allocate_or_die(capacity, sizeof *series->points);
    series->count = 0;
    return series;
}

void plot_point(PlotSeries* series, double x, double y, double low, double high) {
    PlotPoint point = {x, y, low, high};
    series->points[series->count++] = point;
}

/* ------------------------------------------------------------------ scales */

typedef struct Axis {
    double from, to; /* values, or their logarithms */
    double step;     /* between ticks; 0 = powers of ten */
    bool log;
} Axis;

typedef struct Sheet {
    FILE* file;
    Axis x, y;
} Sheet;

static double along(const Axis* axis, double value) {
    double at = axis->log ? log10(value) : value;
    return (at - axis->from) / (axis->to - axis->from);
}

static double page_x(const Sheet* sheet, double value) {
    return LEFT + along(&sheet->x, value) * (WIDTH - LEFT - RIGHT);
}

static double page_y(const Sheet* sheet, double value) {
    return HEIGHT - BOTTOM - along(&sheet->y, value) * (HEIGHT - TOP - BOTTOM);
}

/*  From 0, with some five ticks at 1, 2 or 5 times a power of ten; the top tick is the end. */
static Axis linear_axis(double max, bool to_the_tick) {
    double raw = fmax(max, 1e-9) / 5;
    double power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    double step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    Axis axis = {0, to_the_tick ? ceil(max / step) * step : max, step, false};
    return axis;
}

static Axis log_axis(double min, double max, double margin) {
    Axis axis = {log10(min) - margin, log10(max) + margin, 0, true};
    return axis;
}

/*  The next 1, 2 or 5 times a power of ten, upwards or downwards. */
static double round_number(double value, bool up) {
    double power = pow(10, floor(log10(value)));
    double lead = value / power;
    if (up) {
        return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
    }
    return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}

static void measure(const Plot* plot, Sheet* sheet) {
    double x_min = INFINITY, x_max = 0, y_min = INFINITY, y_max = 0;
    for (size_t s = 0; s < plot->count; s++) {
        const PlotSeries* series = &plot->series[s];
        for (size_t p = 0; p < series->count; p++) {
            const PlotPoint* point = &series->points[p];
            bool marked = series->style == PLOT_MARKED;
            x_min = fmin(x_min, point->x);
            x_max = fmax(x_max, point->x);
            y_min = fmin(y_min, fmax(marked ? point->low : point->y, 1e-3));
            y_max = fmax(y_max, marked ? point->high : point->y);
        }
    }
    sheet->x = plot->logX ? log_axis(x_min, x_max, 0.08) : linear_axis(x_max, false);
    sheet->y = plot->logY ? log_axis(round_number(y_min, false), round_number(y_max, true), 0)
                          : linear_axis(y_max, true);
}

/* ------------------------------------------------------------------ drawing */

/*  "500k", "1M" where it gets long; one axis keeps to one unit unless it is logarithmic. */
static void short_number(char* text, size_t size, double value, double largest) {
    const char* suffix = largest >= 1e6 ? "M" : largest >= 1e4 ? "k" : "";
    double unit = *suffix == 'M' ? 1e6 : *suffix == 'k' ? 1e3 : 1;
    suffix = value > 0 ? suffix : "";
    (void)snprintf(text, size, "%.4g%s", value / unit, suffix);
}

static void draw_tick(const Sheet* sheet, bool horizontal, double value) {
    char text[32];
    const Axis* axis = horizontal ? &sheet->x : &sheet->y;
    short_number(text, sizeof text, value, axis->log ? value : axis->to);
    if (horizontal) {
        double x = page_x(sheet, value);
        (void)fprintf(sheet->file,
                      "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n"
                      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                      x, TOP, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18, text);
    } else {
        double y = page_y(sheet, value);
        (void)fprintf(sheet->file,
                      "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n"
                      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                      LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, text);
    }
}

static void draw_ticks(const Sheet* sheet, bool horizontal) {
    const Axis* axis = horizontal ? &sheet->x : &sheet->y;
    if (!axis->log) {
        for (double value = axis->from; value <= axis->to + axis->step * 1e-6;
             value += axis->step) {
            draw_tick(sheet, horizontal, value);
        }
        return;
    }
    for (double power = floor(axis->from); power <= axis->to; power++) {
        static const double leads[] = {1, 2, 5};
        for (size_t i = 0; i < (horizontal ? 1 : 3); i++) {
            double at = power + log10(leads[i]);
            if (at >= axis->from - 1e-9 && at <= axis->to + 1e-9) {
                draw_tick(sheet, horizontal, leads[i] * pow(10, power));
            }
        }
    }
}

static void draw_path(const Sheet* sheet, const PlotSeries* series, const char* colour) {
    FILE* file = sheet->file;
    bool area = series->style == PLOT_AREA;
    (void)fputs("<path d=\"", file);
    for (size_t p = 0; p < series->count; p++) {
        const PlotPoint* point = &series->points[p];
        (void)fprintf(file, "%s%.1f %.1f", p == 0 ? "M" : "L", page_x(sheet, point->x),
                      page_y(sheet, point->y));
    }
    if (area) {
        (void)fprintf(file, "L%.1f %.1fL%.1f %.1fZ",
                      page_x(sheet, series->points[series->count - 1].x), page_y(sheet, 0),
                      page_x(sheet, series->points[0].x), page_y(sheet, 0));
    }
    (void)fprintf(file,
                  "\" fill=\"%s\" stroke=\"%s\" stroke-width=\"%s\" stroke-linejoin=\"round\"/>\n",
                  area ? colour : "none", area ? "none" : colour,
                  series->style == PLOT_MARKED ? "2.2" : "1.6");
}

static void draw_marks(const Sheet* sheet, const PlotSeries* series, const char* colour) {
    for (size_t p = 0; p < series->count; p++) {
        const PlotPoint* point = &series->points[p];
        double x = page_x(sheet, point->x);
        (void)fprintf(sheet->file,
                      "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n"
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n",
                      x, page_y(sheet, fmax(point->low, 1e-3)), x, page_y(sheet, point->high),
                      colour, x, page_y(sheet, point->y), colour);
    }
}

static void draw_legend(const Sheet* sheet, const PlotSeries* series, const char* colour,
                        double* x) {
    bool area = series->style == PLOT_AREA;
    (void)fprintf(sheet->file,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"18\" height=\"%d\" fill=\"%s\"/>\n"
                  "<text x=\"%.1f\" y=\"%.1f\" class=\"name\">%s</text>\n",
                  *x, area ? 66.0 : 70.0, area ? 11 : 3, colour, *x + 24, 76.0, series->name);
    *x += 24 + 7.6 * (double)strlen(series->name) + 22;
}

static void draw_series(const Sheet* sheet, const Plot* plot) {
    double legend_x = LEFT;
    size_t line = 0;
    for (size_t s = 0; s < plot->count; s++) {
        const PlotSeries* series = &plot->series[s];
        const size_t colours = sizeof line_colours / sizeof *line_colours;
        const char* colour =
            series->style == PLOT_AREA ? AREA_COLOUR : line_colours[line++ % colours];
        if (series->count > 0) {
            draw_path(sheet, series, colour);
            draw_legend(sheet, series, colour, &legend_x);
        }
        if (series->style == PLOT_MARKED) {
            draw_marks(sheet, series, colour);
        }
    }
}

static void draw(const Sheet* sheet, const Plot* plot) {
    FILE* file = sheet->file;
    (void)fprintf(file,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                  "viewBox=\"0 0 %.0f %.0f\">\n"
                  "<style>text{font:12px sans-serif;fill:#3b4250}.title{font-size:18px;"
                  "font-weight:bold;fill:#1f2430}.name{font-size:13px;fill:#1f2430}"
                  ".grid{stroke:#e3e6eb;stroke-width:1}</style>\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
                  "<text x=\"%.1f\" y=\"30\" class=\"title\">%s</text>\n"
                  "<text x=\"%.1f\" y=\"50\">%s</text>\n",
                  WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, plot->title, LEFT, plot->subtitle);
    draw_ticks(sheet, true);
    draw_ticks(sheet, false);
    draw_series(sheet, plot);
    (void)fprintf(file,
                  "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#6b7280\"/>\n"
                  "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n"
                  "<text transform=\"translate(20 %.1f) rotate(-90)\" "
                  "text-anchor=\"middle\">%s</text>\n"
                  "</svg>\n",
                  LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2,
                  HEIGHT - 16, plot->xLabel, (TOP + HEIGHT - BOTTOM) / 2, plot->yLabel);
}

void plot_write(Plot* plot, const char* file_name) {
    char path[1024];
    Sheet sheet;
    if (settings.plotsPath != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", settings.plotsPath, file_name);
        sheet.file = fopen(path, "w");
        if (sheet.file == NULL) {
            die("cannot write '%s'", path);
        }
        measure(plot, &sheet);
        draw(&sheet, plot);
        bool failed = ferror(sheet.file) != 0;
        if (fclose(sheet.file) != 0 || failed) {
            die("cannot write '%s'", path);
        }
    }
    for (size_t s = 0; s < plot->count; s++) {
        free(plot->series[s].points);
    }
    plot->count = 0;
}

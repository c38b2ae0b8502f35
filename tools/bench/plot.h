/*
    plot.h - lines over one axis, as an SVG file that a browser shows and a page can embed.
*/
#ifndef PLOT_H
#define PLOT_H

#include "bench.h"

#define MAX_SERIES 8

typedef enum PlotStyle {
    PLOT_LINE,
    PLOT_MARKED, /* a line with a mark and a bar from low to high at each point */
    PLOT_AREA
} PlotStyle;

typedef struct PlotPoint {
    double x, y;
    double low, high; /* of PLOT_MARKED */
} PlotPoint;

typedef struct PlotSeries {
    const char* name;
    PlotStyle style;
    PlotPoint* points;
    size_t count;
} PlotSeries;

typedef struct Plot {
    const char* title;
    const char* subtitle;
    const char* xLabel;
    const char* yLabel;
    bool logX, logY;
    PlotSeries series[MAX_SERIES];
    size_t count;
} Plot;

/*  A series of at most so many points; plot_write frees them all. */
PlotSeries* plot_series(Plot* plot, const char* name, PlotStyle style, size_t capacity);
void plot_point(PlotSeries* series, double x, double y, double low, double high);

/*  Into the folder of settings.plotsPath, nothing where there is none. */
void plot_write(Plot* plot, const char* file_name);

#endif /* PLOT_H */

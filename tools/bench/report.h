/*
    report.h - figures for people and for programs: rows are JSON objects, and a table prints the
    keys of them that it has columns for.
*/
#ifndef REPORT_H
#define REPORT_H

#include "bench.h"

#include <cjson/cJSON.h>

typedef struct Column {
    const char* key;
    const char* heading;
    const char* format; /* of numbers and medians; NULL = text */
} Column;

typedef struct Table {
    const char* key; /* in JSON */
    const char* title;
    const char* note; /* what the figures mean; optional */
    const Column* columns;
    size_t columnCount;
    cJSON* rows;
    cJSON* row; /* the last one */
} Table;

#define TABLE(key, title, note, columns)                                                           \
    table_begin(key, title, note, columns, sizeof(columns) / sizeof *(columns))

/*  Rows go into the JSON at once; table_print may come when the next table has been begun. */
Table table_begin(const char* key, const char* title, const char* note, const Column* columns,
                  size_t columnCount);
void table_row(Table* table);
void table_text(Table* table, const char* key, const char* value);
void table_number(Table* table, const char* key, double value); /* NaN: left out */
void table_spread(Table* table, const char* key, Spread spread);
void table_percentiles(Table* table, const char* key, Percentiles percentiles);
void table_print(const Table* table);

/*  The whole report; a table's rows stand under "sequences", by its key. */
void report_begin(void);
void report_write(const char* path); /* dies when it cannot */
void report_free(void);
cJSON* report_root(void);

#endif /* REPORT_H */

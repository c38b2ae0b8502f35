/*
    report.c - see report.h.
*/
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 16
#define CELL_SIZE   64

static cJSON* root;

static void* or_die(void* item) {
    if (item == NULL) {
        die("no memory for the report");
    }
    return item;
}

/* ------------------------------------------------------------------ rows */

Table table_begin(const char* key, const char* title, const char* note, const Column* columns,
                  size_t columnCount) {
    Table table = {key, title, note, columns, columnCount, NULL, NULL};
    if (columnCount > MAX_COLUMNS) {
        die("table '%s' has too many columns", key);
    }
    cJSON* sequences = cJSON_GetObjectItemCaseSensitive(root, "sequences");
    table.rows = or_die(cJSON_AddArrayToObject(sequences, key));
    return table;
}

void table_row(Table* table) {
    table->row = or_die(cJSON_CreateObject());
    (void)cJSON_AddItemToArray(table->rows, table->row);
}

void table_text(Table* table, const char* key, const char* value) {
    (void)or_die(cJSON_AddStringToObject(table->row, key, value));
}

/*  Six digits say more than any clock here knows, and whole numbers stay whole. */
static void add_number(cJSON* object, const char* key, double value) {
    char text[32];
    if (isnan(value)) {
        return;
    }
    (void)snprintf(text, sizeof text, fabs(value - floor(value)) > 0 ? "%.6g" : "%.0f", value);
    (void)or_die(cJSON_AddRawToObject(object, key, text));
}

void table_number(Table* table, const char* key, double value) {
    add_number(table->row, key, value);
}

void table_spread(Table* table, const char* key, Spread spread) {
    cJSON* object = or_die(cJSON_AddObjectToObject(table->row, key));
    add_number(object, "median", spread.median);
    add_number(object, "min", spread.min);
    add_number(object, "q1", spread.q1);
    add_number(object, "q3", spread.q3);
    add_number(object, "max", spread.max);
}

void table_percentiles(Table* table, const char* key, Percentiles percentiles) {
    cJSON* object = or_die(cJSON_AddObjectToObject(table->row, key));
    add_number(object, "p50", percentiles.p50);
    add_number(object, "p99", percentiles.p99);
    add_number(object, "p999", percentiles.p999);
    add_number(object, "max", percentiles.max);
}

/* ------------------------------------------------------------------ printing */

typedef struct Cells {
    char text[MAX_COLUMNS][CELL_SIZE];
} Cells;

static double value_of(const cJSON* item) {
    return cJSON_IsRaw(item) ? strtod(item->valuestring, NULL) : NAN;
}

/*  The formats come from the tables of columns, where each stands beside its key. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#endif
static void number_text(char* text, size_t size, const char* format, double value) {
    (void)snprintf(text, size, format, value);
}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static void spread_text(char* text, const char* format, const cJSON* spread) {
    char parts[3][20];
    static const char* const keys[] = {"median", "min", "max"};
    for (size_t i = 0; i < 3; i++) {
        const cJSON* item = cJSON_GetObjectItemCaseSensitive(spread, keys[i]);
        number_text(parts[i], sizeof parts[i], format, value_of(item));
    }
    (void)snprintf(text, CELL_SIZE, "%s (%s..%s)", parts[0], parts[1], parts[2]);
}

/*  "allocate.p99" is the member of an object. */
static const cJSON* find(const cJSON* row, const char* key) {
    char outer[CELL_SIZE];
    const char* dot = strchr(key, '.');
    if (dot == NULL) {
        return cJSON_GetObjectItemCaseSensitive(row, key);
    }
    (void)snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(row, outer), dot + 1);
}

static void cell_text(char* text, const Column* column, const cJSON* row) {
    const cJSON* item = find(row, column->key);
    if (item == NULL) {
        (void)snprintf(text, CELL_SIZE, "-");
    } else if (cJSON_IsString(item)) {
        (void)snprintf(text, CELL_SIZE, "%s", item->valuestring);
    } else if (column->format == NULL) {
        die("a number in the column of texts '%s'", column->key);
    } else if (cJSON_IsObject(item)) {
        spread_text(text, column->format, item);
    } else {
        number_text(text, CELL_SIZE, column->format, value_of(item));
    }
}

static void print_cells(const Table* table, const Cells* cells, const size_t* widths) {
    for (size_t c = 0; c < table->columnCount; c++) {
        bool left = table->columns[c].format == NULL;
        (void)printf("%s%*s", c > 0 ? "  " : "  ", left ? -(int)widths[c] : (int)widths[c],
                     cells->text[c]);
    }
    (void)putchar('\n');
}

void table_print(const Table* table) {
    size_t rowCount = (size_t)cJSON_GetArraySize(table->rows);
    Cells* cells = allocate_or_die(rowCount + 1, sizeof *cells);
    size_t widths[MAX_COLUMNS] = {0};
    size_t r = 1;
    const cJSON* row;
    for (size_t c = 0; c < table->columnCount; c++) {
        (void)snprintf(cells[0].text[c], CELL_SIZE, "%s", table->columns[c].heading);
    }
    cJSON_ArrayForEach(row, table->rows) {
        for (size_t c = 0; c < table->columnCount; c++) {
            cell_text(cells[r].text[c], &table->columns[c], row);
        }
        r++;
    }
    for (r = 0; r <= rowCount; r++) {
        for (size_t c = 0; c < table->columnCount; c++) {
            size_t length = strlen(cells[r].text[c]);
            widths[c] = length > widths[c] ? length : widths[c];
        }
    }
    progress_end();
    (void)printf("\n%s: %s\n", table->key, table->title);
    if (table->note != NULL) {
        (void)printf("%s\n", table->note);
    }
    for (r = 0; r <= rowCount; r++) {
        print_cells(table, &cells[r], widths);
    }
    (void)fflush(stdout);
    free(cells);
}

/* ------------------------------------------------------------------ the whole */

void report_begin(void) {
    root = or_die(cJSON_CreateObject());
    (void)or_die(cJSON_AddObjectToObject(root, "sequences"));
}

cJSON* report_root(void) {
    return root;
}

void report_write(const char* path) {
    char* text = or_die(cJSON_Print(root));
    FILE* file = fopen(path, "w");
    bool written = file != NULL && fputs(text, file) >= 0 && fputc('\n', file) != EOF;
    if (file == NULL || fclose(file) != 0 || !written) {
        die("cannot write '%s'", path);
    }
    cJSON_free(text);
}

void report_free(void) {
    cJSON_Delete(root);
    root = NULL;
}

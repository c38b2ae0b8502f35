/*
    defrag.h - the parts of the sequence "defrag": programs that others play, and what is left of the
    waste after a defragmentation.
*/
#ifndef DEFRAG_H
#define DEFRAG_H

#include "report.h"
#include "subject.h"

#define DEFRAG_ALGORITHMS 4u
#define DEFRAG_EXTENSIVE  3u /* the last of them */

/*  Defragment, check, and add a row. */
void defrag_row(Table* table, const char* workload, Subject* subject, uint32_t algorithm);

void defrag_game(Table* table);   /* sequence_program.c */
void defrag_traces(Table* table); /* sequence_traces.c */

#endif /* DEFRAG_H */

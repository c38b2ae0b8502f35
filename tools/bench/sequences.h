/*
    sequences.h - every benchmark of the tool, one function each: it runs, checks itself, prints its
    tables and leaves its rows in the report.
*/
#ifndef SEQUENCES_H
#define SEQUENCES_H

void run_churn(void); /* sequence_churn.c */
void run_tight(void);
void run_virtual(void); /* sequence_virtual.c */
void run_fill(void);    /* sequence_order.c */
void run_holes(void);
void run_blocks(void);
void run_game(void); /* sequence_program.c */
void run_tiny(void);
void run_frames(void);
void run_linear(void); /* sequence_linear.c */
void run_kinds(void);  /* sequence_buffer.c */
void run_createbuffer(void);
void run_threads(void); /* sequence_threads.c */
void run_traces(void);  /* sequence_traces.c */
void run_host(void);    /* sequence_host.c */
void run_upload(void);  /* sequence_upload.c */
void run_defrag(void);  /* sequence_defrag.c */

#endif /* SEQUENCES_H */

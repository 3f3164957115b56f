/*
 * command.h: the parts of sysadm-iocage(8), the command beside the library.
 *
 *     main.c       from the command line to the exit code
 *     arguments.c  words of the command line become a request
 *     actions.c    the actions: their arguments, and what each does
 *     json.c       replies are read
 *     views.c      which columns the reply to an action has
 *     table.c      rows and columns
 *     layout.c     how they are printed, as wide as the terminal is
 *     show.c       what is printed of a reply that is no table
 *     jobs.c       waiting for jobs, and showing how far they are
 *     complete.c   what a word may become, for shells
 *     signals.c    what a signal ends, and how
 *     text.c       strings, and how many columns they take
 *
 * `make command` builds it. It needs the library and libc only.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef COMMAND_H
#define COMMAND_H

/* POSIX 2008 with its XSI part, which has wcwidth(). */
#define _XOPEN_SOURCE 700

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sysadm_iocage.h"

#define NAME "sysadm-iocage"

/* The exit codes. execjail gives that of its command. */
enum { WORKED = 0, FAILED = 1, USAGE = 2 };

/* text.c: a string that grows. Zero is an empty one; `bytes` is NULL or ends in NUL. */
struct text {
    char *bytes;
    size_t length, room;
};

void *memory(size_t count, size_t size);
char *copy(const char *string);
void add(struct text *text, const char *bytes, size_t length);
void add_string(struct text *text, const char *string);
void set(struct text *text, const char *string);
bool is_one_of(const char *word, const char *words);
const char *visible(const char *word);

enum keep { NOTHING, LINES };
void start_text(void);
char *harmless(const char *bytes, size_t length, enum keep keep);
size_t width_of(const char *string);
size_t fitting(const char *string, size_t columns, bool at_words);
void complain(const char *action, const char *format, ...);

/* Of an output: whether it is a terminal and this one's turn, its size, whether it moves its cursor and has colours. */
bool is_terminal(FILE *stream);
bool is_in_foreground(FILE *stream);
size_t terminal_columns(FILE *stream);
size_t terminal_lines(FILE *stream);
bool moves_cursor(void);
bool has_colours(FILE *stream);

/* json.c: a value, its name if it is a member, and what is in it and after it. */
enum json_kind { JSON_NULL, JSON_TRUE, JSON_FALSE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    char *key, *string;         /* of a number the digits; NULL for all but strings and numbers */
    size_t key_length, length;  /* a string may have a NUL in it */
    struct json *inside, *next;
};

struct json *json_read(const char *bytes);
void json_free(struct json *value);
const struct json *json_member(const struct json *object, const char *key);
const struct json *json_members(const struct json *object);
const char *json_string(const struct json *object, const char *key);
void json_quote(struct text *text, const char *string);

/* actions.c */
enum how { LOOKS, CHANGES, STARTS };

struct action {
    const char *name, *arguments, *does;
    enum how how;
};

const struct action *find_action(const char *name);
void print_help(void);
void print_usage(void);
void print_action_help(const struct action *action);
void print_actions(void);
void offer_actions(void (*offer)(const char *before, const char *name, const char *after, const char *about));

/* arguments.c */
struct options {
    bool json, read_only, as_table;
    const char *config;         /* a file; NULL for the usual one */
    const char *columns;        /* those to be shown; NULL for the usual ones */
    char *request;              /* JSON */
    char *action;               /* NULL if the request does not say it */
};

void read_arguments(struct options *options, int count, char **words);
char *read_stream(FILE *stream, size_t most);

/* table.c and layout.c: what a column is. */
enum {
    RIGHT = 1,                  /* numbers */
    SIZE = 2,                   /* bytes, which people read in K, M and G */
    STATE = 4,                  /* words that may have a colour */
    WRAP = 8,                   /* may be shown in several lines, between words */
    CUT = 16,                   /* may lose its end */
    FOR_PEOPLE = 32,            /* only on a terminal */
    FOR_PROGRAMS = 64           /* only elsewhere, or if it is asked for */
};

struct column {
    const char *key, *heading;
    int weight;                 /* which goes first if there is no room; 9 stays */
    int flags;
};

struct table {
    const struct column *columns;
    size_t count, rows, room;
    char **cells;               /* row after row; NULL for what the reply does not have */
    const char *what;           /* what the rows are, in the plural */
};

void table_row(struct table *table);
void table_set(struct table *table, const char *key, const char *string, size_t length);
void table_set_from(struct table *table, const struct json *object);
void table_sort(struct table *table, const char *key);
void table_print(const struct table *table, const struct options *options);
char **table_cell(const struct table *table, size_t row, size_t column);
size_t table_column(const struct column *columns, size_t count, const char *name, size_t length);
void table_free(struct table *table);
bool table_has(const struct column *columns, size_t count, const char *chosen);

/* views.c */
bool has_view(const char *action);
bool view_has_columns(const char *action, const char *chosen);
bool show_view(const char *action, const struct json *answer, const struct options *options);

/* show.c */
void print_wrapped(const char *string, size_t length, size_t at);
void print_reply(const char *reply);
int show(const char *action, const struct json *answer, const struct options *options);
bool is_error(const struct json *answer);

/* jobs.c */
void plain_output(struct text *lines, const char *output);
int wait_for_jobs(sysadm_iocage *instance, const char *action, const struct json *answer,
                  const struct options *options);

/* complete.c */
void complete(sysadm_iocage *(*open)(const char *config), int count, char **words);

/* signals.c */
void catch_signals(const char *action, enum how how);
int caught_signal(void);
bool was_continued(void);
const char *signal_name(int number);
void die_by(int number);
int end_output(int code);

#endif

/* table.c: rows and columns, as a reply has them. layout.c prints them. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

char **table_cell(const struct table *table, size_t row, size_t column)
{
    return &table->cells[row * table->count + column];
}

void table_row(struct table *table)
{
    if (table->rows == table->room) {
        size_t room = table->room * 2 + 16;
        char **cells = memory(room * table->count, sizeof *cells);

        if (table->rows > 0)
            memcpy(cells, table->cells, table->rows * table->count * sizeof *cells);
        free(table->cells);
        table->cells = cells;
        table->room = room;
    }
    table->rows++;
}

/* Sets a cell of the last row, if the table has such a column. */
void table_set(struct table *table, const char *key, const char *string, size_t length)
{
    for (size_t column = 0; column < table->count; column++) {
        if (strcmp(table->columns[column].key, key) == 0) {
            char **place = table_cell(table, table->rows - 1, column);

            free(*place);
            *place = harmless(length == 0 ? "-" : string, length == 0 ? 1 : length, NOTHING);
        }
    }
}

/* Sets a cell of the last row for each member of an object that is a string or an array of them. */
void table_set_from(struct table *table, const struct json *object)
{
    const struct json *member = object->kind == JSON_OBJECT ? object->inside : NULL;

    for (; member != NULL; member = member->next) {
        struct text list = {0};

        if (member->string != NULL)
            table_set(table, member->key, member->string, member->length);
        if (member->kind != JSON_ARRAY)
            continue;
        add(&list, "", 0);
        for (const struct json *item = member->inside; item != NULL; item = item->next) {
            if (list.length > 0)
                add_string(&list, ", ");
            if (item->string != NULL)
                add(&list, item->string, item->length);
        }
        table_set(table, member->key, list.bytes, list.length);
        free(list.bytes);
    }
}

static size_t sorted_by;

static int compare(const void *one, const void *other)
{
    const char *a = ((char *const *)one)[sorted_by], *b = ((char *const *)other)[sorted_by];

    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b);
}

void table_sort(struct table *table, const char *key)
{
    for (sorted_by = 0; sorted_by < table->count; sorted_by++) {
        if (strcmp(table->columns[sorted_by].key, key) == 0) {
            if (table->rows > 1)
                qsort(table->cells, table->rows, table->count * sizeof *table->cells, compare);
            return;
        }
    }
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->rows * table->count; i++)
        free(table->cells[i]);
    free(table->cells);
}

size_t table_column(const struct column *columns, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        const char *const names[] = {columns[i].key, columns[i].heading};

        for (size_t n = 0; n < 2; n++) {
            size_t at = 0;

            /* Headings are capitals. */
            while (at < length && (names[n][at] == name[at] || (n == 1 && names[n][at] >= 'A' &&
                   names[n][at] <= 'Z' && names[n][at] - 'A' + 'a' == name[at])))
                at++;
            if (at == length && names[n][at] == '\0')
                return i;
        }
    }
    return count;
}

/* Whether there are all columns of a list with commas. */
bool table_has(const struct column *columns, size_t count, const char *chosen)
{
    for (;; chosen++) {
        size_t length = strcspn(chosen, ",");

        if (length == 0 || table_column(columns, count, chosen, length) == count)
            return false;
        chosen += length;
        if (*chosen == '\0')
            return true;
    }
}

/*
 * layout.c: prints a table.
 *
 * On a terminal no line is wider than the terminal, and names, states and addresses are whole: columns
 * that say less go first, then long texts lose their ends, then cells take several lines. Elsewhere
 * each row is a line with all columns, and tabs between them.
 */
#include "command.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What a text that may be cut keeps, and what is between two columns. */
#define SHORTEST_CUT 16
#define GAP 2

/* What is shown: columns, and of each how wide it is. */
struct layout {
    size_t *columns, *widths, count;
    bool chosen, people, colours;
};

/* Bytes as zfs(8) prints them for people. */
static const char *for_people(const char *value, int flags, char *room, size_t size)
{
    static const char units[] = "BKMGTPE";
    char *end;
    unsigned long long bytes = strtoull(value, &end, 10);
    double number = (double)bytes;
    int unit = 0;

    if (!(flags & SIZE) || *value < '0' || *value > '9' || *end != '\0')
        return value;
    while (number >= 1024 && units[unit + 1] != '\0') {
        number /= 1024;
        unit++;
    }
    snprintf(room, size, "%.*f%c", unit == 0 || number >= 100 ? 0 : number >= 10 ? 1 : 2, number, units[unit]);
    return room;
}

/* A cell as it is shown. */
static const char *shown(const struct table *table, const struct layout *layout, size_t row, size_t column,
                         char *room, size_t size)
{
    const char *value = *table_cell(table, row, column);

    if (value == NULL)
        return "-";
    return layout->people ? for_people(value, table->columns[column].flags, room, size) : value;
}

static size_t longest_word(const char *string)
{
    size_t longest = 0;

    while (*string != '\0') {
        size_t length = strcspn(string, " ,");
        char *word;

        length += string[length] == ',';
        word = memory(length + 1, 1);
        memcpy(word, string, length);
        longest = width_of(word) > longest ? width_of(word) : longest;
        free(word);
        string += length;
        string += strspn(string, " ");
    }
    return longest;
}

/* The width of a column: as it is, and the least with which nothing of worth is lost. */
static void measure(const struct table *table, const struct layout *layout, size_t column, size_t *natural, size_t *least)
{
    const struct column *kind = &table->columns[column];
    size_t words = 0;
    char room[32];

    *natural = width_of(kind->heading);
    for (size_t row = 0; row < table->rows; row++) {
        const char *value = shown(table, layout, row, column, room, sizeof room);
        size_t width = width_of(value), word = kind->flags & WRAP ? longest_word(value) : 0;

        *natural = width > *natural ? width : *natural;
        words = word > words ? word : words;
    }
    *least = kind->flags & CUT && *natural > SHORTEST_CUT ? SHORTEST_CUT : *natural;
    if (kind->flags & WRAP && words < *least)
        *least = words > width_of(kind->heading) ? words : width_of(kind->heading);
}

static size_t total(const size_t *widths, size_t count)
{
    size_t all = count > 0 ? GAP * (count - 1) : 0;

    for (size_t i = 0; i < count; i++)
        all += widths[i];
    return all;
}

static bool says_nothing(const struct table *table, size_t column)
{
    for (size_t row = 0; row < table->rows; row++) {
        const char *value = *table_cell(table, row, column);

        if (value != NULL && strcmp(value, "-") != 0)
            return false;
    }
    return true;
}

static void drop(struct layout *layout, size_t *naturals, size_t at)
{
    size_t after = --layout->count - at;

    memmove(layout->columns + at, layout->columns + at + 1, after * sizeof *layout->columns);
    memmove(layout->widths + at, layout->widths + at + 1, after * sizeof *layout->widths);
    memmove(naturals + at, naturals + at + 1, after * sizeof *naturals);
}

/* Takes away the least of the columns that may go; false if there is none. */
static bool drop_one(const struct table *table, struct layout *layout, size_t *naturals)
{
    size_t least = layout->count;
    int weight = 9;

    for (size_t i = 0; i < layout->count; i++) {
        const struct column *column = &table->columns[layout->columns[i]];
        int own = column->weight - (column->weight < 9 && says_nothing(table, layout->columns[i]) ? 10 : 0);

        if (own < weight) {
            weight = own;
            least = i;
        }
    }
    if (layout->chosen || least == layout->count)
        return false;
    drop(layout, naturals, least);
    return true;
}

/* Makes a layout fit into so many columns. */
static void fit(const struct table *table, struct layout *layout, size_t columns)
{
    size_t *naturals = memory(layout->count, sizeof *naturals);

    for (size_t i = 0; i < layout->count; i++)
        measure(table, layout, layout->columns[i], &naturals[i], &layout->widths[i]);
    while (total(layout->widths, layout->count) > columns && drop_one(table, layout, naturals))
        continue;
    /* Whoever can use what is left gets it, the narrowest first. */
    while (total(layout->widths, layout->count) < columns) {
        size_t best = layout->count;

        for (size_t i = 0; i < layout->count; i++) {
            if (layout->widths[i] < naturals[i] && (best == layout->count || layout->widths[i] < layout->widths[best]))
                best = i;
        }
        if (best == layout->count)
            break;
        layout->widths[best]++;
    }
    /* A very narrow terminal: words are broken, and at last columns go. */
    while (total(layout->widths, layout->count) > columns) {
        size_t widest = 0;

        for (size_t i = 1; i < layout->count; i++)
            widest = layout->widths[i] > layout->widths[widest] ? i : widest;
        if (layout->widths[widest] > 2)
            layout->widths[widest]--;
        else if (layout->count > 1)
            drop(layout, naturals, layout->count - 1);
        else
            break;
    }
    free(naturals);
}

static const char *colour_of(const char *value, int flags)
{
    static const char *const good[] = {"up", "done", "right"};
    static const char *const bad[] = {"CORRUPT", "unmounted", "failed", "wrong", "missing"};

    for (size_t i = 0; flags & STATE && i < sizeof good / sizeof good[0]; i++) {
        if (strcmp(value, good[i]) == 0)
            return "\033[32m";
    }
    for (size_t i = 0; flags & STATE && i < sizeof bad / sizeof bad[0]; i++) {
        if (strcmp(value, bad[i]) == 0)
            return "\033[31m";
    }
    return NULL;
}

/* Prints a cell's next line, padded unless it is the last cell; returns what is left of it. */
static const char *print_part(const char *value, size_t width, int flags, const char *colour, bool last)
{
    bool cut = flags & CUT && width_of(value) > width;
    size_t taken = fitting(value, cut && width > 1 ? width - 1 : width, !cut), used = taken;
    char *part = memory(taken + 4, 1);

    memcpy(part, value, taken);
    while (used > 0 && part[used - 1] == ' ')
        part[--used] = '\0';
    if (cut)
        strcat(part, "\342\200\246"); /* three dots in one column */
    used = width_of(part);
    if (flags & RIGHT)
        printf("%*s", (int)(used < width ? width - used : 0), "");
    printf("%s%s%s", colour == NULL ? "" : colour, part, colour == NULL ? "" : "\033[m");
    if (!(flags & RIGHT) && !last)
        printf("%*s", (int)(used < width ? width - used : 0), "");
    if (!last)
        printf("%*s", GAP, "");
    free(part);
    return cut ? "" : value + taken;
}

/* Prints a row of cells in as many lines as they take. */
static void print_cells(const struct table *table, const struct layout *layout, const char **values, const char *colour)
{
    bool more;

    do {
        size_t last = 0;

        more = false;
        for (size_t i = 0; i < layout->count; i++)
            last = *values[i] != '\0' ? i : last;
        for (size_t i = 0; i <= last; i++) {
            int flags = table->columns[layout->columns[i]].flags;
            const char *own = colour != NULL ? colour : layout->colours ? colour_of(values[i], flags) : NULL;

            values[i] = print_part(values[i], layout->widths[i], flags, *values[i] == '\0' ? NULL : own,
                                   i == last);
            more = more || *values[i] != '\0';
        }
        putchar('\n');
    } while (more);
}

/* Whether every row is of the same jail, which need not be told in each. */
static bool is_of_one(const struct table *table)
{
    for (size_t row = 1; row < table->rows; row++) {
        const char *one = *table_cell(table, 0, 0), *other = *table_cell(table, row, 0);

        if (one == NULL || other == NULL || strcmp(one, other) != 0)
            return false;
    }
    return table->rows > 1 && strcmp(table->columns[0].key, "jail") == 0;
}

/* How many columns may be shown at once: all of the table, or those that are chosen, each as often as it is. */
static size_t most_columns(const struct table *table, const char *chosen)
{
    size_t count = 1;

    for (; chosen != NULL && *chosen != '\0'; chosen++)
        count += *chosen == ',';
    return count > table->count ? count : table->count;
}

static void choose(const struct table *table, struct layout *layout, const char *chosen)
{
    size_t length;

    layout->chosen = chosen != NULL;
    if (chosen == NULL) {
        for (size_t i = layout->people && is_of_one(table) ? 1 : 0; i < table->count; i++) {
            bool absent = layout->people && says_nothing(table, i) && table->columns[i].weight == 0;

            if (!absent && !(table->columns[i].flags & (layout->people ? FOR_PROGRAMS : FOR_PEOPLE)))
                layout->columns[layout->count++] = i;
        }
        return;
    }
    for (;; chosen += length + 1) {
        length = strcspn(chosen, ",");
        layout->columns[layout->count++] = table_column(table->columns, table->count, chosen, length);
        if (chosen[length] == '\0')
            return;
    }
}

void table_print(const struct table *table, const struct options *options)
{
    struct layout layout = {0};
    size_t most = most_columns(table, options->columns), columns = terminal_columns(stdout);
    const char **values = memory(most, sizeof *values);
    char (*rooms)[32] = memory(most, sizeof *rooms);

    layout.people = options->as_table || is_terminal(stdout);
    layout.colours = has_colours(stdout);
    layout.columns = memory(most, sizeof *layout.columns);
    layout.widths = memory(most, sizeof *layout.widths);
    choose(table, &layout, options->columns);
    if (layout.people && table->rows == 0) {
        printf("There are no %s.\n", table->what);
    } else if (layout.people) {
        fit(table, &layout, columns == 0 ? SIZE_MAX / 2 : columns);
        for (size_t i = 0; i < layout.count; i++)
            values[i] = table->columns[layout.columns[i]].heading;
        print_cells(table, &layout, values, layout.colours ? "\033[1m" : NULL);
    }
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < layout.count; i++)
            values[i] = shown(table, &layout, row, layout.columns[i], rooms[i], sizeof rooms[i]);
        if (layout.people) {
            print_cells(table, &layout, values, NULL);
            continue;
        }
        for (size_t i = 0; i < layout.count; i++)
            printf("%s%c", values[i], i + 1 < layout.count ? '\t' : '\n');
    }
    free(rooms);
    free(values);
    free(layout.columns);
    free(layout.widths);
}

/* text.c: strings that grow, what of them may reach a terminal, and how many columns they take. */
#include "command.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

void *memory(size_t count, size_t size)
{
    void *got = count == 0 || size <= SIZE_MAX / count ? calloc(count + 1, size) : NULL;

    if (got == NULL) {
        fputs(NAME ": there is no memory left\n", stderr);
        exit(FAILED);
    }
    return got;
}

char *copy(const char *string)
{
    size_t length = strlen(string);
    char *copied = memory(length + 1, 1);

    memcpy(copied, string, length);
    return copied;
}

void add(struct text *text, const char *bytes, size_t length)
{
    if (text->bytes == NULL || length >= text->room - text->length) {
        size_t room = (text->length + length + 32) * 2;
        char *larger = memory(room, 1);

        if (text->length > 0)
            memcpy(larger, text->bytes, text->length);
        free(text->bytes);
        text->bytes = larger;
        text->room = room;
    }
    if (length > 0)
        memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void add_string(struct text *text, const char *string)
{
    add(text, string, strlen(string));
}

/* Whether this is one of words with spaces between them. */
bool is_one_of(const char *word, const char *words)
{
    size_t length = strlen(word);

    for (const char *at = words; length > 0 && (at = strstr(at, word)) != NULL; at++) {
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* A word as people see it, an empty one too. */
const char *visible(const char *word)
{
    return *word == '\0' ? "\"\"" : word;
}

/* Makes a text the same as this string. */
void set(struct text *text, const char *string)
{
    text->length = 0;
    add_string(text, string);
}

/*
 * Replies are UTF-8, whatever root's locale is: often it is C, in which mbrtowc() and wcwidth() know
 * ASCII alone. Without any such locale all else is shown by its number.
 */
void start_text(void)
{
    static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8", ""};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (setlocale(LC_CTYPE, names[i]) != NULL && MB_CUR_MAX > 1)
            return;
    }
}

/* Reads a character; 0 bytes are not one. */
static size_t character(const char *bytes, size_t length, wchar_t *found)
{
    mbstate_t state;
    size_t size;

    memset(&state, 0, sizeof state);
    size = mbrtowc(found, bytes, length, &state);
    return size == (size_t)-1 || size == (size_t)-2 ? 0 : size == 0 ? 1 : size;
}

/* The same, of a string. It looks no further than a character goes, for the string may be long. */
static size_t first_character(const char *string, wchar_t *found)
{
    return character(string, strnlen(string, MB_LEN_MAX), found);
}

/*
 * What turns the direction of a line around, joins, or is seen nowhere: a name could hide behind it.
 * These are Unicode's "default ignorable" characters (DerivedCoreProperties.txt), line and paragraph
 * separators, marks of annotations, and the braille pattern without a dot.
 */
static bool deceives(wchar_t c)
{
    static const struct {
        wchar_t first, last;
    } ranges[] = {
        {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x061c, 0x061c}, {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f},
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x2800, 0x2800}, {0x3164, 0x3164}, {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
        {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

/*
 * A text that a jail may have set, without what a terminal would obey: that is shown by its number, as
 * in JSON, so JSON keeps its meaning. LINES keeps the ends of lines and tabs.
 */
char *harmless(const char *bytes, size_t length, enum keep keep)
{
    struct text text = {0};

    add(&text, "", 0);
    for (size_t at = 0; at < length;) {
        wchar_t c = 0;
        size_t size = character(bytes + at, length - at, &c);
        unsigned long number = (unsigned long)c;
        char shown[16] = "";

        if (size == 0) {
            snprintf(shown, sizeof shown, "\\x%02x", (unsigned char)bytes[at]);
            size = 1;
        } else if (c == '\n' || c == '\t') {
            if (keep != LINES)
                snprintf(shown, sizeof shown, "\\%c", c == '\n' ? 'n' : 't');
        } else if (iswprint((wint_t)c) && !deceives(c)) {
            /* as it is */
        } else if (number > 0xffff) {
            snprintf(shown, sizeof shown, "\\u%04lx\\u%04lx", (0xd800 + ((number - 0x10000) >> 10)) & 0xffff,
                     0xdc00 + (number & 0x3ff));
        } else {
            snprintf(shown, sizeof shown, "\\u%04lx", number & 0xffff);
        }
        if (*shown == '\0')
            add(&text, bytes + at, size);
        else
            add_string(&text, shown);
        at += size;
    }
    return text.bytes;
}

static size_t columns_of(wchar_t c)
{
    int columns = wcwidth(c);

    return columns < 0 ? 1 : (size_t)columns;
}

/* How many columns a text takes that is harmless. */
size_t width_of(const char *string)
{
    size_t columns = 0;

    while (*string != '\0') {
        wchar_t c = 0;
        size_t size = first_character(string, &c);

        columns += size == 0 ? 1 : columns_of(c);
        string += size == 0 ? 1 : size;
    }
    return columns;
}

/*
 * How many bytes of a text fit into so many columns, at least one character. With `at_words` no word
 * is broken, if that can be; the space behind the last one counts, and its columns do not.
 */
size_t fitting(const char *string, size_t columns, bool at_words)
{
    size_t used = 0, at = 0, word = 0;

    while (string[at] != '\0') {
        wchar_t c = 0;
        size_t size = first_character(string + at, &c);
        size_t wide = size == 0 ? 1 : columns_of(c);

        size = size == 0 ? 1 : size;
        if (string[at] == ' ' && at > 0 && used <= columns)
            word = at + 1;
        if (at > 0 && used + wide > columns)
            return at_words && word > 0 ? word : at;
        if (string[at] == ',' && used + wide <= columns)
            word = at + 1;
        used += wide;
        at += size;
    }
    return at;
}

/* Says on standard error what is wrong. */
void complain(const char *action, const char *format, ...)
{
    char first[512], *all, *shown;
    va_list values;
    int length;

    va_start(values, format);
    length = vsnprintf(first, sizeof first, format, values);
    va_end(values);
    if (length < 0)
        return;
    all = memory((size_t)length + 1, 1);
    va_start(values, format);
    vsnprintf(all, (size_t)length + 1, format, values);
    va_end(values);
    shown = harmless(all, strlen(all), NOTHING);
    if (action != NULL) {
        char *whose = harmless(action, strlen(action), NOTHING);
        fprintf(stderr, NAME ": %s: %s\n", whose, shown);
        free(whose);
    } else {
        fprintf(stderr, NAME ": %s\n", shown);
    }
    free(shown);
    free(all);
}

bool is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

/* Whether the shell of this terminal has it wait for this program. */
bool is_in_foreground(FILE *stream)
{
    pid_t group = tcgetpgrp(fileno(stream));

    return group == getpgrp() || group == -1; /* -1: another session's terminal */
}

/* Whether the terminal knows more than the ends of lines. */
bool moves_cursor(void)
{
    const char *kind = getenv("TERM");

    return kind != NULL && *kind != '\0' && strcmp(kind, "dumb") != 0;
}

bool has_colours(FILE *stream)
{
    const char *no = getenv("NO_COLOR");

    return is_terminal(stream) && (no == NULL || *no == '\0') && moves_cursor();
}

static size_t from_environment(const char *name)
{
    const char *value = getenv(name);
    long number = value == NULL ? 0 : strtol(value, NULL, 10);

    return number > 0 && number < 10000 ? (size_t)number : 0;
}

/* As POSIX has it: what COLUMNS says, else what the terminal says; 0 for an output without an end. */
size_t terminal_columns(FILE *stream)
{
    struct winsize size;
    size_t said = from_environment("COLUMNS");

    if (said > 0)
        return said;
    if (!is_terminal(stream))
        return 0;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

size_t terminal_lines(FILE *stream)
{
    struct winsize size;
    size_t said = from_environment("LINES");

    if (said > 0)
        return said;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/*
 * json.c: reads JSON.
 *
 * A reader of its own, and not a library: what it reads is the library's own replies, and so the
 * command needs nothing but libc. A program with more to do with JSON takes a JSON library, as
 * examples/table.c does. The library may be another version, so nothing is taken for granted: what is
 * no JSON, or is nested too deep, is NULL.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

/* Replies are nested eight deep. Reading and freeing go as deep on the stack. */
#define DEEPEST 64

struct reader {
    const char *at;
    unsigned depth;
};

static struct json *read_value(struct reader *reader);

static void skip_space(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

/* Four digits of base 16; -1 if they are none. */
static long read_unit(const char *at)
{
    long unit = 0;

    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = at[i] == '\0' ? NULL : strchr(digits, at[i]);

        if (digit == NULL)
            return -1;
        unit = unit * 16 + (digit - digits) % 16;
    }
    return unit;
}

static void add_character(struct text *text, unsigned long c)
{
    char bytes[4];
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(size == 1 ? c : (0xf00UL >> size & 0xff) | c);
    add(text, bytes, size);
}

/* What is behind a backslash. */
static bool read_escape(struct reader *reader, struct text *text)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *plain = *reader->at == '\0' ? NULL : strchr(from, *reader->at);
    long unit, low;

    if (plain != NULL) {
        add(text, &to[plain - from], 1);
        reader->at++;
        return true;
    }
    if (*reader->at != 'u' || (unit = read_unit(reader->at + 1)) < 0)
        return false;
    reader->at += 5;
    if (unit >= 0xd800 && unit < 0xdc00 && reader->at[0] == '\\' && reader->at[1] == 'u' &&
        (low = read_unit(reader->at + 2)) >= 0xdc00 && low < 0xe000) {
        reader->at += 6;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    } else if (unit >= 0xd800 && unit < 0xe000) {
        unit = 0xfffd; /* half of a character */
    }
    add_character(text, (unsigned long)unit);
    return true;
}

static bool read_string(struct reader *reader, char **string, size_t *length)
{
    struct text text = {0};

    if (*reader->at != '"')
        return false;
    reader->at++;
    add(&text, "", 0);
    while (*reader->at != '"') {
        if ((unsigned char)*reader->at < 0x20)
            goto wrong;
        if (*reader->at == '\\') {
            reader->at++;
            if (!read_escape(reader, &text))
                goto wrong;
        } else {
            size_t plain = strcspn(reader->at, "\"\\\n\r\t");

            if (plain == 0)
                goto wrong;
            add(&text, reader->at, plain);
            reader->at += plain;
        }
    }
    reader->at++;
    *string = text.bytes;
    *length = text.length;
    return true;
wrong:
    free(text.bytes);
    return false;
}

static bool read_digits(struct reader *reader)
{
    size_t digits = strspn(reader->at, "0123456789");

    reader->at += digits;
    return digits > 0;
}

static bool read_number(struct reader *reader, struct json *value)
{
    const char *start = reader->at;
    struct text text = {0};

    reader->at += *reader->at == '-';
    if (*reader->at == '0')
        reader->at++;
    else if (!read_digits(reader))
        return false;
    if (*reader->at == '.' && (reader->at++, !read_digits(reader)))
        return false;
    if (*reader->at == 'e' || *reader->at == 'E') {
        reader->at++;
        reader->at += *reader->at == '-' || *reader->at == '+';
        if (!read_digits(reader))
            return false;
    }
    add(&text, start, (size_t)(reader->at - start));
    value->kind = JSON_NUMBER;
    value->string = text.bytes;
    value->length = text.length;
    return true;
}

static bool read_word(struct reader *reader, struct json *value)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i].word);

        if (strncmp(reader->at, words[i].word, length) == 0) {
            reader->at += length;
            value->kind = words[i].kind;
            return true;
        }
    }
    return false;
}

/* The members of an object, or the values of an array, up to their closing bracket. */
static bool read_members(struct reader *reader, struct json *value)
{
    bool is_object = *reader->at == '{';
    char close = is_object ? '}' : ']';
    struct json **end = &value->inside;

    value->kind = is_object ? JSON_OBJECT : JSON_ARRAY;
    reader->at++;
    skip_space(reader);
    if (*reader->at == close) {
        reader->at++;
        return true;
    }
    for (;;) {
        char *key = NULL;
        size_t key_length = 0;

        skip_space(reader);
        if (is_object) {
            if (!read_string(reader, &key, &key_length))
                return false;
            skip_space(reader);
            if (*reader->at != ':') {
                free(key);
                return false;
            }
            reader->at++;
        }
        *end = read_value(reader);
        if (*end == NULL) {
            free(key);
            return false;
        }
        (*end)->key = key;
        (*end)->key_length = key_length;
        end = &(*end)->next;
        skip_space(reader);
        if (*reader->at == close) {
            reader->at++;
            return true;
        }
        if (*reader->at != ',')
            return false;
        reader->at++;
    }
}

static struct json *read_value(struct reader *reader)
{
    struct json *value;
    bool right;

    skip_space(reader);
    if (reader->depth == DEEPEST)
        return NULL;
    reader->depth++;
    value = memory(1, sizeof *value);
    if (*reader->at == '{' || *reader->at == '[') {
        right = read_members(reader, value);
    } else if (*reader->at == '"') {
        value->kind = JSON_STRING;
        right = read_string(reader, &value->string, &value->length);
    } else {
        right = read_word(reader, value) || read_number(reader, value);
    }
    reader->depth--;
    if (right)
        return value;
    json_free(value);
    return NULL;
}

/* Reads a text that is one value; NULL if it is not. */
struct json *json_read(const char *bytes)
{
    struct reader reader = {bytes == NULL ? "" : bytes, 0};
    struct json *value = read_value(&reader);

    skip_space(&reader);
    if (value != NULL && *reader.at != '\0') {
        json_free(value);
        return NULL;
    }
    return value;
}

void json_free(struct json *value)
{
    while (value != NULL) {
        struct json *next = value->next;

        json_free(value->inside);
        free(value->key);
        free(value->string);
        free(value);
        value = next;
    }
}

/* The member of this name; NULL if there is none, or if it is no object. */
const struct json *json_member(const struct json *object, const char *key)
{
    if (object == NULL || object->kind != JSON_OBJECT)
        return NULL;
    for (const struct json *member = object->inside; member != NULL; member = member->next) {
        if (strcmp(member->key, key) == 0)
            return member;
    }
    return NULL;
}

/* The first member of an object. */
const struct json *json_members(const struct json *object)
{
    return object != NULL && object->kind == JSON_OBJECT ? object->inside : NULL;
}

/* The string that is the member of this name. */
const char *json_string(const struct json *object, const char *key)
{
    const struct json *member = json_member(object, key);

    return member != NULL && member->kind == JSON_STRING ? member->string : NULL;
}

/* Adds a string as JSON has it. */
void json_quote(struct text *text, const char *string)
{
    add(text, "\"", 1);
    for (; *string != '\0'; string++) {
        char escaped[8];

        if (*string == '"' || *string == '\\') {
            add(text, "\\", 1);
            add(text, string, 1);
        } else if ((unsigned char)*string < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*string);
            add_string(text, escaped);
        } else {
            add(text, string, 1);
        }
    }
    add(text, "\"", 1);
}

/* arguments.c: the words of the command line become options and a request. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

/* An argument: `key=value`, `key.part=value` or `key:=json`. */
struct argument {
    char *key, *part;           /* part is NULL if there is none */
    char *value;                /* as JSON */
    bool told;
    struct argument *next;
};

/* Ends the program: the command line is wrong. */
static void wrong(const char *what, const char *which)
{
    if (which == NULL)
        complain(NULL, "%s", what);
    else
        complain(NULL, "%s: %s", visible(which), what);
    print_usage();
    fprintf(stderr, "       " NAME " --help has more\n");
    exit(USAGE);
}

/* Reads a stream to its end, or until there is more than `most`. NULL if it has a NUL or fails. */
char *read_stream(FILE *stream, size_t most)
{
    struct text text = {0};
    char bytes[4096];
    size_t got;

    add(&text, "", 0);
    while (text.length <= most && (got = fread(bytes, 1, sizeof bytes, stream)) > 0)
        add(&text, bytes, got);
    if (ferror(stream) || strlen(text.bytes) != text.length) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}

/* The library refuses requests that are longer than 1 MiB. */
static char *read_input(void)
{
    char *text = read_stream(stdin, (size_t)1 << 20);

    if (text == NULL)
        wrong("cannot be read, or is no text", "standard input");
    return text;
}

static bool is_name(const char *at, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return length > 0 && strspn(at, letters) >= length;
}

static char *part_of(const char *at, size_t length)
{
    char *part = memory(length + 1, 1);

    memcpy(part, at, length);
    return part;
}

static struct argument *read_argument(const char *word)
{
    const char *equals = strchr(word, '='), *end = equals, *dot;
    struct argument *argument = memory(1, sizeof *argument);
    struct text value = {0};
    bool raw;

    if (equals == NULL)
        wrong("must be ARGUMENT=VALUE", word);
    raw = equals > word && equals[-1] == ':';
    end -= raw;
    dot = memchr(word, '.', (size_t)(end - word));
    if (!is_name(word, (size_t)((dot == NULL ? end : dot) - word)))
        wrong("is not the name of an argument", word);
    argument->key = part_of(word, (size_t)((dot == NULL ? end : dot) - word));
    if (dot != NULL) {
        if (dot + 1 == end)
            wrong("has no name behind the dot", word);
        argument->part = part_of(dot + 1, (size_t)(end - dot - 1));
    }
    if (raw) {
        struct json *json = json_read(equals + 1);

        if (json == NULL)
            wrong("has no JSON behind \":=\"", word);
        json_free(json);
        add_string(&value, equals + 1);
    } else {
        json_quote(&value, equals + 1);
    }
    argument->value = value.bytes;
    return argument;
}

/* The value of an argument: an object if it has parts, an array if it is given more than once. */
static void add_value(struct text *request, struct argument *first)
{
    struct text values = {0};
    size_t count = 0;

    for (struct argument *argument = first; argument != NULL; argument = argument->next) {
        if (strcmp(argument->key, first->key) != 0)
            continue;
        if ((argument->part == NULL) != (first->part == NULL))
            wrong("is given with parts and without", argument->key);
        for (struct argument *earlier = first; argument->part != NULL && earlier != argument; earlier = earlier->next) {
            if (strcmp(earlier->key, first->key) == 0 && strcmp(earlier->part, argument->part) == 0)
                wrong("is given twice", argument->part);
        }
        argument->told = true;
        if (count++ > 0)
            add_string(&values, ", ");
        if (argument->part != NULL) {
            json_quote(&values, argument->part);
            add_string(&values, ": ");
        }
        add_string(&values, argument->value);
    }
    add_string(request, first->part != NULL ? "{" : count > 1 ? "[" : "");
    add_string(request, values.bytes);
    add_string(request, first->part != NULL ? "}" : count > 1 ? "]" : "");
    free(values.bytes);
}

static char *write_request(const char *action, struct argument *first)
{
    const struct action *known = find_action(action);
    struct text request = {0};

    add_string(&request, "{\"action\": ");
    json_quote(&request, action);
    for (struct argument *argument = first; argument != NULL; argument = argument->next) {
        if (argument->told)
            continue;
        if (strcmp(argument->key, "action") == 0)
            wrong("is the first word, and no argument", argument->key);
        /* The library would pass over it, and do without a "dryrun" that was mistyped. */
        if (known != NULL && !is_one_of(argument->key, known->arguments))
            wrong("is no argument of this action; -h has them", argument->key);
        add_string(&request, ", ");
        json_quote(&request, argument->key);
        add_string(&request, ": ");
        add_value(&request, argument);
    }
    add_string(&request, "}");
    return request.bytes;
}

/* The words behind "--": a command for execjail, word by word. */
static struct argument *read_command(const char *action, struct argument *given, int count, char **words)
{
    struct argument *command = memory(1, sizeof *command);
    struct text value = {0};

    if (action == NULL || strcmp(action, "execjail") != 0)
        wrong("only execjail has words after \"--\"", NULL);
    for (; given != NULL; given = given->next) {
        if (strcmp(given->key, "command") == 0)
            wrong("is given, and words after \"--\" too", "command");
    }
    add_string(&value, "[");
    for (int i = 0; i < count; i++) {
        if (i > 0)
            add_string(&value, ", ");
        json_quote(&value, words[i]);
    }
    add_string(&value, "]");
    command->key = copy("command");
    command->value = value.bytes;
    return command;
}

static void free_arguments(struct argument *argument)
{
    while (argument != NULL) {
        struct argument *next = argument->next;

        free(argument->key);
        free(argument->part);
        free(argument->value);
        free(argument);
        argument = next;
    }
}

/* Options are read wherever they are: who has typed an action adds them at its end. */
static bool read_option(struct options *options, int *at, int count, char **words, bool *help)
{
    static const struct {
        const char *name;
        char letter;
    } names[] = {{"--actions", 'A'}, {"--columns", 'o'}, {"--config", 'c'}, {"--help", 'h'},
                 {"--json", 'j'}, {"--read-only", 'r'}, {"--table", 't'}, {"--version", 'V'}};
    const char *word = words[*at], *letters = word + 1, *value = NULL;
    char named[2] = "";

    if (word[0] != '-' || word[1] == '\0')
        return false;
    if (word[1] == '-') {
        size_t length = strcspn(word, "=");

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (strncmp(names[i].name, word, length) == 0 && names[i].name[length] == '\0')
                named[0] = names[i].letter;
        }
        value = word[length] == '=' ? word + length + 1 : NULL;
        letters = named;
        if (*named == '\0' || (value != NULL && *named != 'o' && *named != 'c'))
            wrong("is not an option", word);
    }
    for (; *letters != '\0'; letters++) {
        switch (*letters) {
        case 'A': if (letters != named) wrong("is not an option", word); print_actions(); exit(end_output(WORKED));
        case 'h': *help = true; break;
        case 'j': options->json = true; break;
        case 'r': options->read_only = true; break;
        case 't': options->as_table = true; break;
        case 'V':
            printf(NAME " %s, library %s\n", SYSADM_IOCAGE_VERSION, sysadm_iocage_version());
            exit(end_output(WORKED));
        case 'c':
        case 'o':
            if (value == NULL && letters != named && letters[1] != '\0')
                value = letters + 1;
            if (value == NULL && *at + 1 < count)
                value = words[++*at];
            if (value == NULL)
                wrong("needs a value", word);
            *(*letters == 'c' ? &options->config : &options->columns) = value;
            return true;
        default: wrong("is not an option", word);
        }
    }
    return true;
}

/* Reads the whole command line. If it cannot be understood, that ends the program. */
void read_arguments(struct options *options, int count, char **words)
{
    struct argument *first = NULL, **end = &first;
    bool help = false;

    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--") == 0) {
            *end = read_command(options->action, first, count - i - 1, words + i + 1);
            break;
        } else if (read_option(options, &i, count, words, &help)) {
            continue;
        } else if (options->request != NULL) {
            wrong("the request is the only word", NULL);
        } else if (options->action != NULL) {
            *end = read_argument(words[i]);
            end = &(*end)->next;
        } else if (strcmp(words[i], "-") == 0) {
            options->request = read_input();
        } else if (words[i][strspn(words[i], " \t\r\n")] == '{') {
            options->request = copy(words[i]);
        } else if (is_name(words[i], strlen(words[i]))) {
            options->action = copy(words[i]);
        } else {
            wrong("is not an action", words[i]);
        }
    }
    if (help) {
        const struct action *action = find_action(options->action);

        if (options->action != NULL && action == NULL)
            wrong("is not an action", options->action);
        if (action == NULL)
            print_help();
        else
            print_action_help(action);
        exit(end_output(WORKED));
    }
    if (options->action == NULL && options->request == NULL) {
        if (!options->json)
            wrong("which action?", NULL);
        options->request = read_input();
    }
    if (options->request == NULL) {
        options->request = write_request(options->action, first);
    } else {
        struct json *request = json_read(options->request);
        const char *action = json_string(request, "action");

        options->action = action == NULL ? NULL : copy(action);
        json_free(request);
    }
    free_arguments(first);
    if (options->columns != NULL && (options->json || !has_view(options->action) ||
        !view_has_columns(options->action, options->columns)))
        wrong("has no such columns", options->json || options->action == NULL ? "-o" : options->action);
}

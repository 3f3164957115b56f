/* show.c: what is printed of a reply that is no table: sentences, what is said beside them, errors. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#define INDENT 4

/* Prints a reply as it is; to a terminal without what that would obey, which is the same JSON. */
void print_reply(const char *reply)
{
    char *safe = is_terminal(stdout) ? harmless(reply, strlen(reply), LINES) : copy(reply);

    puts(safe);
    free(safe);
}

bool is_error(const struct json *answer)
{
    return json_string(answer, "error") != NULL && json_string(answer, "code") != NULL;
}

static bool ends_in(const char *string, const char *end)
{
    size_t length = strlen(string), own = strlen(end);

    return length >= own && strcmp(string + length - own, end) == 0;
}

/* Prints a text from where the line is, in further lines under its beginning if there is no room. */
void print_wrapped(const char *string, size_t length, size_t at)
{
    char *safe = harmless(string, length, NOTHING);
    size_t columns = terminal_columns(stdout);

    for (const char *left = safe;;) {
        size_t bytes = columns == 0 ? strlen(left) : fitting(left, columns > at + 8 ? columns - at : 8, true);
        size_t shown = bytes;

        while (left[bytes] != '\0' && shown > 0 && left[shown - 1] == ' ')
            shown--;
        printf("%.*s\n", (int)shown, left);
        left += bytes;
        if (*left == '\0')
            break;
        printf("%*s", (int)at, "");
    }
    free(safe);
}

/* The name of a member; words if it is the library's, and not a property's. */
static char *words_of(const struct json *member)
{
    static const char *const beginnings[] = {"would_", "cannot_", "needs_"};
    char *words = harmless(member->key, member->key_length, NOTHING);

    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        for (char *at = strncmp(words, beginnings[i], strlen(beginnings[i])) == 0 ? words : ""; *at != '\0'; at++)
            *at = *at == '_' ? ' ' : *at;
    }
    return words;
}

/* An array of short words in one text; false if it is anything else. */
static bool add_words(struct text *all, const struct json *array)
{
    if (array->kind != JSON_ARRAY)
        return false;
    for (const struct json *item = array->inside; item != NULL; item = item->next) {
        if (item->string == NULL || item->length > 40 || strchr(item->string, ' ') != NULL)
            return false;
        if (all->length > 0)
            add_string(all, ", ");
        add(all, item->string, item->length);
    }
    return true;
}

/* For people: what is in an object, a line or more for each member, further in for what is in that. */
static void print_tree(const struct json *object, size_t indent);

static void print_member(const struct json *member, size_t indent)
{
    char *name = words_of(member);
    const char *from = json_string(member, "from"), *to = json_string(member, "to");
    struct text value = {0};

    printf("%*s%s:", (int)indent, "", name);
    if (from != NULL && to != NULL) {
        add_string(&value, from);
        add_string(&value, " -> ");
        add_string(&value, to);
    } else if (member->string != NULL) {
        add(&value, member->string, member->length);
    } else if (!add_words(&value, member)) {
        value.length = 0;
    }
    if (value.length > 0 || member->string != NULL) {
        putchar(' ');
        print_wrapped(value.bytes, value.length, indent + width_of(name) + 2);
    } else {
        putchar('\n');
        print_tree(member, indent + INDENT);
    }
    free(value.bytes);
    free(name);
}

static void print_tree(const struct json *object, size_t indent)
{
    for (const struct json *member = object->inside; member != NULL; member = member->next) {
        bool empty = member->string == NULL && member->inside == NULL;

        if (member->key != NULL && !empty) {
            print_member(member, indent);
        } else if (member->string != NULL) {
            printf("%*s", (int)indent, "");
            print_wrapped(member->string, member->length, indent);
        } else {
            print_tree(member, indent);
        }
    }
}

/* For programs: a line for each value, with the names that lead to it, and tabs between them. */
static void print_paths(const struct json *value, const char *before)
{
    struct text path = {0};

    add_string(&path, before);
    if (value->key != NULL) {
        char *name = harmless(value->key, value->key_length, NOTHING);

        add_string(&path, name);
        add_string(&path, "\t");
        free(name);
    }
    if (value->string != NULL) {
        char *shown = harmless(value->string, value->length, NOTHING);

        printf("%s%s\n", path.bytes, shown);
        free(shown);
    }
    for (const struct json *inside = value->inside; inside != NULL; inside = inside->next)
        print_paths(inside, path.bytes);
    free(path.bytes);
}

static void print_rest(const struct json *value, const struct options *options, size_t indent)
{
    struct json only = {JSON_OBJECT, NULL, NULL, 0, 0, NULL, NULL}, member = *value;

    if (is_terminal(stdout) || options->as_table) {
        member.next = NULL;
        only.inside = &member;
        print_tree(&only, indent);
    } else {
        print_paths(value, "");
    }
}

/* What is no part of an answer itself: a warning, or why it is not whole. */
static bool is_remark(const struct json *member)
{
    return member->key != NULL && member->string != NULL &&
        (strcmp(member->key, "warning") == 0 || ends_in(member->key, "_error"));
}

static void print_remarks(const char *action, const struct json *answer)
{
    for (const struct json *member = json_members(answer); member != NULL; member = member->next) {
        if (is_remark(member)) {
            struct text words = {0};

            add_string(&words, member->key);
            for (char *at = words.bytes; *at != '\0'; at++)
                *at = *at == '_' ? ' ' : *at;
            complain(action, "%s: %s", words.bytes, member->string);
            free(words.bytes);
        }
    }
}

/* A change that has worked: its sentence, and what that does not say. */
static void show_success(const char *action, const struct json *answer, const struct options *options)
{
    const char *sentence = json_string(answer, "success");
    const char *changed = json_string(answer, "changed");

    if (sentence != NULL)
        print_wrapped(sentence, strlen(sentence), 0);
    if (changed != NULL && strcmp(changed, "false") == 0)
        printf("%*sIt was so already.\n", INDENT, "");
    for (const struct json *member = json_members(answer); member != NULL; member = member->next) {
        bool known = is_remark(member) || strcmp(member->key, "success") == 0 ||
            strcmp(member->key, "dryrun") == 0 || strcmp(member->key, "started_dispatcher_id") == 0 ||
            strcmp(member->key, "already_running") == 0;
        bool is_flag = strcmp(member->key, "changed") == 0 && member->string != NULL;
        bool is_said = sentence != NULL && member->string != NULL && member->length > 3 &&
            strstr(sentence, member->string) != NULL;

        if (!known && !is_flag && !is_said)
            print_rest(member, options, sentence != NULL ? INDENT : 0);
    }
    print_remarks(action, answer);
}

static int show_error(const char *action, const char *jail, const struct json *answer)
{
    const char *code = json_string(answer, "code"), *error = json_string(answer, "error");

    fflush(stdout);
    if (jail != NULL)
        complain(action, "%s: %s (%s)", jail, error, code);
    else
        complain(action, "%s (%s)", error, code);
    return FAILED;
}

/* What a command in a jail has printed, and its exit code. It had no terminal. */
static int show_execution(const char *action, const struct json *answer)
{
    static const char *const names[] = {"stdout", "stderr"};
    const char *code = json_string(answer, "exit_code");

    for (int i = 0; i < 2; i++) {
        FILE *stream = i == 0 ? stdout : stderr;
        const struct json *output = json_member(answer, names[i]);

        if (output == NULL || output->string == NULL)
            continue;
        if (is_terminal(stream)) {
            char *safe = harmless(output->string, output->length, LINES);

            fputs(safe, stream);
            free(safe);
        } else {
            fwrite(output->string, 1, output->length, stream);
        }
        fflush(stream);
    }
    if (json_string(answer, "truncated") != NULL)
        complain(action, "there was more output than is answered");
    return code == NULL ? FAILED : (int)(strtol(code, NULL, 10) & 0xff);
}

/* Of a job: how it is, and then what it has printed. */
static void show_job(const struct json *answer, const struct options *options)
{
    static const char *const outer[] = {"job_id", "state", "success", "percent_done", "filename", "download_rate", "error"};
    static const char *const inner[] = {"time_started", "time_finished", "cmd_list"};
    const struct json *details = json_member(answer, "process_details"), *commands = json_member(details, "cmd_list");
    const struct json *command = commands == NULL ? NULL : commands->inside;
    const char *output = command == NULL || command->string == NULL ? NULL : json_string(details, command->string);

    for (size_t i = 0; i < sizeof outer / sizeof outer[0]; i++) {
        if (json_member(answer, outer[i]) != NULL)
            print_rest(json_member(answer, outer[i]), options, 0);
    }
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        if (json_member(details, inner[i]) != NULL)
            print_rest(json_member(details, inner[i]), options, 0);
    }
    if (output != NULL && *output != '\0') {
        struct text lines = {0};
        char *safe;

        plain_output(&lines, output);
        safe = harmless(lines.bytes, lines.length, LINES);
        printf("\n%s%s", safe, lines.length > 0 && lines.bytes[lines.length - 1] == '\n' ? "" : "\n");
        free(safe);
        free(lines.bytes);
    }
}

/* Prints an answer; gives the exit code. */
int show(const char *action, const struct json *answer, const struct options *options)
{
    const struct json *jails = json_member(answer, "jails"), *pool = json_member(answer, "currently active");
    int code = WORKED;

    if (strcmp(action, "execjail") == 0 && json_member(answer, "exit_code") != NULL)
        return show_execution(action, answer);
    if (strcmp(action, "jobstatus") == 0 && json_member(answer, "job_id") != NULL) {
        show_job(answer, options);
        return WORKED;
    }
    if (pool != NULL || strcmp(action, "activatestatus") == 0) {
        const char *name = json_string(pool != NULL ? pool : answer, "pool");
        char *safe = harmless(name == NULL ? "" : name, name == NULL ? 0 : strlen(name), NOTHING);

        if (name == NULL)
            puts("No pool is active.");
        else
            printf("pool %s is active.\n", safe);
        free(safe);
        print_remarks(action, answer);
        return WORKED;
    }
    /* With `detail` there is more of a jail than columns can have. */
    if (strcmp(action, "listjails") == 0 && options->columns == NULL && jails != NULL && jails->inside != NULL &&
        json_member(jails->inside, "settings") != NULL)
        print_rest(jails, options, 0);
    else if (show_view(action, answer, options))
        print_remarks(action, answer);
    else if (jails == NULL)
        show_success(action, answer, options);
    for (const struct json *jail = json_members(jails); jail != NULL; jail = jail->next) {
        if (is_error(jail))
            code = show_error(action, jail->key, jail);
        else if (!has_view(action) && json_string(jail, "success") != NULL)
            show_success(action, jail, options);
        else if (!has_view(action))
            print_rest(jail, options, 0);
    }
    return code;
}

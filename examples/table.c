/*
 * table.c: prints the jails as a table. It reads the reply with Jansson, a JSON library for C; any
 * other does as well.
 *
 *     cc -std=c99 -o table examples/table.c $(pkg-config --cflags --libs sysadm_iocage jansson)
 *     ./table
 *
 * Jansson is libjansson-dev in Debian, and jansson in FreeBSD's packages. The configuration, a JSON
 * text, may be given as an argument; without it the library's defaults apply.
 *
 * It exits with 0 if it has printed the table; with 1 if the jails cannot be listed; with 2 if no
 * request was sent.
 */
#include <jansson.h>
#include <stdio.h>

#include <sysadm_iocage.h>

#define COLUMNS 7

static const char *const keys[COLUMNS] = {
    "jid", "uuid", "state", "boot", "release", "ip4", "template",
};

/* How many characters a UTF-8 text has. */
static int length(const char *text)
{
    int characters = 0;

    for (; *text != '\0'; text++)
        characters += (*text & 0xc0) != 0x80;
    return characters;
}

/* Every value of a jail is a string. */
static const char *value(const json_t *jail, int column)
{
    const char *text = json_string_value(json_object_get(jail, keys[column]));

    return text == NULL ? "" : text;
}

static void print_row(const char *const *texts, const int *widths)
{
    for (int i = 0; i < COLUMNS - 1; i++)
        printf("%s%*s", texts[i], widths[i] - length(texts[i]) + 2, "");
    puts(texts[COLUMNS - 1]);
}

/* Prints a reply to listjails: {"listjails": {"jails": {KEY: JAIL, ...}}}. */
static int print_table(const char *reply)
{
    json_error_t error;
    json_t *root = json_loads(reply, 0, &error);
    json_t *jails = json_object_get(json_object_get(root, "listjails"), "jails");
    json_t *jail;
    const char *key, *texts[COLUMNS];
    int widths[COLUMNS];

    if (!json_is_object(jails)) {
        fprintf(stderr, "table: not a reply to listjails\n");
        json_decref(root);
        return 1;
    }
    for (int i = 0; i < COLUMNS; i++)
        widths[i] = length(keys[i]);
    json_object_foreach(jails, key, jail)
        for (int i = 0; i < COLUMNS; i++)
            if (length(value(jail, i)) > widths[i])
                widths[i] = length(value(jail, i));

    print_row(keys, widths);
    json_object_foreach(jails, key, jail) {
        for (int i = 0; i < COLUMNS; i++)
            texts[i] = value(jail, i);
        print_row(texts, widths);
    }
    json_decref(root);
    return 0;
}

int main(int argc, char **argv)
{
    const char *config = argc > 1 ? argv[1] : NULL;
    char *error, *reply, *code, *message;
    int failed;
    sysadm_iocage *instance = sysadm_iocage_open(config, NULL, &error);

    if (instance == NULL) {
        fprintf(stderr, "table: %s\n", error);
        sysadm_iocage_free(error);
        return 2;
    }
    reply = sysadm_iocage_evaluate(instance, "{\"action\": \"listjails\"}",
                                   SYSADM_IOCAGE_ACCESS_READ, NULL);
    failed = sysadm_iocage_reply_error(reply, &code, &message);
    if (failed)
        fprintf(stderr, "table: %s (%s)\n", message, code);
    else
        failed = print_table(reply);

    sysadm_iocage_free(code);
    sysadm_iocage_free(message);
    sysadm_iocage_free(reply);
    sysadm_iocage_close(instance);
    return failed;
}

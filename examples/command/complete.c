/*
 * complete.c: what a word may become, for the completions of shells, which are a few lines each.
 *
 * It asks the library with reading access only, says nothing if that fails, and gives up after a few
 * seconds. A name is given only if it means nothing to a shell: jails can have any.
 */
#include "command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 3 /* seconds */

static const char *wanted = "";

static void give_up(int number)
{
    (void)number;
    _exit(WORKED);
}

/* Prints a word if it begins as what is typed does. */
static void offer(const char *before, const char *name, const char *after, const char *about)
{
    static const char harmless_ones[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+,:@%/";
    struct text word = {0};

    add_string(&word, before);
    add_string(&word, name);
    add_string(&word, after);
    if (*name != '\0' && name[strspn(name, harmless_ones)] == '\0' && strncmp(word.bytes, wanted, strlen(wanted)) == 0)
        printf("%s%s%s\n", word.bytes, *about == '\0' ? "" : "\t", about);
    free(word.bytes);
}

static void offer_words(const char *before, const char *words, const char *after)
{
    char *list = copy(words);

    for (char *word = strtok(list, " "); word != NULL; word = strtok(NULL, " "))
        offer(before, word, after, "");
    free(list);
}

/* What the library answers; NULL if it does not. */
static struct json *ask(sysadm_iocage *instance, const char *request)
{
    char *reply = sysadm_iocage_evaluate(instance, request, SYSADM_IOCAGE_ACCESS_READ, NULL);
    struct json *json = sysadm_iocage_reply_error(reply, NULL, NULL) ? NULL : json_read(reply);

    sysadm_iocage_free(reply);
    return json;
}

/* Offers what is in a part of the answer: the values of `key`, or the names, or the strings. */
static void offer_from(sysadm_iocage *instance, const char *request, const char *part, const char *key,
                       const char *before, const char *after)
{
    struct json *json = ask(instance, request);
    const struct json *list = json == NULL || json->inside == NULL ? NULL : json_member(json->inside, part);

    for (const struct json *one = list == NULL ? NULL : list->inside; one != NULL; one = one->next) {
        const char *name = key != NULL ? json_string(one, key) : one->key != NULL ? one->key : one->string;

        if (one->kind == JSON_STRING && one->key == NULL)
            one->string[strcspn(one->string, " ")] = '\0'; /* a release at its end of life */
        if (name != NULL)
            offer(before, name, after, "");
    }
    json_free(json);
}

static void offer_jails(sysadm_iocage *instance, const char *action, const char *before)
{
    if (is_one_of(action, "startjail clonejail renamejail exportjail"))
        offer_from(instance, "{\"action\": \"listjails\", \"state\": \"down\"}", "jails", "uuid", before, "");
    else if (is_one_of(action, "stopjail execjail capjail"))
        offer_from(instance, "{\"action\": \"listjails\", \"state\": \"up\"}", "jails", "uuid", before, "");
    else
        offer_from(instance, "{\"action\": \"listjails\"}", "jails", "uuid", before, "");
    if (is_one_of(action, "getjailsettings df listsnapshots listmounts setjailsettings renamejail snapshotjail "
                          "removesnapshot rollbackjail destroyjail"))
        offer_from(instance, "{\"action\": \"listtemplates\"}", "templates", "uuid", before, "");
}

/* The snapshots of the jail that an earlier word names. */
static void offer_snapshots(sysadm_iocage *instance, int count, char **words, const char *before)
{
    for (int i = 0; i < count; i++) {
        const char *jail = strncmp(words[i], "jail=", 5) == 0 ? words[i] + 5 :
            strncmp(words[i], "jail_uuid=", 10) == 0 ? words[i] + 10 : NULL;
        struct text request = {0};
        struct json *json;

        if (jail == NULL)
            continue;
        add_string(&request, "{\"action\": \"listsnapshots\", \"jail\": ");
        json_quote(&request, jail);
        add_string(&request, "}");
        json = ask(instance, request.bytes);
        if (json != NULL && json_member(json->inside, "jails") != NULL) {
            const struct json *of_jail = json_member(json->inside, "jails")->inside;

            for (const struct json *one = json_members(of_jail); one != NULL; one = one->next)
                offer(before, one->key, "", "");
        }
        json_free(json);
        free(request.bytes);
    }
}

static void offer_values(sysadm_iocage *instance, const char *action, const char *argument, int count, char **words)
{
    struct text before = {0};

    add_string(&before, argument);
    add_string(&before, "=");
    if (is_one_of(argument, "jail jail_uuid jails"))
        offer_jails(instance, action, before.bytes);
    else if (strcmp(argument, "template") == 0)
        offer_from(instance, "{\"action\": \"listtemplates\"}", "templates", "uuid", before.bytes, "");
    else if (is_one_of(argument, "release releases"))
        offer_from(instance, "{\"action\": \"listreleases\"}",
                   strcmp(action, "fetchreleases") == 0 ? "remote" : "local", NULL, before.bytes, "");
    else if (strcmp(argument, "snapshot") == 0 && strcmp(action, "snapshotjail") != 0)
        offer_snapshots(instance, count, words, before.bytes);
    else if (strcmp(argument, "job") == 0)
        offer_from(instance, "{\"action\": \"listjobs\"}", "jobs", NULL, before.bytes, "");
    else if (strcmp(argument, "image") == 0)
        offer_from(instance, "{\"action\": \"listimages\"}", "images", NULL, before.bytes, "");
    else if (strcmp(argument, "prop") == 0)
        offer_from(instance, "{\"action\": \"getdefaultsettings\"}", "defaults", NULL, before.bytes, "");
    else if (strcmp(argument, "state") == 0)
        offer_words(before.bytes, "up down CORRUPT unmounted", "");
    else if (strcmp(argument, "compression") == 0)
        offer_words(before.bytes, "zip lzma", "");
    else if (is_one_of(argument, "accept_license basejail boot detail dhcp dryrun empty force keep_mac recursive "
                                 "refresh soft thick verify") ||
             (strcmp(argument, "packages") == 0 && strcmp(action, "updatejail") == 0))
        offer_words(before.bytes, "true false", "");
    free(before.bytes);
}

static void offer_arguments(sysadm_iocage *instance, const struct action *action)
{
    char *list = copy(action->arguments);

    for (char *word = strtok(list, " "); word != NULL; word = strtok(NULL, " ")) {
        bool has_parts = is_one_of(word, "settings properties");
        struct text before = {0};

        add_string(&before, word);
        add_string(&before, ".");
        if (!has_parts)
            offer("", word, "=", "");
        else if (strncmp(wanted, before.bytes, before.length) == 0 && instance != NULL)
            offer_from(instance, "{\"action\": \"getdefaultsettings\"}", "defaults", NULL, before.bytes, "=");
        else
            offer("", word, ".", "");
        free(before.bytes);
    }
    free(list);
}

/* Prints what the last of these words may become, a word a line. The others are before it. */
void complete(sysadm_iocage *(*open)(const char *config), int count, char **words)
{
    const char *config = NULL;
    const struct action *action = NULL;
    sysadm_iocage *instance;
    char *argument;

    if (count == 0)
        return;
    wanted = words[count - 1];
    for (int i = 0; i < count - 1; i++) {
        bool has_value = strcmp(words[i], "-c") == 0 || strcmp(words[i], "-o") == 0 ||
            strcmp(words[i], "--config") == 0 || strcmp(words[i], "--columns") == 0;

        if (strcmp(words[i], "--") == 0 || (has_value && i + 2 == count))
            return;
        if (has_value && words[i][1 + (words[i][1] == '-')] == 'c')
            config = words[i + 1];
        if (has_value)
            i++;
        else if (words[i][0] != '-' && action == NULL && (action = find_action(words[i])) == NULL)
            return;
    }
    if (*wanted == '-') {
        offer_words("", "-c -h -j -o -r -t -V --config --columns --help --json --read-only --table --version", "");
        return;
    }
    if (action == NULL) {
        offer_actions(offer);
        return;
    }
    signal(SIGALRM, give_up);
    alarm(PATIENCE);
    argument = copy(wanted);
    if (strchr(wanted, '=') == NULL && strchr(wanted, '.') == NULL) {
        offer_arguments(NULL, action);
    } else if ((instance = open(config)) != NULL) {
        size_t length = strcspn(wanted, "=");

        argument[length] = '\0';
        if (wanted[length] == '\0')
            offer_arguments(instance, action);
        else if (is_one_of(argument, action->arguments))
            offer_values(instance, action->name, argument, count - 1, words);
        fflush(stdout);
        sysadm_iocage_close(instance);
    }
    free(argument);
}

/*
 * actions.c: the actions, with their arguments and what each does. It follows the table of
 * src/actions/mod.rs, which tests/command.rs sees to; the completions and the help follow this one.
 *
 * An action that is not here is one of a newer library, which answers it all the same.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

static const struct action actions[] = {
    {"activatestatus", "", "shows which pool is active", LOOKS},
    {"activatepool", "pool", "makes a pool the active one; without pool shows which is", CHANGES},
    {"deactivatepool", "pool", "makes a pool inactive", CHANGES},
    {"listjails", "detail state type release jails", "lists all jails, or some", LOOKS},
    {"listtemplates", "", "lists all templates", LOOKS},
    {"listreleases", "refresh",
     "lists the releases that are fetched and those that the network offers", LOOKS},
    {"listplugins", "refresh detail", "lists plugin jails and the plugins in the index", STARTS},
    {"getjailsettings", "jail jail_uuid jails prop detail",
     "shows the properties that jails have, and where each comes from", LOOKS},
    {"getdefaultsettings", "", "shows the properties that jails have by default", LOOKS},
    {"df", "jail jail_uuid jails", "shows the space that jails take", LOOKS},
    {"listsnapshots", "jail jail_uuid jails", "lists the snapshots of jails", LOOKS},
    {"listmounts", "jail jail_uuid jails", "lists what jails mount", LOOKS},
    {"listimages", "verify", "lists exported jails", LOOKS},
    {"listjobs", "", "lists the jobs that are running, and the last that have ended", LOOKS},
    {"jobstatus", "job", "shows how a job is", LOOKS},
    {"fetchreleases", "releases", "fetches releases, one job each", STARTS},
    {"startjail", "jail jail_uuid jails", "starts jails", CHANGES},
    {"stopjail", "jail jail_uuid jails force", "stops jails", CHANGES},
    {"restartjail", "jail jail_uuid jails soft",
     "restarts jails, or only their processes", CHANGES},
    {"execjail", "jail jail_uuid command user timeout_seconds",
     "runs a command in a running jail", CHANGES},
    {"capjail", "jail jail_uuid jails", "sets the resource limits of running jails again", CHANGES},
    {"setjailsettings", "jail jail_uuid jails settings force",
     "changes properties of jails, or the defaults", CHANGES},
    {"renamejail", "jail jail_uuid name", "gives a jail another name", CHANGES},
    {"snapshotjail", "jail jail_uuid jails snapshot", "takes snapshots of jails", CHANGES},
    {"removesnapshot", "jail jail_uuid snapshot", "removes a snapshot of a jail", CHANGES},
    {"rollbackjail", "jail jail_uuid snapshot force dryrun",
     "takes a jail back to a snapshot", CHANGES},
    {"addmount", "jail jail_uuid source destination type options",
     "mounts something in a jail, from its next start on", CHANGES},
    {"removemount", "jail jail_uuid destination", "takes a mount of a jail back", CHANGES},
    {"destroyjail", "jail jail_uuid jails release template force recursive dryrun",
     "destroys jails, a template or a release, unless they are in use", CHANGES},
    {"cleanjails", "force dryrun", "destroys all jails, with force", CHANGES},
    {"cleanall", "force dryrun", "destroys all that iocage has, with force", CHANGES},
    {"updatejail", "jail jail_uuid jails packages",
     "brings jails to the latest patch level, in one job each", STARTS},
    {"upgradejail", "jail jail_uuid release",
     "brings a base jail to another release, in a job", STARTS},
    {"stopjob", "job", "ends a job", CHANGES},
    {"createjail", "name release template empty basejail thick boot packages properties net_device "
     "ip4 ip6 dhcp force",
     "makes a jail, in a job", STARTS},
    {"clonejail", "jail jail_uuid name thick keep_mac properties force",
     "makes a copy of a jail, in a job", STARTS},
    {"createplugin", "plugin net_device ip4 ip6 dhcp name boot properties accept_license force",
     "makes a plugin jail, in a job", STARTS},
    {"exportjail", "jail jail_uuid compression", "makes an image of a jail, in a job", STARTS},
    {"importjail", "image force", "makes a jail of an image, in a job", STARTS},
    {"cleanreleases", "force dryrun detail",
     "destroys all fetched releases, unless they are in use", CHANGES},
    {"cleantemplates", "force dryrun detail",
     "destroys all templates, unless they are in use", CHANGES},
};

#define COUNT (sizeof actions / sizeof actions[0])

const struct action *find_action(const char *name)
{
    for (size_t i = 0; name != NULL && i < COUNT; i++) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    }
    return NULL;
}

static const char usage[] =
    "usage: " NAME " [-jrt] [-c FILE] [-o COLUMNS] ACTION [ARGUMENT=VALUE ...]\n"
    "                     [-- WORD ...]\n"
    "       " NAME " [-jrt] [-c FILE] [-o COLUMNS] - | JSON\n";

static const char options[] =
    "  -c, --config FILE    configuration; default /usr/local/etc/sysadm/iocage.json\n"
    "  -h, --help           this text, or the arguments of ACTION\n"
    "  -j, --json           print the reply as JSON\n"
    "  -o, --columns A,B    only these columns\n"
    "  -r, --read-only      change nothing\n"
    "  -t, --table          print a table, also where there is no terminal\n"
    "  -V, --version        print the version\n";

static void print_row(const char *first, const char *second)
{
    size_t all = terminal_columns(stdout), used = 2 + strlen(first);

    printf("  %s", first);
    do
        putchar(' ');
    while (++used < 21);
    while (*second != '\0') {
        size_t length = fitting(second, all > used + 10 ? all - used : 200, true);

        printf("%.*s\n", (int)(length > 0 && second[length - 1] == ' ' ? length - 1 : length), second);
        second += length;
        if (*second != '\0')
            printf("%*s", (int)(used = 21), "");
    }
}

void print_help(void)
{
    printf("%s\nManages the jails that iocage keeps.\n\n%s\n", usage, options);
    for (size_t i = 0; i < COUNT; i++)
        print_row(actions[i].name, actions[i].does);
    printf("\n" NAME " ACTION -h has the arguments, " NAME "(8) all else.\n");
}

void print_usage(void)
{
    fputs(usage, stderr);
}

void print_action_help(const struct action *action)
{
    char *arguments = copy(action->arguments);

    printf("%s: %s\n", action->name, action->does);
    for (char *word = strtok(arguments, " "); word != NULL; word = strtok(NULL, " "))
        printf("  %s%s\n", word,
               strcmp(word, "settings") == 0 || strcmp(word, "properties") == 0 ? ".PROPERTY=VALUE" :
               strcmp(word, "command") == 0 ? "=LINE, or the words of a command after --" : "=VALUE");
    free(arguments);
}

/* For programs: each action, its arguments and what it does. */
void print_actions(void)
{
    for (size_t i = 0; i < COUNT; i++)
        printf("%s\t%s\t%s\n", actions[i].name, actions[i].arguments, actions[i].does);
}

void offer_actions(void (*offer)(const char *, const char *, const char *, const char *))
{
    for (size_t i = 0; i < COUNT; i++)
        offer("", actions[i].name, "", actions[i].does);
}

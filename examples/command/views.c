/* views.c: which columns the reply to an action has, and what goes into them. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

/* What is lost first on a narrow terminal has the lowest weight. */
static const struct column of_jails[] = {
    {"jid", "JID", 6, RIGHT},
    {"uuid", "NAME", 9, 0},
    {"state", "STATE", 9, STATE},
    {"boot", "BOOT", 4, 0},
    {"release", "RELEASE", 7, 0},
    {"address", "ADDRESS", 9, WRAP | FOR_PEOPLE},
    {"ip4", "IP4", 8, FOR_PROGRAMS | WRAP},
    {"ip6", "IP6", 8, FOR_PROGRAMS | WRAP},
    {"template", "TEMPLATE", 3, 0},
    {"type", "TYPE", 2, 0},
    {"tag", "TAG", 1, 0},
};

static const struct column of_releases[] = {
    {"release", "RELEASE", 9, 0},
    {"fetched", "FETCHED", 8, 0},
    {"offered", "OFFERED", 7, 0},
    {"support", "SUPPORT", 6, 0},
};

static const struct column of_plugins[] = {
    {"id", "PLUGIN", 9, 0},
    {"jails", "JAILS", 8, WRAP},
    {"name", "NAME", 7, CUT},
    {"description", "DESCRIPTION", 6, CUT},
    {"category", "CATEGORY", 5, FOR_PROGRAMS},
    {"release", "RELEASE", 4, FOR_PROGRAMS},
    {"official", "OFFICIAL", 3, FOR_PROGRAMS},
    {"license", "LICENSE", 2, FOR_PROGRAMS},
    {"homepage", "HOMEPAGE", 1, FOR_PROGRAMS},
    {"primary_pkg", "PACKAGE", 1, FOR_PROGRAMS},
};

static const struct column of_space[] = {
    {"jail", "NAME", 9, 0},
    {"used", "USED", 9, RIGHT | SIZE},
    {"available", "AVAIL", 8, RIGHT | SIZE},
    {"referenced", "REFER", 4, RIGHT | SIZE},
    {"usedbydataset", "DATASET", 2, RIGHT | SIZE},
    {"usedbychildren", "CHILDREN", 3, RIGHT | SIZE},
    {"usedbysnapshots", "SNAPSHOTS", 3, RIGHT | SIZE},
    {"quota", "QUOTA", 7, RIGHT | SIZE},
    {"reservation", "RESERVED", 5, RIGHT | SIZE},
    {"compressratio", "RATIO", 6, RIGHT},
};

static const struct column of_snapshots[] = {
    {"jail", "JAIL", 9, 0},
    {"snapshot", "SNAPSHOT", 9, 0},
    {"created", "CREATED", 7, 0},
    {"used", "USED", 8, RIGHT | SIZE},
    {"referenced", "REFER", 5, RIGHT | SIZE},
    {"complete", "COMPLETE", 4, 0},
    {"clones", "CLONES", 6, WRAP},
};

static const struct column of_mounts[] = {
    {"jail", "JAIL", 9, 0},
    {"source", "SOURCE", 8, 0},
    {"destination", "DESTINATION", 9, 0},
    {"type", "TYPE", 7, 0},
    {"options", "OPTIONS", 6, WRAP},
    {"dump", "DUMP", 1, FOR_PROGRAMS},
    {"pass", "PASS", 1, FOR_PROGRAMS},
    {"owner", "OWNER", 5, 0},
};

static const struct column of_images[] = {
    {"image", "IMAGE", 9, 0},
    {"jail", "JAIL", 8, 0},
    {"date", "DATE", 5, 0},
    {"format", "FORMAT", 4, 0},
    {"size", "SIZE", 7, RIGHT | SIZE},
    {"checksum", "CHECKSUM", 6, STATE},
    {"error", "ERROR", 0, CUT},
};

static const struct column of_jobs[] = {
    {"job_id", "JOB", 9, 0},
    {"state", "STATE", 9, STATE},
    {"percent_done", "PERCENT", 6, RIGHT},
    {"time_started", "STARTED", 7, 0},
    {"time_finished", "FINISHED", 3, FOR_PROGRAMS},
    {"error", "ERROR", 5, CUT},
};

static const struct column of_settings[] = {
    {"jail", "JAIL", 9, 0},
    {"property", "PROPERTY", 9, 0},
    {"value", "VALUE", 9, WRAP},
    {"source", "SOURCE", 0, 0},
};

static const struct column of_defaults[] = {
    {"property", "PROPERTY", 9, 0},
    {"value", "VALUE", 9, WRAP},
};

/* Adds an address as people read it: what is before "|" is the interface. */
static void add_address(struct text *all, const char *address)
{
    if (address == NULL || strcmp(address, "-") == 0 || (all->length > 0 && strcmp(all->bytes, address) == 0))
        return;
    while (*address != '\0') {
        size_t length = strcspn(address, ","), interface = strcspn(address, "|,");

        if (all->length > 0)
            add_string(all, ", ");
        if (strncmp(address, "DHCP (not running)", length) == 0)
            add_string(all, "DHCP"); /* its state says that it does not run */
        else if (address[interface] != '|')
            add(all, address, length);
        else
            add(all, address + interface + 1, length - interface - 1);
        address += length;
        address += *address == ',';
    }
}

static void fill_jails(struct table *table, const char *answer_key, const struct json *answer)
{
    const struct json *jails = json_member(answer, answer_key);

    for (const struct json *jail = json_members(jails); jail != NULL; jail = jail->next) {
        struct text address = {0};

        table_row(table);
        table_set_from(table, jail);
        add_address(&address, json_string(jail, "ip4"));
        add_address(&address, json_string(jail, "ip6"));
        table_set(table, "address", address.bytes, address.length);
        free(address.bytes);
    }
    table_sort(table, "uuid");
}

/* Which of two releases is older, by their numbers: 9.3 is older than 10.0. */
static bool older(const char *one, const char *other)
{
    char *rest_of_one, *rest_of_other;
    unsigned long a = strtoul(one, &rest_of_one, 10), b = strtoul(other, &rest_of_other, 10);

    if (a != b || *rest_of_one != '.' || *rest_of_other != '.')
        return a < b;
    return strtoul(rest_of_one + 1, NULL, 10) < strtoul(rest_of_other + 1, NULL, 10);
}

static bool has_release(const struct json *list, const char *release, size_t length)
{
    for (const struct json *item = list == NULL ? NULL : list->inside; item != NULL; item = item->next) {
        if (item->string != NULL && strncmp(item->string, release, length) == 0 &&
            (item->string[length] == '\0' || item->string[length] == ' '))
            return true;
    }
    return false;
}

/* Both lists are in order, and so is what becomes of them. */
static void fill_releases(struct table *table, const char *key, const struct json *answer)
{
    const struct json *local = json_member(answer, "local"), *remote = json_member(answer, "remote");
    const struct json *fetched = local == NULL ? NULL : local->inside, *offered = remote == NULL ? NULL : remote->inside;

    (void)key;
    while (fetched != NULL || offered != NULL) {
        bool first = fetched != NULL && (offered == NULL || fetched->string == NULL || offered->string == NULL ||
                                         !older(offered->string, fetched->string));
        const struct json *release = first ? fetched : offered;
        size_t length = release->string == NULL ? 0 : strcspn(release->string, " ");
        bool there = length > 0 && (first || !has_release(local, release->string, length));
        bool is_offered = there && has_release(remote, release->string, length);

        if (first)
            fetched = fetched->next;
        else
            offered = offered->next;
        if (!there)
            continue;
        table_row(table);
        table_set(table, "release", release->string, length);
        table_set(table, "fetched", first ? "yes" : "-", first ? 3 : 1);
        table_set(table, "offered", is_offered ? "yes" : "-", is_offered ? 3 : 1);
        for (const struct json *one = remote == NULL ? NULL : remote->inside; one != NULL; one = one->next) {
            if (one->string != NULL && strncmp(one->string, release->string, length) == 0 &&
                strcmp(one->string + length, " (EOL)") == 0)
                table_set(table, "support", "ended", 5);
        }
    }
}

/* The name of the plugin that a jail was made of: the jail's key without `_` and its jid or name. */
static size_t plugin_of(const struct json *jail)
{
    const char *jid = json_string(jail, "jid"), *uuid = json_string(jail, "uuid");
    const char *end = jid != NULL && strcmp(jid, "-") != 0 ? jid : uuid;
    size_t length = strlen(jail->key), own = end == NULL ? 0 : strlen(end);

    if (own > 0 && length > own + 1 && strcmp(jail->key + length - own, end) == 0)
        return length - own - 1;
    return length;
}

/* The plugins of the index, and those that are jails here; each with its jails. */
static void fill_plugins(struct table *table, const char *key, const struct json *answer)
{
    const struct json *local = json_member(answer, "local"), *remote = json_member(answer, "remote");

    (void)key;
    for (const struct json *plugin = json_members(remote); plugin != NULL; plugin = plugin->next) {
        struct text jails = {0};

        table_row(table);
        table_set_from(table, plugin);
        for (const struct json *jail = json_members(local); jail != NULL; jail = jail->next) {
            const char *uuid = json_string(jail, "uuid");

            if (uuid != NULL && plugin_of(jail) == strlen(plugin->key) &&
                strncmp(jail->key, plugin->key, strlen(plugin->key)) == 0) {
                add_string(&jails, jails.length > 0 ? ", " : "");
                add_string(&jails, uuid);
            }
        }
        table_set(table, "jails", jails.bytes, jails.length);
        free(jails.bytes);
    }
    for (const struct json *jail = json_members(local); jail != NULL; jail = jail->next) {
        const char *uuid = json_string(jail, "uuid");
        char *plugin = copy(jail->key);

        plugin[plugin_of(jail)] = '\0';
        if (uuid != NULL && json_member(remote, plugin) == NULL) {
            table_row(table);
            table_set(table, "id", plugin, strlen(plugin));
            table_set(table, "jails", uuid, strlen(uuid));
        }
        free(plugin);
    }
}

/* One row for each jail, or for each thing of each jail. */
static void fill_space(struct table *table, const char *key, const struct json *answer)
{
    const struct json *jails = json_member(answer, key);

    for (const struct json *jail = json_members(jails); jail != NULL; jail = jail->next) {
        if (is_error(jail))
            continue;
        table_row(table);
        table_set(table, "jail", jail->key, jail->key_length);
        table_set_from(table, jail);
    }
}

static void fill_things(struct table *table, const char *key, const struct json *answer)
{
    const struct json *jails = json_member(answer, key);

    for (const struct json *jail = json_members(jails); jail != NULL; jail = jail->next) {
        for (const struct json *thing = is_error(jail) ? NULL : jail->inside; thing != NULL; thing = thing->next) {
            table_row(table);
            table_set(table, "jail", jail->key, jail->key_length);
            if (thing->key != NULL) {
                table_set(table, "snapshot", thing->key, thing->key_length);
                table_set(table, "property", thing->key, thing->key_length);
            }
            if (thing->string != NULL)
                table_set(table, "value", thing->string, thing->length);
            table_set_from(table, thing);
        }
    }
}

static void fill_defaults(struct table *table, const char *key, const struct json *answer)
{
    const struct json *defaults = json_member(answer, key);

    for (const struct json *one = json_members(defaults); one != NULL; one = one->next) {
        table_row(table);
        table_set(table, "property", one->key, one->key_length);
        if (one->string != NULL)
            table_set(table, "value", one->string, one->length);
    }
}

static void fill_images(struct table *table, const char *key, const struct json *answer)
{
    const struct json *images = json_member(answer, key);

    for (const struct json *image = json_members(images); image != NULL; image = image->next) {
        table_row(table);
        table_set(table, "image", image->key, image->key_length);
        table_set_from(table, image);
    }
}

static void fill_jobs(struct table *table, const char *key, const struct json *answer)
{
    const struct json *jobs = json_member(answer, key);

    for (const struct json *job = json_members(jobs); job != NULL; job = job->next) {
        const struct json *details = json_member(job, "process_details");
        const char *success = json_string(job, "success");

        table_row(table);
        if (details != NULL)
            table_set_from(table, details);
        table_set_from(table, job);
        if (success != NULL)
            table_set(table, "state", strcmp(success, "true") == 0 ? "done" : "failed", strcmp(success, "true") == 0 ? 4 : 6);
    }
    table_sort(table, "time_started");
}

#define COLUMNS(array) array, sizeof array / sizeof array[0]

static const struct view {
    const char *action, *what, *key;
    void (*fill)(struct table *, const char *, const struct json *);
    const struct column *columns;
    size_t count;
} views[] = {
    {"listjails", "jails", "jails", fill_jails, COLUMNS(of_jails)},
    {"listtemplates", "templates", "templates", fill_jails, COLUMNS(of_jails)},
    {"listreleases", "releases", NULL, fill_releases, COLUMNS(of_releases)},
    {"listplugins", "plugins", NULL, fill_plugins, COLUMNS(of_plugins)},
    {"df", "jails", "jails", fill_space, COLUMNS(of_space)},
    {"listsnapshots", "snapshots", "jails", fill_things, COLUMNS(of_snapshots)},
    {"listmounts", "mounts", "jails", fill_things, COLUMNS(of_mounts)},
    {"listimages", "images", "images", fill_images, COLUMNS(of_images)},
    {"listjobs", "jobs", "jobs", fill_jobs, COLUMNS(of_jobs)},
    {"getjailsettings", "settings", "jails", fill_things, COLUMNS(of_settings)},
    {"getdefaultsettings", "settings", "defaults", fill_defaults, COLUMNS(of_defaults)},
};

static const struct view *find_view(const char *action)
{
    for (size_t i = 0; action != NULL && i < sizeof views / sizeof views[0]; i++) {
        if (strcmp(views[i].action, action) == 0)
            return &views[i];
    }
    return NULL;
}

bool has_view(const char *action)
{
    return find_view(action) != NULL;
}

bool view_has_columns(const char *action, const char *chosen)
{
    const struct view *view = find_view(action);

    return view != NULL && table_has(view->columns, view->count, chosen);
}

/* Prints the answer of an action that has a view; false if it has none. */
bool show_view(const char *action, const struct json *answer, const struct options *options)
{
    const struct view *view = find_view(action);
    struct table table = {0};

    if (view == NULL)
        return false;
    table.columns = view->columns;
    table.count = view->count;
    table.what = view->what;
    view->fill(&table, view->key, answer);
    table_print(&table, options);
    table_free(&table);
    return true;
}

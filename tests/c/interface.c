/*
 * Calls every function of the interface as a C program does, rightly and wrongly, from several
 * threads. It is run under valgrind: what it must not do is leak or read where nothing is.
 *
 *     interface CONFIG POOL
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sysadm_iocage.h"

#define CHECK(what) \
    ((what) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

static int contains(char *text, const char *part)
{
    int found = text != NULL && strstr(text, part) != NULL;

    if (!found)
        fprintf(stderr, "no %s in %s\n", part, text == NULL ? "NULL" : text);
    sysadm_iocage_free(text);
    return found;
}

static int contains_both(char *text, const char *one, const char *other)
{
    int found = text != NULL && strstr(text, one) != NULL;

    return contains(text, other) && found;
}

static const char *const requests[] = {
    "{\"action\":\"activatestatus\"}",
    "{\"action\":\"listjails\"}",
    "{\"action\":\"listtemplates\"}",
    "{\"action\":\"listplugins\"}",
    "{\"action\":\"listreleases\"}",
    "{\"action\":\"cleanreleases\",\"dryrun\":true}",
    "{\"action\":\"cleantemplates\",\"dryrun\":true}",
    "{\"action\":\"createplugin\"}",
    "{\"action\":\"fetchreleases\",\"releases\":[]}",
    "{\"action\":\"deactivatepool\",\"pool\":\"-\"}",
    "{\"action\":\"activatepool\"}",
};

static void *ask_everything(void *plugin)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int32_t status = 0;
        char *reply =
            sysadm_iocage_evaluate(plugin, requests[i], SYSADM_IOCAGE_ACCESS_FULL, &status);
        CHECK(status == 200);
        CHECK(contains(reply, "{"));
    }
    return NULL;
}

struct dispatcher {
    pthread_mutex_t lock;
    int queued, logged;
};

static bool queue_process(void *user_data, const char *job_id, const char *const *argv)
{
    struct dispatcher *dispatcher = user_data;
    int words = 0;

    while (argv[words] != NULL)
        words++;
    CHECK(words >= 4 && argv[0][0] == '/' && strncmp(job_id, "sysadm_iocage_", 14) == 0);
    pthread_mutex_lock(&dispatcher->lock);
    dispatcher->queued++;
    pthread_mutex_unlock(&dispatcher->lock);
    return true;
}

static bool is_job_active(void *user_data, const char *job_id)
{
    (void)user_data;
    return strstr(job_id, "9.3") != NULL;
}

static void log_message(void *user_data, int32_t level, const char *message)
{
    struct dispatcher *dispatcher = user_data;

    CHECK(level == SYSADM_IOCAGE_LOG_ERROR || level == SYSADM_IOCAGE_LOG_INFO);
    CHECK(message[0] != '\0');
    pthread_mutex_lock(&dispatcher->lock);
    dispatcher->logged++;
    pthread_mutex_unlock(&dispatcher->lock);
}

/* A bool that no C compiler makes, as a host in another language may. */
static unsigned char take_with_two(void *user_data, const char *job_id, const char *const *argv)
{
    (void)user_data, (void)job_id, (void)argv;
    return 2;
}

static unsigned char active_with_two(void *user_data, const char *job_id)
{
    (void)user_data;
    return strstr(job_id, "9.3") != NULL ? 2 : 0;
}

static void with_a_host(const char *config)
{
    static const char fetch[] =
        "{\"action\":\"fetchreleases\",\"releases\":[\"9.3-RELEASE\",\"13.2-RELEASE\"]}";
    struct dispatcher dispatcher = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
    sysadm_iocage_host host = {
        sizeof host, &dispatcher, queue_process, is_job_active, log_message, NULL,
    };
    pthread_t threads[4];
    char *reply;
    sysadm_iocage *plugin = sysadm_iocage_open(config, &host, NULL);

    CHECK(plugin != NULL);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, ask_everything, plugin) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(contains(sysadm_iocage_evaluate(plugin, fetch, 1, NULL), "already_running"));
    CHECK(dispatcher.queued == 1 && dispatcher.logged > 0);
    sysadm_iocage_close(plugin);

    /* All but 0 are true. */
    host.queue_process =
        (bool (*)(void *, const char *, const char *const *))(void (*)(void))take_with_two;
    host.is_job_active = (bool (*)(void *, const char *))(void (*)(void))active_with_two;
    plugin = sysadm_iocage_open(config, &host, NULL);
    reply = sysadm_iocage_evaluate(plugin, fetch, 1, NULL);
    CHECK(contains_both(reply, "already_running\":[\"sysadm_iocage_fetch_release_9.3",
                        "started_dispatcher_id\":[\"sysadm_iocage_fetch_release_13.2"));
    sysadm_iocage_close(plugin);

    /* A host that was built when the struct ended after user_data has no callbacks. */
    host.struct_size = offsetof(sysadm_iocage_host, queue_process);
    plugin = sysadm_iocage_open(config, &host, NULL);
    CHECK(plugin != NULL);
    CHECK(contains(sysadm_iocage_evaluate(plugin, "{\"action\":\"x\"}", 1, NULL), "400"));
    sysadm_iocage_close(plugin);
    CHECK(dispatcher.queued == 1);
    host.struct_size = 0;
    CHECK(sysadm_iocage_open(config, &host, NULL) == NULL);
}

static void with_its_own_jobs(const char *config)
{
    static const char fetch[] = "{\"action\":\"fetchreleases\",\"releases\":\"13.2-RELEASE\"}";
    static const char id[] = "sysadm_iocage_fetch_release_13.2-RELEASE";
    const struct timespec moment = {0, 50 * 1000 * 1000};
    sysadm_iocage *plugin = sysadm_iocage_open(config, NULL, NULL);
    int finished = 0;

    CHECK(contains(sysadm_iocage_evaluate(plugin, fetch, 1, NULL), id));
    for (int i = 0; i < 1000 && !finished; i++) {
        char *event = sysadm_iocage_progress(plugin, id, NULL);
        finished = strstr(event, "\"finished\"") != NULL;
        sysadm_iocage_free(event);
        nanosleep(&moment, NULL);
    }
    CHECK(finished);
    CHECK(contains(sysadm_iocage_progress(plugin, id, NULL), "\"success\":\"true\""));
    /* One more, which closing ends. */
    CHECK(contains(sysadm_iocage_evaluate(
        plugin, "{\"action\":\"fetchreleases\",\"releases\":\"14.1-RELEASE\"}", 1, NULL), "14.1"));
    sysadm_iocage_close(plugin);
}

static void with_wrong_arguments(const char *config)
{
    static const char not_utf8[] = "{\"action\":\"\xff\"}";
    sysadm_iocage *plugin = sysadm_iocage_open(config, NULL, NULL);
    char *error = NULL;
    int32_t status = 0;

    CHECK(sysadm_iocage_open("{\"colour\": 1}", NULL, &error) == NULL);
    CHECK(contains(error, "colour"));
    CHECK(sysadm_iocage_open(not_utf8, NULL, &error) == NULL);
    CHECK(contains(error, "UTF-8"));
    CHECK(sysadm_iocage_open("[]", NULL, NULL) == NULL);

    CHECK(contains(sysadm_iocage_request(NULL), "400"));
    CHECK(contains(sysadm_iocage_request(not_utf8), "UTF-8"));
    CHECK(contains(sysadm_iocage_request("{\"action\":\"nonesuch\"}"), "nonesuch"));
    CHECK(contains(sysadm_iocage_evaluate(NULL, "{}", 1, &status), "plugin is NULL"));
    CHECK(status == 400);
    CHECK(contains(sysadm_iocage_evaluate(plugin, NULL, 1, &status), "args_json is NULL"));
    CHECK(status == 400);
    CHECK(contains(sysadm_iocage_evaluate(plugin, not_utf8, 1, NULL), "UTF-8"));
    CHECK(contains(sysadm_iocage_evaluate(plugin, requests[0], -1, NULL), "access"));
    CHECK(contains(sysadm_iocage_evaluate(
        plugin, "{\"action\":\"deactivatepool\",\"pool\":\"x\"}", 0, &status), "403"));
    CHECK(status == 403);
    CHECK(contains(sysadm_iocage_message(NULL, "{}", 1), "\"error\""));
    CHECK(contains(sysadm_iocage_message(plugin, NULL, 1), "message_json is NULL"));
    CHECK(contains(sysadm_iocage_message(plugin, "{}", 1), "404"));
    CHECK(contains(sysadm_iocage_progress(NULL, "x", "{}"), "plugin is NULL"));
    CHECK(contains(sysadm_iocage_progress(plugin, NULL, "{}"), "job_id is NULL"));
    CHECK(contains(sysadm_iocage_progress(plugin, "sysadm_iocage_x", not_utf8), "UTF-8"));
    CHECK(contains(sysadm_iocage_progress(plugin, "sysadm_iocage_x", NULL), "no log"));
    CHECK(sysadm_iocage_progress(plugin, "sysadm_pkg", "{}") == NULL);
    sysadm_iocage_free(NULL);
    sysadm_iocage_close(NULL);
    sysadm_iocage_close(plugin);
}

int main(int argc, char **argv)
{
    char activate[512];
    sysadm_iocage *plugin;
    int32_t status = 0;

    CHECK(argc == 3);
    CHECK(sysadm_iocage_abi_version() == SYSADM_IOCAGE_ABI_VERSION);
    CHECK(sysadm_iocage_version()[0] != '\0');

    plugin = sysadm_iocage_open(argv[1], NULL, NULL);
    CHECK(plugin != NULL);
    snprintf(activate, sizeof activate, "{\"action\":\"activatepool\",\"pool\":\"%s\"}", argv[2]);
    CHECK(contains(
        sysadm_iocage_evaluate(plugin, activate, SYSADM_IOCAGE_ACCESS_FULL, &status), "activated."));
    CHECK(status == 200);
    sysadm_iocage_close(plugin);

    with_a_host(argv[1]);
    with_its_own_jobs(argv[1]);
    with_wrong_arguments(argv[1]);
    puts("ok");
    return 0;
}

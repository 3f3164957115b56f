/*
 * main.c: sends one request to the library and prints the reply: sysadm-iocage(8).
 *
 * It links with the library. examples/host.c is a smaller program, which loads it at run time.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGURATION "/usr/local/etc/sysadm/iocage.json"

/*
 * Opens standard input and outputs that are closed, the wrong way round. Whoever uses one still gets an
 * error, and no file of the library becomes one, to get what is meant for people.
 */
static void hold_descriptors(void)
{
    for (int number = 0; number <= 2; number++) {
        if (fcntl(number, F_GETFD) == -1 && open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY) != number)
            exit(USAGE);
    }
}

/* The configuration's text; NULL for the defaults, or if it cannot be read: then `why` says why. */
static char *read_configuration(const char *chosen, const char **file, const char **why)
{
    const char *of_environment = getenv("SYSADM_IOCAGE_CONFIG");
    bool is_named = of_environment != NULL && *of_environment != '\0', has_to_be = chosen != NULL || is_named;
    FILE *stream;
    char *text;

    *why = NULL;
    *file = chosen != NULL ? chosen : is_named ? of_environment : CONFIGURATION;
    stream = fopen(*file, "r");
    if (stream == NULL) {
        if (errno != ENOENT || has_to_be)
            *why = strerror(errno);
        return NULL;
    }
    text = read_stream(stream, (size_t)1 << 20);
    if (text == NULL)
        *why = ferror(stream) ? strerror(errno) : "it is no text";
    fclose(stream);
    return text;
}

/* An instance that answers by this configuration. */
static sysadm_iocage *open_instance(const char *chosen, bool silent)
{
    const char *file, *why;
    char *error = NULL, *configuration;
    sysadm_iocage *instance = NULL;

    if (sysadm_iocage_abi_version() != SYSADM_IOCAGE_ABI_VERSION) {
        if (!silent)
            complain(NULL, "the library has another interface than this command");
        return NULL;
    }
    configuration = read_configuration(chosen, &file, &why);
    if (why == NULL)
        instance = sysadm_iocage_open(configuration, NULL, &error);
    if (instance == NULL && !silent)
        complain(NULL, "%s: %s", visible(file), why != NULL ? why : error == NULL ? "there is no instance" : error);
    sysadm_iocage_free(error);
    free(configuration);
    return instance;
}

static sysadm_iocage *open_silently(const char *config)
{
    return open_instance(config, true);
}

/* Whether this only looks: then a signal may end it at any moment. */
static enum how how_is(const struct options *options)
{
    const struct action *action = find_action(options->action);

    return options->read_only ? LOOKS : action == NULL ? STARTS : action->how;
}

/* Asks, and prints the reply; gives the exit code. */
static int ask(sysadm_iocage *instance, const struct options *options, const char *request)
{
    int32_t access = options->read_only ? SYSADM_IOCAGE_ACCESS_READ : SYSADM_IOCAGE_ACCESS_FULL, status;
    char *reply = sysadm_iocage_evaluate(instance, request, access, &status), *code = NULL, *message = NULL;
    struct json *json = json_read(reply);
    const struct json *first = json != NULL && json->kind == JSON_OBJECT ? json->inside : NULL;
    const struct json *answer = first != NULL && first->kind == JSON_OBJECT ? first : NULL;
    const char *action = options->action == NULL ? answer == NULL ? "the library" : answer->key : options->action;
    bool is_index = request == options->request && strcmp(action, "listplugins") == 0 && json_member(answer, "started_dispatcher_id") != NULL;
    int failed = sysadm_iocage_reply_error(reply, &code, &message) ? FAILED : WORKED, jobs = WORKED;

    if (failed != WORKED && status == 400)
        failed = USAGE;
    if (options->json && reply != NULL)
        print_reply(reply);
    else if (failed != WORKED)
        complain(options->action, "%s (%s)", message, code);
    else if (answer == NULL)
        failed = (complain(action, "the library's reply cannot be read"), FAILED);
    else if (!is_index)
        failed = show(action, answer, options);
    fflush(stdout);
    if (answer != NULL)
        jobs = wait_for_jobs(instance, action, answer, options);
    /* What the job has fetched is what was asked for. */
    if (is_index && !options->json && caught_signal() == 0) {
        struct json *asked = json_read(request);
        const char *detail = json_string(asked, "detail");
        bool is_true = json_member(asked, "detail") != NULL && (detail == NULL || strcmp(detail, "true") == 0);

        failed = ask(instance, options, is_true ? "{\"action\": \"listplugins\", \"detail\": true}"
                                                : "{\"action\": \"listplugins\"}");
        json_free(asked);
    }
    json_free(json);
    sysadm_iocage_free(code);
    sysadm_iocage_free(message);
    sysadm_iocage_free(reply);
    return failed != WORKED ? failed : jobs;
}

int main(int count, char **words)
{
    struct options options = {0};
    sysadm_iocage *instance;
    int code = USAGE;

    hold_descriptors();
    start_text();
    if (count > 1 && strcmp(words[1], "--complete") == 0) {
        complete(open_silently, count - 2, words + 2);
        return WORKED;
    }
    read_arguments(&options, count, words);
    catch_signals(options.action == NULL ? "the request" : options.action, how_is(&options));
    instance = open_instance(options.config, false);
    if (instance != NULL)
        code = ask(instance, &options, options.request);
    sysadm_iocage_close(instance);
    free(options.request);
    free(options.action);
    if (caught_signal() != 0)
        die_by(caught_signal());
    return end_output(code);
}

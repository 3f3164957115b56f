/*
 * host.c: the smallest useful host. It sends one request to the library and prints the reply.
 *
 *     cc -std=c99 -pthread -Iinclude -o host examples/host.c          (on Linux with -ldl)
 *     ./host '{"action": "listjails"}'
 *     echo '{"action": "listjails"}' | ./host
 *
 *     -l LIBRARY   the library; default libsysadm_iocage.so, wherever the system finds it
 *     -c CONFIG    the configuration, a JSON text; default the library's defaults
 *     -r           may only read
 *     -m           the request is a whole WebSocket message
 *
 * It exits with 0 if the request has worked, and its jobs too; with 1 if not; with 2 if no request
 * was sent.
 *
 * This host has no dispatcher, so the library runs long jobs itself, as long as the instance lives:
 * the program waits for them, and shows on standard error how far they are.
 *
 * It loads the library at run time, as a server with modules does; on FreeBSD that takes -pthread.
 * A program that links with it (-lsysadm_iocage) calls the functions by their names and needs
 * nothing of the first half.
 */
#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sysadm_iocage.h"

/* The functions of the library that this host uses. */
static struct {
    uint32_t (*abi_version)(void);
    sysadm_iocage *(*open)(const char *, const sysadm_iocage_host *, char **);
    char *(*evaluate)(const sysadm_iocage *, const char *, int32_t, int32_t *);
    char *(*message)(const sysadm_iocage *, const char *, int32_t);
    char *(*progress)(const sysadm_iocage *, const char *, const char *);
    int32_t (*reply_error)(const char *, char **, char **);
    void (*close)(sysadm_iocage *);
    void (*free)(char *);
} iocage;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "host: %s: %s\n", what, why);
    exit(2);
}

static void load(const char *library)
{
    static const struct {
        const char *name;
        void *function;
    } wanted[] = {
        {"sysadm_iocage_abi_version", &iocage.abi_version},
        {"sysadm_iocage_open", &iocage.open},
        {"sysadm_iocage_evaluate", &iocage.evaluate},
        {"sysadm_iocage_message", &iocage.message},
        {"sysadm_iocage_progress", &iocage.progress},
        {"sysadm_iocage_reply_error", &iocage.reply_error},
        {"sysadm_iocage_close", &iocage.close},
        {"sysadm_iocage_free", &iocage.free},
    };
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL)
        die("cannot load the library", dlerror());
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *symbol = dlsym(handle, wanted[i].name);
        if (symbol == NULL)
            die(library, dlerror());
        /* C has no cast from a data to a function pointer; this is the way of POSIX. */
        memcpy(wanted[i].function, &symbol, sizeof symbol);
    }
    if (iocage.abi_version() != SYSADM_IOCAGE_ABI_VERSION)
        die(library, "has another version of the interface");
}

/* Reads standard input to its end. */
static char *read_input(void)
{
    size_t size = 0, room = 4096;
    char *text = malloc(room);

    while (text != NULL) {
        size += fread(text + size, 1, room - size - 1, stdin);
        if (size < room - 1)
            break;
        text = realloc(text, room *= 2);
    }
    if (text == NULL || ferror(stdin))
        die("standard input", "cannot be read");
    text[size] = '\0';
    return text;
}

/* Prints the value of a string in the outermost part of an event; enough for a progress line. */
static void print_value(const char *event, const char *key, const char *after)
{
    char quoted[64];
    const char *value;

    snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    value = strstr(event, quoted);
    if (value != NULL) {
        value += strlen(quoted);
        fprintf(stderr, " %.*s%s", (int)strcspn(value, "\""), value, after);
    }
}

/* Waits for each job that a reply names, while the library runs it. Returns how many failed. */
static int wait_for_jobs(const sysadm_iocage *instance, const char *reply)
{
    static const char prefix[] = "\"sysadm_iocage_";
    const struct timespec moment = {0, 500 * 1000 * 1000};
    int failed = 0;

    for (const char *at = reply; (at = strstr(at, prefix)) != NULL; at++) {
        char id[512];
        int finished = 0;

        snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
        while (!finished) {
            char *event = iocage.progress(instance, id, NULL);
            if (event == NULL || strstr(event, "\"state\":") == NULL) {
                iocage.free(event);
                break;
            }
            fprintf(stderr, "%s:", id);
            print_value(event, "state", "");
            print_value(event, "filename", "");
            print_value(event, "percent_done", "%");
            print_value(event, "error", "");
            fputc('\n', stderr);
            finished = strstr(event, "\"state\":\"finished\"") != NULL;
            failed += finished && strstr(event, "\"success\":\"true\"") == NULL;
            iocage.free(event);
            if (!finished)
                nanosleep(&moment, NULL);
        }
    }
    return failed;
}

int main(int argc, char **argv)
{
    const char *library = "libsysadm_iocage.so", *config = NULL;
    int32_t access = SYSADM_IOCAGE_ACCESS_FULL;
    int whole_message = 0, option, failed;
    char *input = NULL, *error = NULL, *reply;
    const char *request;
    sysadm_iocage *instance;

    while ((option = getopt(argc, argv, "l:c:rm")) != -1) {
        switch (option) {
        case 'l': library = optarg; break;
        case 'c': config = optarg; break;
        case 'r': access = SYSADM_IOCAGE_ACCESS_READ; break;
        case 'm': whole_message = 1; break;
        default: die("usage", "host [-l library] [-c config] [-r] [-m] [request]");
        }
    }
    load(library);
    instance = iocage.open(config, NULL, &error);
    if (instance == NULL)
        die("cannot open an instance", error);

    request = optind < argc ? argv[optind] : (input = read_input());
    if (whole_message)
        reply = iocage.message(instance, request, access);
    else
        reply = iocage.evaluate(instance, request, access, NULL);
    puts(reply);
    fflush(stdout);
    failed = iocage.reply_error(reply, NULL, NULL);
    failed += wait_for_jobs(instance, reply);

    iocage.free(reply);
    free(input);
    iocage.close(instance);
    return failed == 0 ? 0 : 1;
}

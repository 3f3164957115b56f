/*
 * Loads the library and compares the process before and after: threads, descriptors, signal
 * handlers, signal mask, environment and working directory.
 *
 *     loading LIBRARY
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

struct state {
    int threads, descriptors, variables;
    void (*handlers[32])(int);
    int flags[32], blocked[32];
    char directory[4096];
};

static int count(const char *folder)
{
    DIR *dir = opendir(folder);
    int entries = 0;

    while (readdir(dir) != NULL)
        entries++;
    closedir(dir);
    return entries;
}

static void look(struct state *state)
{
    sigset_t mask;

    memset(state, 0, sizeof *state);
    state->threads = count("/proc/self/task");
    state->descriptors = count("/proc/self/fd");
    while (environ[state->variables] != NULL)
        state->variables++;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < 32; i++) {
        struct sigaction action;
        sigaction(i, NULL, &action);
        state->handlers[i] = action.sa_handler;
        state->flags[i] = action.sa_flags;
        state->blocked[i] = sigismember(&mask, i);
    }
    if (getcwd(state->directory, sizeof state->directory) == NULL)
        abort();
}

int main(int argc, char **argv)
{
    static struct state before, after;

    if (argc != 2)
        return 2;
    look(&before);
    if (dlopen(argv[1], RTLD_NOW) == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    look(&after);
    if (memcmp(&before, &after, sizeof before) != 0) {
        fprintf(stderr, "loading the library has changed the process\n");
        return 1;
    }
    puts("ok");
    return 0;
}

/*
 * signals.c: what a signal ends, and how.
 *
 * An action that only looks dies by the signal at once. For one that changes something, the library
 * is heard out first: what it runs (iocage, zfs) writes to it, and could fail half way without it. So
 * is it for one that starts jobs, so that jobs.c knows what there is to be ended. A second signal ends
 * the program in any case, and so does the first one while a command runs in a jail, which may take
 * an hour.
 *
 * SIGPIPE gets a function that does nothing, and is not ignored: what is ignored stays so in programs
 * that are run. Whoever writes then gets an error.
 */
#include "command.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t caught, waits, continued;
static char first_words[256], last_words[256];

static void nothing(int number)
{
    (void)number;
}

static void on_continue(int number)
{
    (void)number;
    continued = 1;
}

static void say(const char *words)
{
    if (write(STDERR_FILENO, words, strlen(words)) < 0) {
        /* Then nobody can be told. */
    }
}

static void on_signal(int number)
{
    if (caught == 0 && waits) {
        caught = number;
        say(first_words);
        return;
    }
    say(last_words);
    signal(number, SIG_DFL);
    raise(number); /* it comes when this returns */
}

void catch_signals(const char *action, enum how how)
{
    struct sigaction act;

    memset(&act, 0, sizeof act);
    sigemptyset(&act.sa_mask);
    act.sa_flags = SA_RESTART;
    act.sa_handler = nothing;
    sigaction(SIGPIPE, &act, NULL);
    if (how == LOOKS)
        return;
    act.sa_handler = on_continue;
    sigaction(SIGCONT, &act, NULL);
    waits = strcmp(action, "execjail") != 0;
    if (how == CHANGES)
        snprintf(first_words, sizeof first_words,
                 "\n" NAME ": %.64s: is at work, and ends when that is done; a second signal ends it now\n", action);
    snprintf(last_words, sizeof last_words,
             "\n" NAME ": %.64s: ended by a signal; what was begun may still go on\n", action);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction before;

        /* What nohup(1) or a shell has had ignored stays ignored. */
        act.sa_handler = on_signal;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &act, NULL);
    }
}

int caught_signal(void)
{
    return (int)caught;
}

/* Whether this was stopped and goes on, since it was asked last. */
bool was_continued(void)
{
    bool was = continued;

    continued = 0;
    return was;
}

const char *signal_name(int number)
{
    return number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : number == SIGHUP ? "SIGHUP" : "a signal";
}

/* Ends the program as the signal would have. */
void die_by(int number)
{
    signal(number, SIG_DFL);
    raise(number);
    _exit(128 + number);
}

/*
 * The exit code, if all was written. If nobody reads any more, the program ends as others do then, now
 * that it has done its work; a full disk is a failure.
 */
int end_output(int code)
{
    struct stat status;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (fstat(STDOUT_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
        die_by(SIGPIPE);
    complain(NULL, "standard output cannot be written");
    return code == WORKED ? FAILED : code;
}

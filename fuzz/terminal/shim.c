/*
 * What the fuzzer `terminal` puts around examples/command: a terminal that is none, outputs that stay
 * in memory, and the way from a reply to what is printed, as main.c has it.
 */
#define _GNU_SOURCE /* open_memstream(), and what is below */
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "../../examples/command/command.h"

/*
 * Where the code has been: gcc and clang call this at every edge (-fsanitize-coverage=trace-pc), and
 * libFuzzer looks at these counters besides its own.
 */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[1 << 13];

__attribute__((no_sanitize("all"))) void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0);

    counters[(place ^ place >> 13) % sizeof counters]++;
}

static int is_tty, tty_columns;

/* text.c asks these in the place of isatty() and ioctl(). */
int fuzz_isatty(int descriptor)
{
    (void)descriptor;
    return is_tty;
}

int fuzz_ioctl(int descriptor, unsigned long request, ...)
{
    va_list values;
    struct winsize *size;

    (void)descriptor;
    (void)request;
    va_start(values, request);
    size = va_arg(values, struct winsize *);
    va_end(values);
    size->ws_col = (unsigned short)tty_columns;
    size->ws_row = 24;
    return 0;
}

/* Shows a reply; gives what was printed on both outputs, which are to be freed; -1 if it cannot be read. */
int fuzz_show(const char *reply, int terminal, int columns, int as_table, const char *chosen, char **output,
              size_t *length, char **errors, size_t *errors_length)
{
    FILE *was[2] = {stdout, stderr};
    struct options options = {0};
    struct json *json = json_read(reply);
    const struct json *first = json != NULL && json->kind == JSON_OBJECT ? json->inside : NULL;
    const struct json *answer = first != NULL && first->kind == JSON_OBJECT ? first : NULL;
    int code = -1;

    is_tty = terminal;
    tty_columns = columns;
    stdout = open_memstream(output, length);
    stderr = open_memstream(errors, errors_length);
    if (answer != NULL) {
        options.as_table = as_table;
        options.columns = chosen != NULL && view_has_columns(answer->key, chosen) ? chosen : NULL;
        code = show(answer->key, answer, &options);
    } else {
        print_reply(reply);
    }
    fclose(stdout);
    fclose(stderr);
    stdout = was[0];
    stderr = was[1];
    json_free(json);
    return code;
}

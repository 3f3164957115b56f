/*
 * start.c: lets a program that Zig links start on FreeBSD 13.
 *
 * Zig's crt1.o is that of FreeBSD 14, which leaves to libc (__libc_start1, since FBSD_1.7) what
 * crt1.o did before. So this does, for a dynamically linked program, what FreeBSD 13's crt1.o
 * does (lib/csu/amd64/crt1_c.c and lib/csu/common/ignore_init.c there); 14 and later run it as
 * they run any program that was built on 13.
 */
#include <stdlib.h>

/* Both are in crt1.o, and the run-time linker or we give them their values. */
extern char **environ;
extern const char *__progname;

__attribute__((visibility("hidden"))) _Noreturn void
__libc_start1(int argc, char **argv, char **env, void (*cleanup)(void),
    int (*program)(int, char **, char **))
{
    const char *at;

    if (environ == NULL)
        environ = env;
    if (argc > 0 && argv[0] != NULL) {
        __progname = argv[0];
        for (at = argv[0]; *at != '\0'; at++) {
            if (*at == '/')
                __progname = at + 1;
        }
    }
    atexit(cleanup);
    exit(program(argc, argv, env));
}

/* nonsense.c: a library that answers whatever REPLY says, for a command that must survive it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysadm_iocage.h"

/* The value of a variable, or what is in the file that it names behind an "@". */
static char *answer(const char *name)
{
    const char *value = getenv(name);
    FILE *file = value != NULL && *value == '@' ? fopen(value + 1, "r") : NULL;
    size_t room = file == NULL ? value == NULL ? 0 : strlen(value) : (size_t)16 << 20;
    char *copy = value == NULL ? NULL : calloc(room + 1, 1);

    if (copy == NULL)
        return NULL;
    if (file == NULL)
        return strcpy(copy, value);
    room = fread(copy, 1, room, file);
    fclose(file);
    return copy;
}

sysadm_iocage *sysadm_iocage_open(const char *config, const sysadm_iocage_host *host, char **error)
{
    (void)config, (void)host;
    *error = NULL;
    return (sysadm_iocage *)&answer;
}

char *sysadm_iocage_evaluate(const sysadm_iocage *instance, const char *args, int32_t access, int32_t *status)
{
    (void)instance, (void)args, (void)access;
    if (status != NULL)
        *status = 200;
    return answer("REPLY");
}

char *sysadm_iocage_progress(const sysadm_iocage *instance, const char *job, const char *log)
{
    (void)instance, (void)job, (void)log;
    return answer("EVENT");
}

int32_t sysadm_iocage_reply_error(const char *reply, char **code, char **message)
{
    (void)reply;
    if (code != NULL)
        *code = NULL;
    if (message != NULL)
        *message = NULL;
    return 0;
}

void sysadm_iocage_close(sysadm_iocage *instance)
{
    (void)instance;
}

void sysadm_iocage_free(char *string)
{
    free(string);
}

uint32_t sysadm_iocage_abi_version(void)
{
    const char *version = getenv("ABI");

    return version == NULL ? SYSADM_IOCAGE_ABI_VERSION : (uint32_t)atoi(version);
}

const char *sysadm_iocage_version(void)
{
    return "nonsense";
}

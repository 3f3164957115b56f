/*
 * LAB/bin/NAME, which stands before each command of the lab's host: records the command line in
 * LAB/commands, lets LAB/faults/NAME (a shell script, where there is one) do harm, and then is the
 * command, LAB/real/NAME. Not a shell script itself, and not linked dynamically: the tests run it a
 * hundred thousand times.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* After it $0 is LAB/bin/NAME, as in a script of that name. */
static const char *const HARM = "lab=${0%/bin/*}\nname=${0##*/}\n"
				". \"$lab/faults/$name\"\n"
				"exec \"$lab/real/$name\" \"$@\"";

/* By which path it was run, however that was found. */
static const char *own_path(void)
{
#ifdef __FreeBSD__
	static char path[PATH_MAX];

	return elf_aux_info(AT_EXECPATH, path, sizeof path) == 0 ? path : "";
#else
	const char *path = (const char *)getauxval(AT_EXECFN);

	return path == NULL ? "" : path;
#endif
}

static int record(const char *commands, const char *name, char **words)
{
	size_t size = strlen(name) + 2;
	char *line, *end;
	int file, failed;

	for (char **word = words; *word != NULL; word++)
		size += strlen(*word) + 1;
	line = malloc(size);
	if (line == NULL)
		return -1;
	end = stpcpy(line, name);
	for (char **word = words; *word != NULL; word++) {
		*end++ = '\037';
		end = stpcpy(end, *word);
	}
	*end++ = '\036';
	/* At once: others record too. */
	file = open(commands, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	failed = file == -1 || write(file, line, (size_t)(end - line)) != end - line;
	if (file != -1)
		close(file);
	free(line);
	return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
	const char *own = own_path(), *bin = NULL, *name;
	char path[PATH_MAX];
	int lab;

	for (const char *next = own; (next = strstr(next, "/bin/")) != NULL; next++)
		bin = next;
	if (bin == NULL || argc < 1) {
		fprintf(stderr, "%s: this belongs to a lab\n", own);
		return 2;
	}
	lab = (int)(bin - own);
	name = strrchr(own, '/') + 1;
	snprintf(path, sizeof path, "%.*s/commands", lab, own);
	if (record(path, name, argv + 1) != 0)
		perror(path);
	snprintf(path, sizeof path, "%.*s/faults/%s", lab, own, name);
	if (access(path, F_OK) == 0) {
		char **words = calloc((size_t)argc + 4, sizeof *words);

		if (words == NULL)
			return 2;
		words[0] = "sh";
		words[1] = "-c";
		words[2] = (char *)HARM;
		words[3] = (char *)own;
		memcpy(words + 4, argv + 1, (size_t)argc * sizeof *words);
		execv("/bin/sh", words);
	} else {
		snprintf(path, sizeof path, "%.*s/real/%s", lab, own, name);
		argv[0] = path;
		execv(path, argv);
	}
	perror(path);
	return 127;
}

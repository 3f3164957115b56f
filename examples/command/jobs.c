/*
 * jobs.c: waits for the jobs that a request has started. The library runs them in processes of its own
 * as long as the instance lives, so the command lives as long as they do.
 */
#include "command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX "sysadm_iocage_"
#define BAR 20

struct job {
    char *id;
    bool is_ours;               /* this program started it */
    bool has_ended, has_worked;
    int percent, told_percent;  /* -1 if it is not known */
    struct text what, told, error;
};

struct jobs {
    sysadm_iocage *instance;
    const char *action;
    struct job *all;
    size_t count;
    time_t since;
    size_t drawn;               /* lines of the terminal that have bars */
    bool json;
};

static void add_job(struct jobs *jobs, const char *id, bool is_ours)
{
    struct job *more = memory(jobs->count + 1, sizeof *more);

    if (jobs->count > 0)
        memcpy(more, jobs->all, jobs->count * sizeof *more);
    free(jobs->all);
    jobs->all = more;
    more[jobs->count].id = copy(id);
    more[jobs->count].is_ours = is_ours;
    more[jobs->count].percent = more[jobs->count].told_percent = -1;
    jobs->count++;
}

/* A string, or each string of an array. */
static void add_jobs(struct jobs *jobs, const struct json *ids, bool is_ours)
{
    if (ids != NULL && ids->kind == JSON_STRING)
        add_job(jobs, ids->string, is_ours);
    for (const struct json *id = ids == NULL ? NULL : ids->inside; id != NULL; id = id->next)
        add_jobs(jobs, id, is_ours);
}

/* What a program has printed, without what it told a terminal: of a line that was written over and over, the last. */
void plain_output(struct text *lines, const char *output)
{
    struct text line = {0};
    bool again = false;

    set(&line, "");
    for (; *output != '\0'; output++) {
        if (output[0] == '\033' && output[1] == '[') {
            output += 2;
            output += strspn(output, "0123456789;?");
            if (*output == '\0')
                break;
        } else if (*output == '\r') {
            again = true;
        } else if (*output == '\n') {
            add_string(lines, line.bytes);
            add_string(lines, "\n");
            set(&line, "");
            again = false;
        } else {
            if (again && *output != ' ') {
                set(&line, "");
                again = false;
            }
            if (!again)
                add(&line, output, 1);
        }
    }
    add_string(lines, line.bytes);
    free(line.bytes);
}

/* The last line of a job's output. */
static void set_last_line(struct job *job, const struct json *details)
{
    const struct json *commands = json_member(details, "cmd_list");
    const struct json *command = commands == NULL ? NULL : commands->inside;
    const char *output = command == NULL || command->string == NULL ? NULL : json_string(details, command->string);
    struct text lines = {0};
    size_t end;
    char *safe;

    if (output == NULL)
        return;
    set(&lines, "");
    plain_output(&lines, strlen(output) > 4096 ? output + strlen(output) - 4096 : output);
    for (end = lines.length; end > 0 && strchr(" \t\n", lines.bytes[end - 1]) != NULL;)
        lines.bytes[--end] = '\0';
    while (end > 0 && lines.bytes[end - 1] != '\n')
        end--;
    safe = harmless(lines.bytes + end, strlen(lines.bytes + end), NOTHING);
    set(&job->what, safe);
    free(safe);
    free(lines.bytes);
}

/* Asks how a job is. */
static void look(struct jobs *jobs, struct job *job)
{
    char *event = sysadm_iocage_progress(jobs->instance, job->id, NULL);
    struct json *json = event == NULL ? NULL : json_read(event);
    const char *state = json_string(json, "state"), *percent = json_string(json, "percent_done");
    const char *success = json_string(json, "success"), *error = json_string(json, "error");
    const char *file = json_string(json, "filename"), *rate = json_string(json, "download_rate");

    sysadm_iocage_free(event);
    if (state == NULL) {
        job->has_ended = true;
        set(&job->error, "nothing is known of it any more");
    } else {
        job->percent = percent == NULL ? -1 : (int)strtol(percent, NULL, 10);
        job->has_ended = strcmp(state, "finished") == 0;
        job->has_worked = success != NULL && strcmp(success, "true") == 0;
        set(&job->error, error == NULL ? "" : error);
        set(&job->what, "");
        if (file != NULL && job->percent >= 0 && job->percent < 100) {
            char *safe = harmless(file, strlen(file), NOTHING);

            set(&job->what, safe);
            if (rate != NULL) {
                add_string(&job->what, ", ");
                add_string(&job->what, rate);
            }
            free(safe);
        } else {
            set_last_line(job, json_member(json, "process_details"));
        }
    }
    json_free(json);
}

static const char *short_name(const char *id)
{
    return strncmp(id, PREFIX, strlen(PREFIX)) == 0 ? id + strlen(PREFIX) : id;
}

/* Adds what fits of a text into what is left of a line. */
static void add_fitting(struct text *frame, const char *string, size_t *left)
{
    size_t bytes = *left == 0 ? 0 : fitting(string, *left, false);
    char *part = memory(bytes + 1, 1);

    memcpy(part, string, bytes);
    if (width_of(part) <= *left) {
        add_string(frame, part);
        *left -= width_of(part);
    }
    free(part);
}

static void add_bar(struct text *frame, const struct jobs *jobs, const struct job *job, size_t columns)
{
    char *name = harmless(short_name(job->id), strlen(short_name(job->id)), NOTHING), number[32];
    long passed = (long)(time(NULL) - jobs->since);
    size_t left = columns - 1; /* with the last column, some terminals go on to the next line */
    size_t kept;

    if (job->percent >= 0)
        snprintf(number, sizeof number, " %3d%%", job->percent);
    else
        snprintf(number, sizeof number, " %ld:%02ld", passed / 60, passed % 60);
    /* The end of a name is lost first. */
    kept = left > strlen(number) + 3 ? strlen(number) : 0;
    left -= kept;
    add_fitting(frame, name, &left);
    left += kept;
    if (job->percent >= 0 && left > BAR + 8) {
        char bar[BAR + 4] = " [";
        int done = job->percent > 100 ? BAR : job->percent * BAR / 100;

        for (int i = 0; i < BAR; i++)
            bar[2 + i] = i < done ? '=' : i == done ? '>' : ' ';
        bar[BAR + 2] = ']';
        add_fitting(frame, bar, &left);
    }
    add_fitting(frame, number, &left);
    if (job->what.length > 0 && left > 10) {
        add_fitting(frame, "  ", &left);
        add_fitting(frame, job->what.bytes, &left);
    }
    add_string(frame, "\033[K\n");
    free(name);
}

/*
 * Whether bars are drawn now: not on the terminal of a shell that has this in the background. There, and
 * after a stop, what is above the cursor is no bar any more.
 */
static bool has_bars(struct jobs *jobs)
{
    bool foreground = is_terminal(stderr) && moves_cursor() && is_in_foreground(stderr);

    if (was_continued() || !foreground)
        jobs->drawn = 0;
    return foreground;
}

static void erase(struct jobs *jobs)
{
    has_bars(jobs);
    if (jobs->drawn > 0)
        fprintf(stderr, "\033[%zuA\033[J", jobs->drawn);
    jobs->drawn = 0;
    fflush(stderr);
}

/* A line for each job that runs, as far as the terminal has lines. All in one, or a stop could come amid. */
static void draw(struct jobs *jobs)
{
    size_t lines = terminal_lines(stderr), columns = terminal_columns(stderr), hidden = 0;
    struct text frame = {0};
    char words[64];

    if (!has_bars(jobs))
        return;
    if (jobs->drawn > 0) {
        snprintf(words, sizeof words, "\033[%zuA", jobs->drawn);
        add_string(&frame, words);
    }
    jobs->drawn = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->all[i].has_ended)
            continue;
        if (jobs->drawn + 3 > lines) {
            hidden++;
            continue;
        }
        add_bar(&frame, jobs, &jobs->all[i], columns < 2 ? 2 : columns);
        jobs->drawn++;
    }
    if (hidden > 0) {
        snprintf(words, sizeof words, "and %zu more\033[K\n", hidden);
        add_string(&frame, words);
        jobs->drawn++;
    }
    add_string(&frame, "\033[J");
    fputs(frame.bytes, stderr);
    free(frame.bytes);
}

/* Where there are no bars: a line when a job does something else, or has come further by a tenth. */
static void tell(struct job *job)
{
    bool further = job->percent / 10 > job->told_percent / 10 || (job->percent >= 0 && job->told_percent < 0);
    bool other = job->what.length > 0 && (job->told.bytes == NULL || strcmp(job->told.bytes, job->what.bytes) != 0);
    char *name;

    if (job->has_ended || !(further || (other && job->percent < 0)))
        return;
    name = harmless(short_name(job->id), strlen(short_name(job->id)), NOTHING);
    fprintf(stderr, "%s:", name);
    if (job->percent >= 0)
        fprintf(stderr, " %d%%", job->percent);
    fprintf(stderr, "%s%s\n", job->what.length > 0 ? " " : "", job->what.length > 0 ? job->what.bytes : "");
    job->told_percent = job->percent;
    set(&job->told, job->what.length > 0 ? job->what.bytes : "");
    free(name);
}

/* Says how a job has ended: that it has worked beside the other answers, that it has not with the errors. */
static void tell_end(const struct jobs *jobs, const struct job *job)
{
    if (job->has_worked) {
        struct text sentence = {0};

        add_string(&sentence, "job ");
        add_string(&sentence, job->id);
        add_string(&sentence, " is done.");
        if (jobs->json)
            fprintf(stderr, "%s\n", sentence.bytes);
        else
            print_wrapped(sentence.bytes, sentence.length, 0);
        fflush(stdout);
        free(sentence.bytes);
        if (job->error.length > 0)
            complain(jobs->action, "job %s: warning: %s", job->id, job->error.bytes);
    } else {
        complain(jobs->action, "job %s: %s (failed)", job->id,
                 job->error.length > 0 ? job->error.bytes : "it has failed");
    }
}

/* A signal has come: ends what this program runs, and says what became of each job. */
static void end_jobs(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        struct job *job = &jobs->all[i];
        struct text request = {0};
        char *reply, *why = NULL;

        if (job->has_ended)
            continue;
        if (!job->is_ours) {
            complain(jobs->action, "job %s goes on: another program runs it", job->id);
            continue;
        }
        add_string(&request, "{\"action\": \"stopjob\", \"job\": ");
        json_quote(&request, job->id);
        add_string(&request, "}");
        reply = sysadm_iocage_evaluate(jobs->instance, request.bytes, SYSADM_IOCAGE_ACCESS_FULL, NULL);
        if (sysadm_iocage_reply_error(reply, NULL, &why) == 0) {
            look(jobs, job);
            complain(jobs->action, "job %s was ended by %s%s%s", job->id, signal_name(caught_signal()),
                     job->error.length > 0 ? ": " : "", job->error.length > 0 ? job->error.bytes : "");
        } else {
            look(jobs, job);
            if (job->has_ended)
                tell_end(jobs, job);
            else
                complain(jobs->action, "%s", why);
        }
        sysadm_iocage_free(why);
        sysadm_iocage_free(reply);
        free(request.bytes);
    }
}

/* Waits for the jobs that an answer names. Gives the exit code, FAILED if one of them has failed. */
int wait_for_jobs(sysadm_iocage *instance, const char *action, const struct json *answer, const struct options *options)
{
    const struct timespec moment = {0, 200 * 1000 * 1000};
    struct jobs jobs = {instance, action, NULL, 0, time(NULL), 0, options->json};
    size_t running;
    bool bars;
    int code = WORKED;

    add_jobs(&jobs, json_member(answer, "started_dispatcher_id"), true);
    add_jobs(&jobs, json_member(answer, "already_running"), false);
    do {
        running = 0;
        bars = has_bars(&jobs);
        for (size_t i = 0; i < jobs.count && caught_signal() == 0; i++) {
            struct job *job = &jobs.all[i];

            if (job->has_ended)
                continue;
            look(&jobs, job);
            running += !job->has_ended;
            if (!job->has_ended && !bars)
                tell(job);
            if (job->has_ended) {
                erase(&jobs);
                tell_end(&jobs, job);
                code = job->has_worked ? code : FAILED;
            }
        }
        if (running > 0 && bars)
            draw(&jobs);
        if (running > 0 && caught_signal() == 0)
            nanosleep(&moment, NULL);
    } while (running > 0 && caught_signal() == 0);
    erase(&jobs);
    if (caught_signal() != 0)
        end_jobs(&jobs);
    for (size_t i = 0; i < jobs.count; i++) {
        free(jobs.all[i].id);
        free(jobs.all[i].what.bytes);
        free(jobs.all[i].told.bytes);
        free(jobs.all[i].error.bytes);
    }
    free(jobs.all);
    return code;
}

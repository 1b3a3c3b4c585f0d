// The fastest server that can pass for BigQuery's insertAll: reads every body to its end and answers that all rows were taken. Everything else
// is answered with the table's metadata from a file.
//
//     insert_server PORT TABLE.json [MILLISECONDS PERMILLE [OUTAGE_FROM OUTAGE_TO COUNTS]]
//
// Answers insertAll after so many MILLISECONDS and refuses a random PERMILLE of the requests (seeded), in turn as Google does: 429, 403
// rateLimitExceeded, 503. From OUTAGE_FROM to OUTAGE_TO seconds after the first request it refuses all of them with 503. At SIGTERM it
// writes into the file COUNTS how many requests it accepted in each tenth of a second.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { capacity = 1 << 20, tenths = 100000 };
static char table[1 << 16];
static int latency, permille, is_counting;
static double outage_from = 1e9, outage_to = 1e9;
static const char *counts_path;
static unsigned seed = 1, refusals;
static double first_request;
static unsigned accepted[tenths];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static const char *error_bodies[] = {
    "{\"error\":{\"code\":429,\"message\":\"Quota exceeded\",\"errors\":[{\"reason\":\"rateLimitExceeded\"}],"
    "\"status\":\"RESOURCE_EXHAUSTED\"}}",
    "{\"error\":{\"code\":403,\"message\":\"Exceeded rate limits\",\"errors\":[{\"reason\":\"rateLimitExceeded\"}],"
    "\"status\":\"PERMISSION_DENIED\"}}",
    "{\"error\":{\"code\":503,\"message\":\"Error encountered during execution. Retrying may solve the problem.\","
    "\"errors\":[{\"reason\":\"backendError\"}],\"status\":\"UNAVAILABLE\"}}"};
static const char *error_lines[] = {"429 Too Many Requests", "403 Forbidden", "503 Service Unavailable"};

/// Which refusal this request gets; -1: it is accepted.
static int refusal(void) {
    if (!permille && !is_counting) return -1;
    pthread_mutex_lock(&lock);
    double time = now();
    if (!first_request) first_request = time;
    time -= first_request;
    int kind = -1;
    if (time >= outage_from && time < outage_to) kind = 2;
    else if ((seed = seed * 1103515245 + 12345, (seed >> 16) % 1000) < (unsigned)permille) kind = refusals++ % 3;
    else if (time * 10 < tenths) accepted[(int)(time * 10)]++;
    pthread_mutex_unlock(&lock);
    return kind;
}

static void *write_counts_at_the_end(void *set) {
    int signal;
    sigwait(set, &signal);
    FILE *file = counts_path ? fopen(counts_path, "w") : NULL;
    int last = 0;
    for (int i = 0; i < tenths; i++) if (accepted[i]) last = i;
    for (int i = 0; file && i <= last; i++) fprintf(file, "%u\n", accepted[i]);
    if (file) fclose(file);
    exit(0);
}

static size_t content_length(const char *head, const char *end) {
    for (const char *line = head; line < end; line++)
        if (*line == '\n' && !strncasecmp(line + 1, "content-length:", 15)) return strtoull(line + 16, NULL, 10);
    return 0;
}

static int expects_continue(const char *head, size_t size) {
    return memmem(head, size, "100-continue", 12) != NULL;
}

static void *serve(void *argument) {
    int connection = (int)(long)argument, on = 1;
    char *buffer = malloc(capacity);
    size_t filled = 0;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (;;) {
        char *end;
        while (!(end = filled >= 4 ? memmem(buffer, filled, "\r\n\r\n", 4) : NULL)) {
            ssize_t got = recv(connection, buffer + filled, capacity - filled, 0);
            if (got <= 0) goto closed;
            filled += got;
        }
        size_t head = end - buffer + 4, length = content_length(buffer, end);
        char *line = memchr(buffer, '\r', head);
        int inserts = memmem(buffer, line - buffer, "/insertAll", 10) != NULL;
        if (expects_continue(buffer, head)) send(connection, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
        size_t body = filled - head;
        if (body > length) {
            memmove(buffer, buffer + head + length, body - length);
            filled = body - length;
        } else {
            for (size_t left = length - body; left > 0;) {
                ssize_t got = recv(connection, buffer, left < capacity ? left : capacity, 0);
                if (got <= 0) goto closed;
                left -= got;
            }
            filled = 0;
        }
        if (inserts && latency) usleep(latency * 1000);
        int refused = inserts ? refusal() : -1;
        const char *line_of_status = refused < 0 ? "200 OK" : error_lines[refused];
        const char *answer = !inserts      ? table
                             : refused < 0 ? "{\"kind\":\"bigquery#tableDataInsertAllResponse\"}"
                                           : error_bodies[refused];
        static const char format[] =
            "HTTP/1.1 %s\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %zu\r\n\r\n";
        char headers[256];
        int size = snprintf(headers, sizeof headers, format, line_of_status, strlen(answer));
        send(connection, headers, size, MSG_NOSIGNAL | MSG_MORE);
        send(connection, answer, strlen(answer), MSG_NOSIGNAL);
    }
closed:
    close(connection);
    free(buffer);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3 && count != 5 && count != 8) return 64;
    if (count >= 5) latency = atoi(arguments[3]), permille = atoi(arguments[4]);
    if (count == 8) outage_from = atof(arguments[5]), outage_to = atof(arguments[6]), counts_path = arguments[7], is_counting = 1;
    static sigset_t end;
    pthread_t ending;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    pthread_create(&ending, NULL, write_counts_at_the_end, &end);
    FILE *file = fopen(arguments[2], "r");
    if (!file) return perror(arguments[2]), 66;
    table[fread(table, 1, sizeof table - 1, file)] = 0;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 128)) return perror("listen"), 74;
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        pthread_t thread;
        if (connection < 0 || pthread_create(&thread, NULL, serve, (void *)(long)connection)) continue;
        pthread_detach(thread);
    }
}

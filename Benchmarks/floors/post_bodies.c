// The least a shipper has to do: builds insertAll bodies of payloads that are in memory already, and posts them with libcurl.
//
//     post_bodies URL PAYLOADS ROWS ROWS_PER_REQUEST IN_FLIGHT
//
// PAYLOADS holds one row a line; they are taken in turn until ROWS are sent.
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transfer {
    char *body;
    CURL *handle;
};

static char *text, **line;
static size_t *length, lines, widest;
static long next_row, total, per_request;

static void load(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) perror(path), exit(66);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    text = malloc(size + 1);
    if (fread(text, 1, size, file) != (size_t)size) exit(74);
    for (long i = 0; i < size; i++) lines += text[i] == '\n';
    line = malloc(lines * sizeof *line), length = malloc(lines * sizeof *length);
    char *start = text;
    for (size_t i = 0; i < lines; i++) {
        char *end = memchr(start, '\n', text + size - start);
        line[i] = start, length[i] = end - start, start = end + 1;
        if (length[i] > widest) widest = length[i];
    }
}

static size_t ignore(char *bytes, size_t size, size_t count, void *context) { return size * count; }

static int build(struct transfer *transfer) {
    if (next_row >= total) return 0;
    char *end = transfer->body;
    end += sprintf(
        end, "{\"kind\":\"bigquery#tableDataInsertAllRequest\",\"skipInvalidRows\":true,\"ignoreUnknownValues\":false,\"rows\":[");
    for (long i = 0; i < per_request && next_row < total; i++, next_row++) {
        if (i) *end++ = ',';
        end += sprintf(end, "{\"insertId\":\"%022ld\",\"json\":", next_row);
        size_t place = next_row % lines;
        memcpy(end, line[place], length[place]);
        end += length[place];
        *end++ = '}';
    }
    *end++ = ']', *end++ = '}';
    curl_easy_setopt(transfer->handle, CURLOPT_POSTFIELDS, transfer->body);
    curl_easy_setopt(transfer->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(end - transfer->body));
    return 1;
}

int main(int count, char **arguments) {
    if (count != 6) return 64;
    load(arguments[2]);
    total = atol(arguments[3]), per_request = atol(arguments[4]);
    int in_flight = atoi(arguments[5]), running = 0;
    curl_global_init(CURL_GLOBAL_ALL);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    struct transfer *transfers = calloc(in_flight, sizeof *transfers);
    for (int i = 0; i < in_flight; i++) {
        transfers[i].body = malloc(256 + per_request * (widest + 64));
        CURL *handle = transfers[i].handle = curl_easy_init();
        curl_easy_setopt(handle, CURLOPT_URL, arguments[1]);
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, ignore);
        curl_easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(handle, CURLOPT_PRIVATE, &transfers[i]);
        if (build(&transfers[i])) curl_multi_add_handle(multi, handle), running++;
    }
    while (running) {
        int active, queued;
        curl_multi_perform(multi, &active);
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &queued));) {
            struct transfer *transfer;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
            CURLcode result = message->data.result;
            curl_multi_remove_handle(multi, transfer->handle);
            if (result) return fprintf(stderr, "%s\n", curl_easy_strerror(result)), 69;
            if (build(transfer)) curl_multi_add_handle(multi, transfer->handle);
            else running--;
        }
        if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    return 0;
}

// The least a spool has to do: inserts the same payloads into SQLite, with the same table, commits and durability.
//
//     sqlite_insert DATABASE PAYLOADS ROWS ROWS_PER_COMMIT
//
// PAYLOADS holds one row a line; they are taken in turn until ROWS are stored.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static sqlite3 *database;

static void execute(const char *sql) {
    char *error = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &error)) fprintf(stderr, "%s: %s\n", sql, error), exit(74);
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL)) fprintf(stderr, "%s\n", sqlite3_errmsg(database)), exit(74);
    return statement;
}

static void step(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) fprintf(stderr, "%s\n", sqlite3_errmsg(database)), exit(74);
    sqlite3_reset(statement);
}

int main(int count, char **arguments) {
    if (count != 5) return 64;
    FILE *file = fopen(arguments[2], "r");
    if (!file) return perror(arguments[2]), 66;
    fseek(file, 0, SEEK_END);
    long size = ftell(file), total = atol(arguments[3]), per_commit = atol(arguments[4]);
    rewind(file);
    char *text = malloc(size + 1);
    if (fread(text, 1, size, file) != (size_t)size) return 74;
    if (sqlite3_open(arguments[1], &database)) return 74;
    execute("PRAGMA journal_mode=WAL");
    execute("PRAGMA synchronous=FULL");
    execute("PRAGMA wal_autocheckpoint=4000");
    execute("CREATE TABLE row_data (row_id INTEGER PRIMARY KEY, run_no INTEGER NOT NULL, shape INTEGER NOT NULL, op INTEGER NOT NULL, "
            "extracted_at INTEGER NOT NULL, checksum INTEGER NOT NULL, insert_id TEXT NOT NULL, id TEXT, payload TEXT NOT NULL)");
    execute("CREATE TABLE watermark (k INTEGER PRIMARY KEY, v TEXT)");
    sqlite3_stmt *row = prepare("INSERT INTO row_data VALUES (?, 1, 1, 0, ?, ?, ?, ?, ?)");
    sqlite3_stmt *watermark = prepare("INSERT OR REPLACE INTO watermark VALUES (1, ?)");
    char identifier[24], *start = text;
    for (long number = 0; number < total;) {
        execute("BEGIN IMMEDIATE");
        for (long i = 0; i < per_commit && number < total; i++, number++) {
            if (start >= text + size) start = text;
            char *end = memchr(start, '\n', text + size - start);
            if (!end) end = text + size;
            snprintf(identifier, sizeof identifier, "%022ld", number);
            sqlite3_bind_int64(row, 1, (1LL << 40) + 1 + number);
            sqlite3_bind_int64(row, 2, 1764000000000000LL + number);
            sqlite3_bind_int64(row, 3, crc32(0, (void *)start, end - start));
            sqlite3_bind_text(row, 4, identifier, 22, SQLITE_STATIC);
            sqlite3_bind_text(row, 5, identifier + 12, 10, SQLITE_STATIC);
            sqlite3_bind_text(row, 6, start, end - start, SQLITE_STATIC);
            step(row);
            start = end + 1;
        }
        sqlite3_bind_text(watermark, 1, identifier, 22, SQLITE_STATIC);
        step(watermark);
        execute("COMMIT");
    }
    sqlite3_finalize(row);
    sqlite3_finalize(watermark);
    return sqlite3_close(database) ? 74 : 0;
}

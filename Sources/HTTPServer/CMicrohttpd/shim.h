#ifndef ETLCTL_CMICROHTTPD_SHIM_H
#define ETLCTL_CMICROHTTPD_SHIM_H

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

// What Swift cannot call: variadic functions, macros and members of C unions.

/// Leaves percent escapes as they are: an escaped slash must not become a path separator.
static inline size_t etl_mhd_keep_escapes(void *cls, struct MHD_Connection *connection, char *text) {
    (void) cls;
    (void) connection;
    return strlen(text);
}

/// Listens on 127.0.0.1 with one thread for each connection. Port 0 takes a free port, 0 connections and 0 seconds are without limit. NULL if
/// it cannot listen; errno says why.
static inline struct MHD_Daemon *etl_mhd_start(
    uint16_t port, size_t connection_memory, unsigned int connections, unsigned int silent_seconds,
    MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed, void *context) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC, port, NULL,
        NULL, handler, context, MHD_OPTION_SOCK_ADDR, (struct sockaddr *) &address, MHD_OPTION_NOTIFY_COMPLETED,
        completed, context, MHD_OPTION_UNESCAPE_CALLBACK, &etl_mhd_keep_escapes, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory, MHD_OPTION_CONNECTION_TIMEOUT, silent_seconds,
        connections == 0 ? MHD_OPTION_END : MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_END);
}

/// The port that is listened on; 0 if unknown.
static inline uint16_t etl_mhd_port(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}

/// The connection's socket; -1 if unknown.
static inline int etl_mhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static inline struct MHD_Response *etl_mhd_response(const void *bytes, size_t count) {
    return MHD_create_response_from_buffer(count, (void *) bytes, MHD_RESPMEM_MUST_COPY);
}

static inline ssize_t etl_mhd_fail_content(void) { return MHD_CONTENT_READER_END_WITH_ERROR; }

/// Makes the coming close a reset (RST) instead of an orderly end.
static inline void etl_mhd_reset_on_close(int socket) {
    struct linger linger = {1, 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static inline ssize_t etl_mhd_send_raw(int socket, const void *bytes, size_t count) {
    return send(socket, bytes, count, MSG_NOSIGNAL);
}

static inline enum MHD_ValueKind etl_mhd_query_kind(void) { return MHD_GET_ARGUMENT_KIND; }

static inline enum MHD_ValueKind etl_mhd_header_kind(void) { return MHD_HEADER_KIND; }

#endif

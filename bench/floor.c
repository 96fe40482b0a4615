/* The floor: what a process costs that speaks the Lambda Runtime API and does nothing else. It returns its event.
 * Good for the host in this folder, which sends whole numbers of headers in lower case and nothing in chunks; not for Lambda. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char reply[1 << 16], request[1 << 16];

static void send_all(int host, const char *octets, size_t length) {
    while (length > 0) {
        ssize_t sent = write(host, octets, length);
        if (sent <= 0) exit(1);
        octets += sent;
        length -= sent;
    }
}

/* Reads one reply, whose body is then at the returned place, with its length. */
static char *read_reply(int host, size_t *length) {
    size_t read_so_far = 0;
    for (;;) {
        ssize_t more = read(host, reply + read_so_far, sizeof reply - 1 - read_so_far);
        if (more <= 0) exit(1);
        read_so_far += more;
        reply[read_so_far] = 0;
        char *body = strstr(reply, "\r\n\r\n");
        if (!body) continue;
        body += 4;
        char *said = strstr(reply, "content-length: ");
        *length = said && said < body ? strtoul(said + 16, 0, 10) : 0;
        if (read_so_far - (body - reply) >= *length) return body;
    }
}

int main(void) {
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    const char *colon = api ? strchr(api, ':') : 0;
    if (!colon) return 1;
    char name[16] = {0};
    if (colon - api >= (long)sizeof name) return 1;
    memcpy(name, api, colon - api);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    if (inet_pton(AF_INET, name, &address.sin_addr) != 1) return 1;
    int host = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(host, (struct sockaddr *)&address, sizeof address)) return 1;
    for (;;) {
        size_t length;
        int head = snprintf(request, sizeof request, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: %s\r\n\r\n", api);
        send_all(host, request, head);
        char *event = read_reply(host, &length);
        char *id = strstr(reply, "lambda-runtime-aws-request-id: ");
        if (!id) return 1;
        id += 31;
        head = snprintf(request, sizeof request,
                        "POST /2018-06-01/runtime/invocation/%.*s/response HTTP/1.1\r\nhost: %s\r\ncontent-length: %zu\r\n\r\n",
                        (int)strcspn(id, "\r"), id, api, length);
        if (head + length > sizeof request) return 1;
        memcpy(request + head, event, length);
        send_all(host, request, head + length);
        read_reply(host, &length);
    }
}

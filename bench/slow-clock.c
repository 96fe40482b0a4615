/* A clock for who runs in valgrind, where everything takes fifty times as long: by this one it takes as long as ever, so that a function's
 * patience with a service ends where it would without valgrind, on any machine. Loaded before the C library; the time of day stays. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TIMES_AS_SLOW = 50 };
static const long long SECOND = 1000000000;

static long long began;

static long long nanoseconds(const struct timespec *time) { return time->tv_sec * SECOND + time->tv_nsec; }

__attribute__((constructor)) static void begin(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    began = nanoseconds(&now);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_MONOTONIC) {
        long long slow = began + (nanoseconds(time) - began) / TIMES_AS_SLOW;
        *time = (struct timespec){.tv_sec = slow / SECOND, .tv_nsec = slow % SECOND};
    }
    return result;
}

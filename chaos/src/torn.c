/* Tears a write: the call number TORN_CALL of pwrite64 writes only TORN_PERMILLE thousandths of its bytes, and then the
   process is gone. Loaded with LD_PRELOAD by chaos/src/scenario/torn.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_long calls;

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t position) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    const char *call = getenv("TORN_CALL"), *permille = getenv("TORN_PERMILLE");
    if (call && permille && atomic_fetch_add(&calls, 1) + 1 == atol(call)) {
        real(fd, bytes, count * (size_t)atol(permille) / 1000, position);
        kill(getpid(), SIGKILL);
        pause();
    }
    return real(fd, bytes, count, position);
}

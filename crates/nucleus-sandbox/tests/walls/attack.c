/* Attacks from inside a pod. Each command prints BROKEN and what it got when it works, and exits 0 in any case. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void broken(const char *what) { printf("BROKEN %s\n", what); fflush(stdout); }
static void held(const char *what) { printf("held %s: %s\n", what, strerror(errno)); fflush(stdout); }
static void verdict(int worked, const char *what) { if (worked) broken(what); else held(what); }

static void dump(int fd) {
    char text[256];
    ssize_t got = read(fd, text, sizeof text - 1);
    if (got > 0) { text[got] = 0; printf("BROKEN read %s\n", text); } else held("read");
}

static void attributes(const char *path) {
    struct timeval times[2] = {{1, 0}, {1, 0}};
    verdict(chmod(path, 0777) == 0, "chmod");
    verdict(utimes(path, times) == 0, "utimes");
    verdict(setxattr(path, "user.attack", "x", 1, 0) == 0, "setxattr");
    verdict(chown(path, getuid(), getgid()) == 0, "chown");
}

static void read_path(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) held(path); else dump(fd);
}

static void descriptors(const char *name) {
    for (int fd = 3; fd < 4096; fd++) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        printf("descriptor %d is open\n", fd);
        int file = openat(fd, name, O_RDWR);
        if (file >= 0) dump(file); else held("openat");
    }
}

static void tcp(int port, int protocol) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, protocol);
    if (fd < 0) { held("socket"); return; }
    verdict(connect(fd, (void *)&to, sizeof to) == 0, "tcp");
}

static void local(const char *path, int abstract, int type) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
    if (abstract) { memcpy(to.sun_path + 1, path, strlen(path)); } else strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, type, 0);
    if (fd < 0) { held("socket"); return; }
    if (type == SOCK_DGRAM)
        verdict(sendto(fd, "x", 1, 0, (void *)&to, size) == 1, "sendto");
    else
        verdict(connect(fd, (void *)&to, size) == 0, "connect");
}

static void terminal(void) {
    char typed = 'x';
    verdict(ioctl(0, TIOCSTI, &typed) == 0, "TIOCSTI");
    /* The kernel looks at the low half of the request only. */
    verdict(syscall(SYS_ioctl, 0, 0x100000000UL | TIOCSTI, &typed) == 0, "TIOCSTI with high bits");
}

static void forks(int wanted) {
    int made = 0;
    for (int i = 0; i < wanted; i++) {
        pid_t child = fork();
        if (child == 0) { pause(); _exit(0); }
        if (child > 0) made++;
    }
    printf("made %d of %d\n", made, wanted);
    if (made == wanted) broken("forks");
}

static void memory(size_t mib) {
    char *block = mmap(0, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) { held("mmap"); return; }
    for (size_t at = 0; at < mib << 20; at += 4096) block[at] = 1;
    broken("memory");
}

static void file_size(const char *path, size_t mib) {
    signal(SIGXFSZ, SIG_IGN);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    verdict(fd >= 0 && ftruncate(fd, (off_t)mib << 20) == 0, "file size");
}

static void open_files(int wanted) {
    int made = 0;
    while (made < wanted && open("/dev/null", O_RDONLY) >= 0) made++;
    printf("opened %d of %d\n", made, wanted);
    if (made == wanted) broken("descriptors");
}

static void shared_memory(int key) {
    int id = shmget(key, 4096, 0);
    char *at = id < 0 ? (void *)-1 : shmat(id, 0, 0);
    if (at == (void *)-1) { held("shmget"); return; }
    printf("BROKEN read %s\n", at);
}

static void fill(const char *path) {
    static char block[1 << 20];
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    long written = 0;
    while (write(fd, block, sizeof block) == sizeof block) written++;
    printf("wrote %ld MiB\n", written);
}

static void uring(void) {
    char parameters[256] = {0};
    verdict(syscall(425, 4, parameters) >= 0, "io_uring_setup");
}

static void foreign(int x32) {
    pid_t child = fork();
    if (child == 0) {
        long got = -1;
#ifdef __x86_64__
        if (x32) got = syscall(SYS_getpid | 0x40000000);
        else __asm__ volatile("int $0x80" : "=a"(got) : "a"(20) : "memory");
#endif
        _exit(got < 0);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) printf("held: killed by SIGSYS\n");
    else { printf("status %x ", status); broken("the filter did not kill"); }
}

static void each_process(void (*attack)(pid_t, const char *), const char *needle) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && pid != getpid()) attack(pid, needle);
    }
    printf("done\n");
}

static void environment_of(pid_t pid, const char *needle) {
    char path[64], text[65536];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (got > 0 && memmem(text, got, needle, strlen(needle))) broken(path);
    if (fd >= 0) close(fd);
}

static void is_victim(pid_t pid, const char *needle, int *yes) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    *yes = got > 0 && memmem(text, got, needle, strlen(needle));
    if (fd >= 0) close(fd);
}

static void trace(pid_t pid, const char *needle) {
    int yes;
    is_victim(pid, needle, &yes);
    if (!yes) return;
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) { broken("ptrace"); waitpid(pid, 0, __WALL); ptrace(PTRACE_DETACH, pid, 0, 0); } else held("ptrace");
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 || errno == EFAULT) broken("process_vm_readv"); else held("process_vm_readv");
}

static void signal_to(pid_t pid, const char *needle) {
    int yes;
    is_victim(pid, needle, &yes);
    if (yes) verdict(kill(pid, 0) == 0, "signal");
}

static void memory_file(const char *self) {
    for (unsigned flags = 0; flags <= 0x10; flags += 0x10) {
        int file = syscall(SYS_memfd_create, "attack", flags), me = open(self, O_RDONLY);
        if (file < 0) { held("memfd_create"); continue; }
        char block[4096];
        ssize_t got;
        while ((got = read(me, block, sizeof block)) > 0) if (write(file, block, got) != got) return;
        close(me);
        pid_t child = fork();
        if (child == 0) {
            char *argv[] = {"attack", "say", "BROKEN memory file executed", 0}, *env[] = {0};
            fchmod(file, 0700);
            syscall(SYS_execveat, file, "", argv, env, AT_EMPTY_PATH);
            held("execveat");
            _exit(1);
        }
        waitpid(child, 0, 0);
    }
}

static void survivor(const char *path) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            for (int fd = 0; fd < 3; fd++) close(fd);
            usleep(700000);
            close(open(path, O_CREAT | O_WRONLY, 0666));
            sleep(3);
        }
        _exit(0);
    }
    wait(0);
}

static void kernel(void) {
    verdict(unshare(CLONE_NEWUSER) == 0, "unshare user");
    verdict(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == 0 ? 1 : 0, "clone user");
    verdict(mount("none", "/tmp", "tmpfs", 0, 0) == 0, "mount");
    verdict(syscall(442, -1, "/", 0, 0, 0) == 0, "mount_setattr");
    for (int protocol = 1; protocol < 32; protocol++)
        if (socket(16, SOCK_RAW, protocol) >= 0) { printf("netlink %d ", protocol); broken("socket"); }
    int families[] = {17, 38, 40, 44, 31, 29, 30, 15, 27};
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++)
        for (int type = 1; type <= 5; type++)
            if (socket(families[i], type, 0) >= 0) { printf("family %d ", families[i]); broken("socket"); }
    int protocols[] = {262, 132, 136, 1, 58, 255, 33};
    for (unsigned i = 0; i < sizeof protocols / sizeof *protocols; i++)
        for (int type = 1; type <= 6; type++)
            for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET)
                if (socket(family, type, protocols[i]) >= 0) { printf("protocol %d ", protocols[i]); broken("socket"); }
}

int main(int count, char **arg) {
    const char *what = count > 1 ? arg[1] : "", *one = count > 2 ? arg[2] : "", *two = count > 3 ? arg[3] : "0";
    if (!strcmp(what, "attributes")) attributes(one);
    else if (!strcmp(what, "read")) read_path(one);
    else if (!strcmp(what, "descriptors")) descriptors(one);
    else if (!strcmp(what, "tcp")) tcp(atoi(one), atoi(two));
    else if (!strcmp(what, "unix")) { local(one, 0, SOCK_STREAM); }
    else if (!strcmp(what, "unix-datagram")) local(one, 0, SOCK_DGRAM);
    else if (!strcmp(what, "abstract")) local(one, 1, SOCK_STREAM);
    else if (!strcmp(what, "terminal")) terminal();
    else if (!strcmp(what, "forks")) forks(atoi(one));
    else if (!strcmp(what, "memory")) memory(atoi(one));
    else if (!strcmp(what, "file-size")) file_size(one, atoi(two));
    else if (!strcmp(what, "open-files")) open_files(atoi(one));
    else if (!strcmp(what, "uring")) uring();
    else if (!strcmp(what, "x32")) foreign(1);
    else if (!strcmp(what, "i386")) foreign(0);
    else if (!strcmp(what, "environments")) each_process(environment_of, one);
    else if (!strcmp(what, "trace")) each_process(trace, one);
    else if (!strcmp(what, "signal")) each_process(signal_to, one);
    else if (!strcmp(what, "memory-file")) memory_file(arg[0]);
    else if (!strcmp(what, "survivor")) survivor(one);
    else if (!strcmp(what, "shared-memory")) shared_memory(atoi(one));
    else if (!strcmp(what, "make-shared-memory")) strcpy(shmat(shmget(atoi(one), 4096, IPC_CREAT | 0666), 0, 0), two);
    else if (!strcmp(what, "fill")) fill(one);
    else if (!strcmp(what, "kernel")) kernel();
    else if (!strcmp(what, "say")) puts(one);
    else { fprintf(stderr, "unknown attack %s\n", what); return 2; }
    return 0;
}

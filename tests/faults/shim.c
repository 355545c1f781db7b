/* A disk that is slow or fails, and that tells what it has: loaded into a server with LD_PRELOAD.

   DISK_SHIM_CONTROL names a file of struct control, which the test writes while the server runs.
   DISK_SHIM_JOURNAL names a file that gets a record of each write, sync and removal, with the bytes
   that a write has replaced. tests/faults/disk.py takes back from it what was not synced. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile int32_t delay_ms, error;
    volatile int64_t syncs;
};

struct record {
    int64_t kind, inode, offset, size, length;
};

enum { WRITE = 1, SYNC = 2, SYNCED = 3, TRUNCATE = 4, GONE = 5 };
enum { PIECE = 65536, HIGH_NUMBER = 300 };

static struct control *control;
static int journal = -1;
static dev_t device;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
static __typeof__(&write) real_write;
static __typeof__(&pwrite) real_pwrite;
static __typeof__(&pwritev) real_pwritev;
static __typeof__(&fsync) real_fsync;
static __typeof__(&fdatasync) real_fdatasync;
static __typeof__(&ftruncate) real_ftruncate;
static __typeof__(&unlink) real_unlink;
static __typeof__(&rename) real_rename;

__attribute__((constructor)) static void begin(void) {
    real_write = REAL(write);
    real_pwrite = REAL(pwrite);
    real_pwritev = REAL(pwritev);
    real_fsync = REAL(fsync);
    real_fdatasync = REAL(fdatasync);
    real_ftruncate = REAL(ftruncate);
    real_unlink = REAL(unlink);
    real_rename = REAL(rename);
    int file = open(getenv("DISK_SHIM_CONTROL"), O_RDWR | O_CLOEXEC);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || control == MAP_FAILED) abort();
    close(file);
    file = open(getenv("DISK_SHIM_JOURNAL"), O_WRONLY | O_APPEND | O_CLOEXEC);
    journal = fcntl(file, F_DUPFD_CLOEXEC, HIGH_NUMBER);
    struct stat status;
    if (journal < 0 || fstat(journal, &status)) abort();
    close(file);
    device = status.st_dev;
}

static void note(int64_t kind, int64_t inode, int64_t offset, int64_t size, void *old, int64_t length) {
    struct record record = {kind, inode, offset, size, length};
    struct iovec parts[2] = {{&record, sizeof record}, {old, (size_t)length}};
    if (writev(journal, parts, length ? 2 : 1) < 0) abort();
}

static int is_kept(int file, struct stat *status) {
    if (file <= STDERR_FILENO || file == journal || fstat(file, status)) return 0;
    return S_ISREG(status->st_mode) && status->st_dev == device;
}

/* What a write of so many bytes is about to replace; offset -1 stands for the place of the file. A
   file that is open for writing alone counts as written through. */
static void note_write(int file, int64_t offset, int64_t count) {
    static __thread char old[PIECE];
    struct stat status;
    int saved = errno;
    if (is_kept(file, &status) && (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR) {
        if (offset < 0)
            offset = fcntl(file, F_GETFL) & O_APPEND ? status.st_size : lseek(file, 0, SEEK_CUR);
        int64_t length, grows_from = offset + count > status.st_size ? status.st_size : -1;
        do {
            length = status.st_size - offset < count ? status.st_size - offset : count;
            if (length > PIECE) length = PIECE;
            length = length > 0 ? pread(file, old, (size_t)length, offset) : 0;
            if (length < 0) abort();
            note(WRITE, (int64_t)status.st_ino, offset, grows_from, old, length);
            offset += length, count -= length;
        } while (count > 0 && offset < status.st_size);
    }
    errno = saved;
}

static int sync_with(int (*real)(int), int file) {
    struct stat status;
    int kept = is_kept(file, &status);
    int64_t id = kept ? __sync_add_and_fetch(&control->syncs, 1) : 0;
    if (kept) {
        note(SYNC, (int64_t)status.st_ino, id, status.st_size, NULL, 0);
        struct timespec delay = {control->delay_ms / 1000, control->delay_ms % 1000 * 1000000L};
        while (nanosleep(&delay, &delay) && errno == EINTR) {}
        if (control->error < 0) return 0;  /* A disk that lies. */
        if (control->error) {
            errno = control->error;
            return -1;
        }
    }
    int result = real(file);
    if (kept && !result) note(SYNCED, (int64_t)status.st_ino, id, status.st_size, NULL, 0);
    return result;
}

static void note_gone(const char *path) {
    struct stat status;
    int saved = errno;
    if (!lstat(path, &status) && S_ISREG(status.st_mode) && status.st_dev == device &&
        status.st_nlink == 1)
        note(GONE, (int64_t)status.st_ino, 0, 0, NULL, 0);
    errno = saved;
}

ssize_t write(int file, const void *bytes, size_t count) {
    note_write(file, -1, (int64_t)count);
    return real_write(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    note_write(file, offset, (int64_t)count);
    return real_pwrite(file, bytes, count, offset);
}

ssize_t pwritev(int file, const struct iovec *parts, int many, off_t offset) {
    size_t count = 0;
    for (int i = 0; i < many; i++) count += parts[i].iov_len;
    note_write(file, offset, (int64_t)count);
    return real_pwritev(file, parts, many, offset);
}

int fsync(int file) { return sync_with(real_fsync, file); }

int fdatasync(int file) { return sync_with(real_fdatasync, file); }

int ftruncate(int file, off_t length) {
    struct stat status;
    if (is_kept(file, &status)) note(TRUNCATE, (int64_t)status.st_ino, length, 0, NULL, 0);
    return real_ftruncate(file, length);
}

int unlink(const char *path) {
    note_gone(path);
    return real_unlink(path);
}

int rename(const char *from, const char *to) {
    note_gone(to);
    return real_rename(from, to);
}

/* The same under the names that programs use which were built for large files. */
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));
int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

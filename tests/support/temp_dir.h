/* A folder of a test's own, for files it writes. */
#ifndef TNN_TEST_TEMP_DIR_H
#define TNN_TEST_TEMP_DIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct temp_dir {
    char path[512];
} temp_dir;

static inline void temp_dir_create(temp_dir *dir) {
    const char *base = getenv("TMPDIR");
    snprintf(dir->path, sizeof dir->path, "%s/tnn-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(dir->path)) abort();
}

/* Path of a file in the folder; valid until the next call. */
static inline const char *temp_path(const temp_dir *dir, const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    return path;
}

static inline int temp_dir_count(const temp_dir *dir) {
    DIR *d = opendir(dir->path);
    if (!d) return -1;
    int n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(d);
    return n;
}

static inline void temp_dir_empty(const temp_dir *dir) {
    DIR *d = opendir(dir->path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) unlink(temp_path(dir, e->d_name));
    }
    closedir(d);
}

static inline void temp_dir_remove(const temp_dir *dir) {
    temp_dir_empty(dir);
    rmdir(dir->path);
}

#endif

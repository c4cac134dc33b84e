// The first and only process of a bed's guest. It holds memory whose every byte follows from one number, its step; it rewrites a page per step, looks at all pages again and again, and
// says what it found: "TICK n bad=m" on its console and in the store of the host that it runs on. A page that a migration lost, damaged or left at an older state is counted as bad, for good.
//
// Kernel command line: pages=N (a power of two), rate=N pages per second, and wrong=lost|stale, which spoils one page at tick 20 to show that it is noticed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8, TICKS_PER_SECOND = 2 };

static volatile uint64_t step;
static uint64_t pages, bad;
static uint64_t (*memory)[WORDS];

// An odd factor visits every page once in as many steps as there are pages, and no two neighbours in a row.
static uint64_t page_of(uint64_t at) { return at * 40503 % pages; }

static uint64_t word(uint64_t page, uint64_t version, uint64_t index) {
    return (page * 0x9E3779B97F4A7C15 ^ version * 0xC2B2AE3D27D4EB4F) + index * 0xD6E8FEB86659FD93;
}

static void write_page(uint64_t page, uint64_t version) {
    for (uint64_t i = 0; i < WORDS; i++) memory[page][i] = word(page, version, i);
}

static int is_right(uint64_t page, uint64_t version) {
    for (uint64_t i = 0; i < WORDS; i++) {
        if (memory[page][i] != word(page, version, i)) return 0;
    }
    return 1;
}

// All pages, in the order in which they are rewritten: those before the step have one version more.
static void check(void) {
    for (uint64_t at = 0; at < pages; at++) {
        uint64_t version = step / pages + (at < step % pages ? 1 : 0);
        if (!is_right(page_of(at), version)) {
            bad++;
            write_page(page_of(at), version);
        }
    }
}

static uint64_t argument(const char *line, const char *name, uint64_t otherwise) {
    const char *found = strstr(line, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : otherwise;
}

// XS_WRITE of xen/io/xs_wire.h; the answer is read so that the next one finds an empty pipe.
static void tell(int store, const char *text) {
    char message[256], path[] = "data/specmesh";
    uint32_t header[4] = {11, 1, 0, (uint32_t)(sizeof path + strlen(text))};
    memcpy(message, header, sizeof header);
    memcpy(message + sizeof header, path, sizeof path);
    memcpy(message + sizeof header + sizeof path, text, strlen(text));
    if (write(store, message, sizeof header + header[3]) < 0 || read(store, message, sizeof message) < 0) perror("store");
}

// A processor that a machine is given waits until somebody in it turns it on; elsewhere udev does. One that is on stays on, and one that is not there is not there.
static void use_processors(void) {
    int switch_of_second = open("/sys/devices/system/cpu/cpu1/online", O_WRONLY);
    if (switch_of_second < 0) return;
    if (write(switch_of_second, "1", 1) < 0) perror("processor");
    close(switch_of_second);
}

int main(void) {
    char line[512] = "", text[80];
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    int command = open("/proc/cmdline", O_RDONLY);
    if (command < 0 || read(command, line, sizeof line - 1) < 0) return 1;
    dup2(open("/dev/hvc0", O_RDWR), 1);
    dup2(1, 2);
    int store = open("/dev/xen/xenbus", O_RDWR);

    uint64_t rate = argument(line, "rate=", 20);
    pages = argument(line, "pages=", 4096);
    memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint64_t page = 0; page < pages; page++) write_page(page, 0);

    for (uint64_t tick = 1;; tick++) {
        for (uint64_t i = 0; i < rate / TICKS_PER_SECOND; i++) {
            write_page(page_of(step), step / pages + 1);
            step++;
        }
        if (tick == 20 && strstr(line, "wrong=lost")) memset(memory[7], 0, PAGE);
        if (tick == 20 && strstr(line, "wrong=stale")) write_page(page_of(step - 1), (step - 1) / pages);
        check();
        use_processors();
        int length = snprintf(text, sizeof text, "TICK %llu bad=%llu", (unsigned long long)tick, (unsigned long long)bad);
        dprintf(1, "%.*s\n", length, text);
        if (store >= 0) tell(store, text);
        nanosleep(&(struct timespec){0, 1000000000 / TICKS_PER_SECOND}, NULL);
    }
}
